// Elements, numbers in words, least squares, intervals over seeds, ticks. No library, no network.
const SVG = "http://www.w3.org/2000/svg";
const WIDENING = JSON.parse(document.querySelector("main").dataset.widening); // by number of seeds

const element = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const shape = (name, attributes = {}, parent = null) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (parent) parent.append(node);
  return node;
};
const known = (v) => typeof v === "number" && Number.isFinite(v);
const RAISED = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074",
  5: "\u2075", 6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };
const power = (k) => "10" + [...String(k)].map((c) => RAISED[c]).join("");

// Four significant digits.
const format = (v, digits = 4) => {
  if (!known(v)) return "\u2013";
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e6 || size < 1e-3) {
    const [body, k] = v.toExponential(digits - 1).split("e");
    const short = String(Number(body));
    return (short === "1" ? "" : short + "\u00d7") + power(Number(k));
  }
  return String(Number(v.toPrecision(digits)));
};

// --- numbers -------------------------------------------------------------------------------

// Places of usable points inside a window.
const insideOf = (s, [low, high]) => s.x.map((v, i) => i).filter((i) => (!s.usable || s.usable[i])
  && known(s.x[i]) && s.x[i] > 0 && s.x[i] >= low * (1 - 1e-12) && s.x[i] <= high * (1 + 1e-12));

// d log y / d log x by least squares at some places; null for fewer than 3.
const slopeOf = (x, y, at) => {
  const n = at.length;
  if (n < 3) return null;
  const u = at.map((i) => Math.log(x[i])), v = at.map((i) => Math.log(y[i]));
  const mu = u.reduce((a, b) => a + b, 0) / n, mv = v.reduce((a, b) => a + b, 0) / n;
  let top = 0, bottom = 0;
  for (let k = 0; k < n; k += 1) {
    top += (u[k] - mu) * (v[k] - mv);
    bottom += (u[k] - mu) ** 2;
  }
  return bottom > 0 ? top / bottom : null;
};

// Random numbers in [0, 1) that are the same every time (mulberry32).
const randomNumbers = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

// 95% bootstrap interval of a mean over seeds, widened as percolaw.scaling.intervals does; null below 3.
const REPLICATES = 2000;
const seedInterval = (values) => {
  const n = values.length;
  if (n < 3) return null;
  const random = randomNumbers(1), means = new Float64Array(REPLICATES);
  for (let k = 0; k < REPLICATES; k += 1) {
    let sum = 0;
    for (let i = 0; i < n; i += 1) sum += values[Math.floor(random() * n)];
    means[k] = sum / n;
  }
  means.sort();
  const quantile = (q) => {
    const place = q * (REPLICATES - 1), i = Math.floor(place);
    return means[i] + (place - i) * (means[Math.min(i + 1, REPLICATES - 1)] - means[i]);
  };
  const centre = values.reduce((a, b) => a + b, 0) / n, factor = WIDENING[n] || 1;
  return [0.025, 0.975].map((q) => centre + factor * (quantile(q) - centre));
};

// The exponent of a curve inside a window: the mean over seeds of each seed's, which is that of their
// geometric mean, as LearningCurve.fit has it; of the drawn curve where seeds are not stored or not positive.
const exponentOf = (s, window, sign) => {
  const at = insideOf(s, window);
  const seeds = (s.seeds || []).filter((y) => at.every((i) => known(y[i])));
  if (at.length >= 3 && seeds.length && seeds.every((y) => at.every((i) => y[i] > 0))) {
    const slopes = seeds.map((y) => slopeOf(s.x, y, at)).filter(known).map((v) => sign * v);
    if (slopes.length) {
      const value = slopes.reduce((a, b) => a + b, 0) / slopes.length;
      return { n: at.length, value, seeds: slopes.length, interval: seedInterval(slopes) };
    }
  }
  const used = at.filter((i) => known(s.y[i]) && s.y[i] > 0);
  const slope = slopeOf(s.x, s.y, used);
  return { n: used.length, value: slope === null ? null : sign * slope, seeds: 0, interval: null };
};

// d log y / d log x by centred differences, of second order on uneven steps; ends one-sided.
const logDerivative = (x, y) => {
  const at = x.map((v, i) => i).filter((i) => known(x[i]) && known(y[i]) && x[i] > 0 && y[i] > 0);
  const out = x.map(() => null);
  const u = at.map((i) => Math.log(x[i])), v = at.map((i) => Math.log(y[i]));
  const slope = (a, b) => (v[b] - v[a]) / (u[b] - u[a]);
  const last = at.length - 1;
  at.forEach((i, j) => {
    if (last < 1) return;
    let value;
    if (j === 0) value = slope(0, 1);
    else if (j === last) value = slope(last - 1, last);
    else {
      const back = u[j] - u[j - 1], ahead = u[j + 1] - u[j];
      value = (slope(j - 1, j) * ahead + slope(j, j + 1) * back) / (back + ahead);
    }
    out[i] = known(value) ? value : null;
  });
  return out;
};

const logTicks = (low, high, room) => {
  const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9);
  const major = [], minor = [];
  const span = high - low;
  const between = () => {
    for (let k = first - 1; k <= last; k += 1) {
      for (let m = 2; m < 10; m += 1) {
        const place = k + Math.log10(m);
        if (place > low && place < high) minor.push(m * 10 ** k);
      }
    }
  };
  if (span < 2.05) {
    const even = linearTicks(10 ** low, 10 ** high, 4).major.filter(([v]) => v > 0);
    const choices = [[1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]].map((steps) => {
      const labels = [];
      for (let k = first - 1; k <= last; k += 1) {
        for (const m of steps) {
          const place = k + Math.log10(m);
          if (place >= low - 1e-9 && place <= high + 1e-9) labels.push([m * 10 ** k, format(m * 10 ** k, 3)]);
        }
      }
      return labels;
    });
    if (span >= 0.25) between();
    return { major: choices.find((labels) => labels.length >= 4) || even, minor };
  }
  const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(2, room / 42)));
  for (let k = first; k <= last; k += 1) {
    if ((k - first) % every === 0) major.push([10 ** k, k >= 0 && k <= 3 ? String(10 ** k) : power(k)]);
    else minor.push(10 ** k);
  }
  if (span < 7 && every === 1) between();
  return { major, minor };
};

const linearTicks = (low, high, wanted) => {
  const raw = (high - low) / Math.max(1, wanted);
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * base).find((s) => s >= raw * 0.999) || raw;
  const major = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9 && major.length < 50; i += 1) {
    const v = i * step;
    major.push([v, format(Math.abs(v) < step / 1e6 ? 0 : v, 5)]);
  }
  return { major, minor: [] };
};

// --- words ---------------------------------------------------------------------------------

// Formulas written in plain letters, typeset: n_s, n^(-1/2), P^0.387, tau, sqrt(2 pi), >=.
const GREEK = { alpha: "\u03b1", beta: "\u03b2", gamma: "\u03b3", zeta: "\u03b6", nu: "\u03bd", tau: "\u03c4",
  phi: "\u03c6", pi: "\u03c0", sigma: "\u03c3" };
const FORMULA = /(?<=\b[A-Za-z]|[)\]\d\u0370-\u03ff])(?:\^\(([^()]*)\)|\^(-?[\w.]+(?:\/[\w.]+)?)|_([A-Za-z0-9]{1,3})(?![A-Za-z0-9_]))/g;
const signs = (text) => text
  .replace(/(?<![A-Za-z_-])(alpha|beta|gamma|zeta|nu|tau|phi|pi|sigma)(?![A-Za-z-])/g, (word) => GREEK[word])
  .replace(/\bsqrt\(/g, "\u221a(").replace(/>=/g, "\u2265").replace(/<=/g, "\u2264").replace(/\+-/g, "\u00b1")
  .replace(/->/g, "\u2192").replace(/ ~ /g, " \u223c ").replace(/(^|[\s(\[/,:=])-(?=[\d.A-Za-z])/g, "$1\u2212");

// Pieces of a text: words, and what is raised or lowered.
const pieces = (text) => {
  const found = [];
  let from = 0;
  const plain = signs(text);
  for (const match of plain.matchAll(FORMULA)) {
    if (match.index > from) found.push(["", plain.slice(from, match.index)]);
    const raised = match[1] ?? match[2];
    found.push(raised === undefined ? ["sub", match[3]] : ["sup", raised.replace(/^-/, "\u2212")]);
    from = match.index + match[0].length;
  }
  if (from < plain.length) found.push(["", plain.slice(from)]);
  return found;
};
const typeset = (text) => pieces(text).map(([kind, part]) => (kind ? element(kind, {}, part) : part));
const typesetSVG = (node, text) => {
  let raised = 0;
  for (const [kind, part] of pieces(text)) {
    const now = kind === "sup" ? -4 : kind === "sub" ? 3 : 0;
    const piece = shape("tspan", { dy: now - raised, ...(kind ? { "font-size": "9" } : {}) }, node);
    piece.textContent = part;
    raised = now;
  }
  return node;
};
