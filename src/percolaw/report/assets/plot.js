// Draws a plot of a percolaw report as SVG, from the JSON beside it.
const SHAPES = ["circle", "square", "triangle", "diamond", "down", "cross", "plus"];
const DECADES = 12; // of y at most: below lies rounding
const PRINTED = 400; // width in pixels of a printed plot, so that its letters are not too small
let made = 0;

const draw = (figure) => {
  const plot = JSON.parse(figure.querySelector("script").textContent);
  const home = figure.querySelector(".drawing");
  const fitted = plot.fit && plot.x_log && plot.y_log;
  const sign = plot.growth ? 1 : -1;
  const all = plot.series;
  const byName = new Map(all.map((s) => [s.name, s]));
  const fits = all.filter((s) => s.kind !== "reference");
  const sizes = [...new Set(fits.flatMap((s) => s.x).filter((v) => known(v) && v > 0))].sort((a, b) => a - b);
  const whole = sizes.length ? [sizes[0], sizes[sizes.length - 1]] : null;
  const canFit = fitted && sizes.length >= 3;
  const first = plot.window || whole;
  const state = { view: "values", seeds: false, theory: true, hidden: new Set(), window: first && [...first], at: null };
  const number = (made += 1);

  // Colours come with the data and are those of the pictures; marks tell the groups apart.
  const measured = all.filter((s) => s.kind === "measured");
  const groupOf = (s) => s.group || s.name;
  const groups = [...new Set(all.map(groupOf))];
  const looks = new Map();
  const seen = new Set();
  all.forEach((s, i) => {
    const turn = groups.indexOf(groupOf(s));
    const follows = Boolean(s.group) && seen.has(s.group);
    seen.add(s.group);
    looks.set(s, { color: plot.colors[i], shape: follows ? "plus" : SHAPES[(turn + Math.floor(turn / 7)) % 7] });
  });
  const colored = (node, s) => {
    const { color } = looks.get(s);
    node.classList.add(color[0] === "#" ? "colored" : color);
    if (color[0] === "#") node.style.setProperty("--given", color);
    return node;
  };

  // --- controls
  const say = element("p", { class: "sr", role: "status", "aria-live": "polite" });
  const controls = element("div", { class: "controls", role: "group", "aria-label": `Show, ${plot.title}` });
  const button = (label, pressed, action) => {
    const node = element("button", { type: "button", "aria-pressed": String(pressed) }, label);
    node.addEventListener("click", () => action(node));
    return node;
  };
  const views = [["values", "values"]];
  if (fitted) views.push(["local", "local exponents"]);
  if (all.some((s) => s.prediction && byName.has(s.prediction))) views.push(["residual", "measured / prediction"]);
  if (views.length > 1) {
    const buttons = views.map(([name, label]) => {
      const node = button(label, name === "values", () => {
        state.view = name;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === node));
        state.at = null;
        refresh();
      });
      node.dataset.view = name;
      return node;
    });
    controls.append(...buttons);
  }
  const toggle = (label, name) => {
    const node = button(label, state[name], () => {
      state[name] = !state[name];
      node.setAttribute("aria-pressed", String(state[name]));
      refresh();
    });
    node.dataset.toggle = name;
    controls.append(node);
  };
  if (all.some((s) => s.seeds && s.seeds.length)) toggle("each seed", "seeds");
  if (measured.length && measured.length < all.length) toggle("theory", "theory");
  if (canFit) {
    const reset = element("button", { type: "button" }, "reset window");
    reset.addEventListener("click", () => { setWindow(first); });
    controls.append(reset);
  }

  const stage = element("div", { class: "stage" });
  const svg = shape("svg", { role: "img", "aria-label": `${plot.title}. ${plot.alt}` });
  const tip = element("div", { class: "tip", hidden: "" });
  const explore = element("div", {
    class: "explore", tabindex: "0", role: "application", "aria-roledescription": "points of a plot",
    "aria-label": `Points of ${plot.title}. Left and right arrows move along a curve, up and down arrows change the curve.`,
  });
  stage.append(svg, explore);
  const legend = element("div", { class: "legend", role: "group", "aria-label": `Curves of ${plot.title}` });
  for (const s of all) {
    const sample = colored(shape("svg", { width: 30, height: 14, viewBox: "0 0 30 14", "aria-hidden": "true" }), s);
    if (s.joined) shape("path", { d: "M1 7H29", class: `curve ${s.kind}` }, sample);
    else if (s.kind !== "measured") shape("path", { d: "M9 7H21", class: "curve" }, sample);
    if (s.kind === "measured") mark(sample, looks.get(s).shape, 15, 7, 4);
    const node = button(sample, true, () => {
      if (state.hidden.has(s)) state.hidden.delete(s); else state.hidden.add(s);
      node.setAttribute("aria-pressed", String(!state.hidden.has(s)));
      refresh();
    });
    node.append(element("span", {}, ...typeset(s.name)));
    node.dataset.series = s.name;
    legend.append(node);
  }
  const panel = element("div", { class: "fit" });
  const left = element("div", {}, ...(controls.childElementCount ? [controls] : []), stage, legend, takeAway(figure, plot));
  home.append(left, ...(canFit ? [panel] : []), say);

  const handles = {};
  if (canFit) {
    const slider = (name, label, cls) => {
      const node = element("div", {
        class: cls, tabindex: "0", role: "slider", "aria-label": `${label} of the fit window, ${plot.title}`,
        "aria-orientation": "horizontal", "aria-valuemin": sizes[0], "aria-valuemax": sizes[sizes.length - 1],
      });
      node.dataset.edge = name;
      stage.append(node);
      handles[name] = node;
      node.addEventListener("keydown", (event) => moveByKey(name, event));
      node.addEventListener("pointerdown", (event) => moveByPointer(name, node, event));
    };
    slider("both", "Place", "mover");
    slider("low", "Lower end", "handle low");
    slider("high", "Upper end", "handle high");
  }
  stage.append(tip);

  // --- what is shown
  const shown = () => all.filter((s) => !state.hidden.has(s) && (state.theory || s.kind === "measured"
    || !measured.length) && (state.view !== "residual" || predictionOf(s)));
  const predictionOf = (s) => (s.prediction && byName.get(s.prediction)) || null;
  const divided = (s, values) => {
    const other = predictionOf(s);
    const at = new Map(other.x.map((x, i) => [x, other.y[i]]));
    return values.map((v, i) => {
      const by = at.get(s.x[i]);
      return known(v) && known(by) && by !== 0 ? v / by : null;
    });
  };
  const view = (s) => {
    const change = state.view === "residual" ? (values) => divided(s, values)
      : state.view === "local" ? (values) => logDerivative(s.x, values).map((v) => (v === null ? null : sign * v))
        : (values) => values;
    const ends = state.view !== "local" && s.low && s.high;
    return {
      series: s, x: s.x, y: change(s.y), low: ends ? change(s.low) : null, high: ends ? change(s.high) : null,
      seeds: state.seeds && s.seeds ? s.seeds.map(change) : [],
    };
  };
  const yLog = () => plot.y_log && state.view !== "local";
  const yLabel = () => (state.view === "residual" ? "over its prediction, recomputed in this page"
    : state.view === "local" ? "local exponent, recomputed in this page" : plot.y_label);

  let frame = null;
  let points = [];

  const refresh = () => { render(); fill(); };

  const render = (printed = 0) => {
    const width = printed || Math.max(260, Math.round(stage.clientWidth || home.clientWidth || 600));
    const height = Math.round(Math.max(printed ? 220 : 250, Math.min(420, width * 0.62)));
    const curves = shown().map(view);
    const logY = yLog();
    const fine = (v, log) => known(v) && (!log || v > 0);
    const xs = [], ys = [];
    const measuredOnly = curves.some((c) => c.series.kind === "measured");
    let least = Infinity; // a theory that falls on far below all that was measured is cut off
    for (const c of curves) {
      c.x.forEach((x, i) => {
        if (!fine(x, plot.x_log) || !fine(c.y[i], logY)) return;
        xs.push(x);
        ys.push(c.y[i]);
        if (c.series.kind === "measured") least = Math.min(least, c.y[i]);
        for (const end of [c.low, c.high]) if (end && fine(end[i], logY)) ys.push(end[i]);
      });
      for (const seed of c.seeds) for (const v of seed) if (fine(v, logY)) ys.push(v);
    }
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    points = [];
    if (!xs.length) {
      shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, svg).textContent = "nothing to show";
      frame = null;
      place();
      return;
    }
    if (state.view === "residual") ys.push(1);
    const ends = (values, log, margin) => {
      let low = Infinity, high = -Infinity;
      for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
      if (log) {
        low = Math.max(Math.log10(low), Math.log10(high) - DECADES);
        high = Math.log10(high);
      }
      const pad = high > low ? (high - low) * margin : (log ? 0.3 : Math.abs(high) * 0.1 || 1);
      return [low - pad, high + pad];
    };
    // The ends that pictures have, where the plot names them.
    const limited = (range, log) => (state.view !== "values" ? range : range.map((v, i) => {
      const end = plot.y_limits[i];
      return known(end) && (!log || end > 0) ? (log ? Math.log10(end) : end) : v;
    }));
    const kept = logY && measuredOnly ? ys.filter((v) => v > least / 10) : ys;
    const [x0, x1] = ends(xs, plot.x_log, 0.02), [y0, y1] = limited(ends(kept, logY, 0.06), logY);
    if (![x0, x1, y0, y1].every(Number.isFinite) || !(x1 > x0) || !(y1 > y0)) {
      shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, svg).textContent = "numbers too large to draw";
      frame = null;
      place();
      return;
    }
    const named = plot.x_ticks.map((label, i) => [i, label]);
    const second = named.some(([, label]) => label.includes("\n")) ? 14 : 0;
    const inner = { top: canFit ? 50 : 24, bottom: height - 42 - second, right: width - 10 };
    const yTicks = logY ? logTicks(y0, y1, inner.bottom - inner.top) : linearTicks(y0, y1, 5);
    inner.left = 12 + Math.max(...yTicks.major.map(([, label]) => label.length), 2) * 7;
    const xTicks = named.length ? { major: named, minor: [] }
      : plot.x_log ? logTicks(x0, x1, inner.right - inner.left)
      : linearTicks(x0, x1, Math.max(3, (inner.right - inner.left) / 90));
    const px = (v) => inner.left + ((plot.x_log ? Math.log10(v) : v) - x0) / (x1 - x0) * (inner.right - inner.left);
    const py = (v) => {
      const place = inner.bottom - ((logY ? Math.log10(v) : v) - y0) / (y1 - y0) * (inner.bottom - inner.top);
      return Math.max(inner.top - 2000, Math.min(inner.bottom + 2000, place));
    };
    frame = { ...inner, px, width, height,
      back: (p) => 10 ** (x0 + (p - inner.left) / (inner.right - inner.left) * (x1 - x0)) };

    const clip = `clip-${number}`;
    const limits = shape("clipPath", { id: clip }, shape("defs", {}, svg));
    shape("rect", { x: inner.left, y: inner.top - 3, width: inner.right - inner.left, height: inner.bottom - inner.top + 6 }, limits);
    const lines = shape("g", { "aria-hidden": "true" }, svg);
    for (const v of xTicks.minor) shape("path", { class: "grid minor", d: `M${px(v).toFixed(1)} ${inner.top}V${inner.bottom}` }, lines);
    for (const v of yTicks.minor) shape("path", { class: "grid minor", d: `M${inner.left} ${py(v).toFixed(1)}H${inner.right}` }, lines);
    let free = -Infinity;
    for (const [v, label] of xTicks.major) {
      const p = px(v);
      shape("path", { class: "grid", d: `M${p.toFixed(1)} ${inner.top}V${inner.bottom}` }, lines);
      const rows = label.split("\n");
      const half = Math.max(...rows.map((row) => row.length)) * 3.6;
      const x = Math.min(p, width - half);
      if (x - half < free + 4 || (x < p && !named.length)) continue;
      free = x + half;
      rows.forEach((row, i) => {
        shape("text", { class: "tick", x, y: inner.bottom + 17 + 14 * i, "text-anchor": "middle" }, lines).textContent = row;
      });
    }
    for (const [v, label] of yTicks.major) {
      shape("path", { class: "grid", d: `M${inner.left} ${py(v).toFixed(1)}H${inner.right}` }, lines);
      shape("text", { x: inner.left - 6, y: py(v) + 4, "text-anchor": "end" }, lines).textContent = label;
    }
    shape("path", { class: "frame", d: `M${inner.left} ${inner.top}V${inner.bottom}H${inner.right}` }, lines);
    typesetSVG(shape("text", { class: "label", x: (inner.left + inner.right) / 2, y: height - 6, "text-anchor": "middle" }, lines), plot.x_label);
    typesetSVG(shape("text", { class: "label", x: 0, y: 13 }, lines), yLabel());

    const body = shape("g", { "clip-path": `url(#${clip})` }, svg);
    if (canFit || plot.window) {
      const [low, high] = (canFit ? state.window : plot.window).map(px);
      shape("rect", { class: "window", x: low, width: Math.max(0, high - low), y: inner.top, height: inner.bottom - inner.top }, body);
    }
    if (state.view === "residual") shape("path", { class: "one", d: `M${inner.left} ${py(1)}H${inner.right}` }, body);
    const path = (x, y) => {
      let out = "", down = false;
      x.forEach((v, i) => {
        if (!fine(v, plot.x_log) || !fine(y[i], logY)) { down = false; return; }
        out += `${down ? "L" : "M"}${px(v).toFixed(1)} ${py(y[i]).toFixed(1)}`;
        down = true;
      });
      return out;
    };
    for (const c of curves) {
      const { shape: form } = looks.get(c.series);
      const group = colored(shape("g", {}, body), c.series);
      group.dataset.series = c.series.name;
      const few = (c.x.length <= 12 || !c.series.joined) && c.series.kind === "measured";
      if (c.low && c.high) {
        const floor = logY ? 10 ** y0 : null;
        const known3 = c.x.map((x, i) => i).filter((i) => fine(c.x[i], plot.x_log) && fine(c.y[i], logY)
          && fine(c.high[i], logY) && known(c.low[i]));
        const lowest = (i) => (logY ? Math.max(c.low[i], floor) : c.low[i]);
        if (few) {
          for (const i of known3) {
            shape("path", { class: "whisker", d: `M${px(c.x[i]).toFixed(1)} ${py(lowest(i)).toFixed(1)}V${py(c.high[i]).toFixed(1)}` }, group);
          }
        } else if (known3.length > 1) {
          const up = known3.map((i) => `${px(c.x[i]).toFixed(1)} ${py(c.high[i]).toFixed(1)}`);
          const down = known3.map((i) => `${px(c.x[i]).toFixed(1)} ${py(lowest(i)).toFixed(1)}`).reverse();
          shape("path", { class: "band", d: `M${up.join("L")}L${down.join("L")}Z` }, group);
        }
      }
      for (const seed of c.seeds) shape("path", { class: "seed", d: path(c.x, seed) }, group);
      if (c.series.joined) shape("path", { class: `curve ${c.series.kind}`, d: path(c.x, c.y) }, group);
      const list = [];
      let lastMark = -Infinity;
      c.x.forEach((x, i) => {
        if (!fine(x, plot.x_log) || !fine(c.y[i], logY)) return;
        const q = { x: px(x), y: py(c.y[i]), i, curve: c };
        list.push(q);
        const hollow = c.series.usable && !c.series.usable[i];
        if (c.series.kind === "measured" && (hollow || !c.series.joined || q.x - lastMark >= 11)) {
          mark(group, form, q.x, q.y, 3.2, hollow);
          lastMark = q.x;
        } else if (c.series.kind !== "measured" && !c.series.joined) {
          shape("path", { class: "curve", d: `M${(q.x - 6).toFixed(1)} ${q.y.toFixed(1)}h12` }, group);
        }
      });
      if (list.length) points.push(list);
    }
    shape("circle", { class: "here", r: 6.5, visibility: "hidden" }, svg);
    place();
  };

  // Where things that are not SVG lie, and the window.
  const place = () => {
    const scale = frame ? (stage.clientWidth || frame.width) / frame.width : 1;
    tip.hidden = true;
    explore.hidden = !frame;
    for (const node of Object.values(handles)) node.hidden = !frame;
    if (!frame) return;
    Object.assign(explore.style, { left: `${frame.left * scale}px`, top: `${frame.top * scale}px`,
      width: `${(frame.right - frame.left) * scale}px`, height: `${(frame.bottom - frame.top) * scale}px` });
    if (!canFit) return;
    const clamp = (p) => Math.max(frame.left, Math.min(frame.right, p));
    const [low, high] = state.window.map((v) => clamp(frame.px(v)));
    const shade = svg.querySelector(".window");
    if (shade) {
      shade.setAttribute("x", low);
      shade.setAttribute("width", Math.max(0, high - low));
    }
    for (const node of Object.values(handles)) node.style.top = `${(frame.top - 29) * scale}px`;
    // In a strip above the curves, so that every point stays within reach.
    handles.low.style.left = `${low * scale}px`;
    handles.high.style.left = `${high * scale}px`;
    Object.assign(handles.both.style, { left: `${low * scale}px`, width: `${Math.max(0, high - low) * scale}px` });
    const words = `${format(state.window[0])} to ${format(state.window[1])}`;
    handles.low.setAttribute("aria-valuenow", state.window[0]);
    handles.low.setAttribute("aria-valuetext", format(state.window[0]));
    handles.high.setAttribute("aria-valuenow", state.window[1]);
    handles.high.setAttribute("aria-valuetext", format(state.window[1]));
    handles.both.setAttribute("aria-valuenow", state.window[0]);
    handles.both.setAttribute("aria-valuetext", words);
  };

  // The table of exponents: recomputed beside stored.
  const sameWindow = (a, b) => Boolean(a && b) && a.every((v, i) => Math.abs(v / b[i] - 1) < 1e-9);
  const withInterval = (value, interval) => format(value)
    + (interval && known(interval[0]) && known(interval[1]) ? ` [${format(interval[0])}, ${format(interval[1])}]` : "");
  const recomputed = (s) => {
    const line = exponentOf(s, state.window, sign);
    const cell = element("td", { class: "recomputed", "data-label": "recomputed" });
    cell.dataset.series = s.name;
    cell.dataset.exponent = line.value === null ? "" : String(line.value);
    cell.dataset.interval = line.interval ? line.interval.join(" ") : "";
    if (line.value === null) cell.append("fewer than 3 points");
    else {
      cell.append(element("span", { class: "number" }, withInterval(line.value, line.interval)),
        " ", element("span", { class: "note" }, `${line.n} points, ${line.seeds ? `${line.seeds} seed${line.seeds === 1 ? "" : "s"}` : "the drawn curve"}`));
    }
    return [cell, line];
  };
  const stored = (s, line) => {
    const cell = element("td", { "data-label": "stored claim" });
    for (const claim of s.stored) {
      const item = element("div", { title: claim.name }, element("span", { class: "number" }, withInterval(claim.measured, claim.interval)),
        known(claim.predicted) ? `, predicted ${format(claim.predicted)}` : "", claim.verdict ? `: ${claim.verdict}` : "");
      // Without a window the claim's name says on which sizes it was measured.
      if (s.stored.length > 1 || !claim.window) item.prepend(element("span", { class: "note" }, ...typeset(claim.name)));
      if (claim.window) {
        const words = `${format(claim.window[0])} to ${format(claim.window[1])}`;
        const here = sameWindow(claim.window, state.window);
        item.append(" on ", element("span", { class: "number" }, words), here ? ", this window" : " ");
        if (here && line.value !== null && Math.abs(line.value - claim.measured) > 1e-4 * Math.abs(claim.measured)) {
          item.append(element("span", { class: "note" }, line.seeds ? "the record's fit takes other points, or another mean over seeds"
            : "the record fits each seed; the page holds none, so the drawn curve is fitted here"));
        }
        if (!here) {
          const use = element("button", { type: "button", "aria-label": `Use the window ${words} of ${claim.name}` }, "use");
          use.addEventListener("click", () => { setWindow(claim.window); });
          item.append(use);
        }
      }
      cell.append(item);
    }
    return cell;
  };
  const fill = () => {
    panel.replaceChildren();
    if (!canFit) return;
    const [low, high] = state.window;
    const note = element("p", {}, `Fit window ${plot.x_label.replace(/ \(.*/, "")}: ${format(low)} to ${format(high)}`
      + `${sameWindow(plot.window, state.window) ? ", as in the record" : ""}`
      + `${high / low < 10 * (1 - 1e-9) ? "; less than a decade, such an exponent means little" : ""}.`);
    const how = element("p", { class: "how" }, `Exponents are ${sign < 0 ? "\u2212" : ""}d log y / d log x by least squares, the mean over seeds `
      + "with its 95% bootstrap interval where the page holds seeds, else of the drawn curve."
      + (state.view === "local" ? " Local exponents are centred differences between neighbouring points, so they show what is "
        + "peculiar to each; a prediction that is evaluated on the clusters drawn, or at rounded sizes, wiggles with them." : ""));
    const listed = all.filter((s) => s.kind !== "reference" && s.x.length >= 3 && !state.hidden.has(s)
      && (state.theory || s.kind === "measured" || !measured.length));
    if (!listed.length) return;
    const anyStored = listed.some((s) => s.stored.length);
    const rows = listed.map((s) => {
      const [cell, line] = recomputed(s);
      const row = element("tr", {}, element("th", { scope: "row" }, ...typeset(s.name)), cell);
      if (anyStored) row.append(stored(s, line));
      return row;
    });
    const head = element("tr", {}, element("th", { scope: "col" }, "curve"),
      element("th", { scope: "col" }, "exponent, recomputed in this page"));
    if (anyStored) head.append(element("th", { scope: "col" }, "stored claim"));
    panel.append(note, how, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Exponents of ${plot.title}` },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  };

  // --- the window moves
  const setWindow = (value) => {
    state.window = [...value];
    place();
    fill();
  };
  const nearest = (value) => {
    let best = 0;
    sizes.forEach((v, i) => { if (Math.abs(Math.log(v / value)) < Math.abs(Math.log(sizes[best] / value))) best = i; });
    return best;
  };
  const stepped = (value, step) => {
    const above = sizes.findIndex((v) => v > value * (1 + 1e-12));
    const below = sizes.filter((v) => v < value * (1 - 1e-12)).length - 1;
    let i = step > 0 ? (above < 0 ? sizes.length - 1 : above) : Math.max(0, below);
    i = Math.max(0, Math.min(sizes.length - 1, i + step - Math.sign(step)));
    return sizes[i];
  };
  const moveByKey = (edge, event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5,
      Home: -1e6, End: 1e6 }[event.key];
    if (!step) return;
    event.preventDefault();
    const [low, high] = state.window;
    if (edge === "low") setWindow([Math.min(stepped(low, step), high), high]);
    else if (edge === "high") setWindow([low, Math.max(stepped(high, step), low)]);
    else shift(low, high, nearest(stepped(low, step)) - nearest(low));
    announceFit();
  };
  const shift = (low, high, by) => {
    const a = nearest(low), b = nearest(high);
    const step = Math.max(-a, Math.min(sizes.length - 1 - b, by));
    setWindow([sizes[a + step], sizes[b + step]]);
  };
  const announceFit = () => {
    const found = [...panel.querySelectorAll(".recomputed")].slice(0, 3)
      .map((c) => `${c.dataset.series} ${c.dataset.exponent ? format(Number(c.dataset.exponent)) : "none"}`);
    say.textContent = `Window ${format(state.window[0])} to ${format(state.window[1])}. Exponents recomputed: ${found.join("; ")}`;
  };
  const moveByPointer = (edge, node, down) => {
    if (down.button) return;
    down.preventDefault();
    node.focus({ preventScroll: true });
    try { node.setPointerCapture(down.pointerId); } catch { /* a pointer that is gone already */ }
    const [low, high] = state.window;
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return frame.back((event.clientX - box.left) / box.width * frame.width);
    };
    const start = nearest(at(down));
    const move = (event) => {
      if (!frame) return;
      const i = nearest(at(event));
      if (edge === "low") setWindow([Math.min(sizes[i], state.window[1]), state.window[1]]);
      else if (edge === "high") setWindow([state.window[0], Math.max(sizes[i], state.window[0])]);
      else shift(low, high, i - start);
    };
    const stop = () => {
      node.removeEventListener("pointermove", move);
      announceFit();
    };
    node.addEventListener("pointermove", move);
    node.addEventListener("pointerup", stop, { once: true });
    node.addEventListener("pointercancel", stop, { once: true });
  };

  // --- points
  const show = (q, spoken) => {
    const here = svg.querySelector(".here");
    if (!q || !here) {
      tip.hidden = true;
      if (here) here.setAttribute("visibility", "hidden");
      return;
    }
    const c = q.curve, s = c.series, i = q.i;
    here.setAttribute("cx", q.x);
    here.setAttribute("cy", q.y);
    here.setAttribute("visibility", "visible");
    const lines = [`${plot.x_label}: ${format(s.x[i])}`,
      `${yLabel()}: ${format(c.y[i])}`];
    if (c.low && c.high) lines.push(`${s.interval || "interval"}: ${format(c.low[i])} to ${format(c.high[i])}`);
    if (state.view === "values" && predictionOf(s)) {
      const ratio = divided(s, s.y)[i];
      if (ratio !== null) lines.push(`over ${s.prediction}: ${format(ratio)}`);
    }
    if (known(s.n_seeds)) lines.push(`${s.n_seeds} seed${s.n_seeds === 1 ? "" : "s"}`);
    else lines.push(s.kind === "measured" ? "number of seeds not stored" : s.kind);
    if (s.usable && !s.usable[i]) lines.push("not used in fits");
    tip.replaceChildren(element("b", {}, ...typeset(s.name)), ...lines.map((l) => element("span", {}, ...typeset(l))));
    tip.hidden = false;
    const scale = stage.clientWidth / frame.width;
    const wide = tip.offsetWidth, tall = tip.offsetHeight;
    let left = q.x * scale + 14;
    if (left + wide > stage.clientWidth) left = q.x * scale - 14 - wide;
    left = Math.max(0, Math.min(left, stage.clientWidth - wide));
    let top = q.y * scale - tall - 12;
    if (top < 0) top = q.y * scale + 14;
    Object.assign(tip.style, { left: `${left}px`, top: `${top}px` });
    if (spoken) say.textContent = [s.name, ...lines].join(". ");
  };
  const find = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * frame.width;
    const y = (event.clientY - box.top) / box.height * frame.height;
    let best = null, least = Infinity;
    for (const list of points) {
      for (const q of list) {
        const d = (q.x - x) ** 2 + 0.6 * (q.y - y) ** 2;
        if (d < least) { least = d; best = q; }
      }
    }
    return best;
  };
  const point = (event) => {
    const q = frame && find(event);
    if (!q) return;
    const list = points.findIndex((one) => one.includes(q));
    state.at = [list, points[list].indexOf(q)];
    show(q, false);
  };
  explore.addEventListener("pointermove", point);
  explore.addEventListener("pointerdown", point);
  // A finger that is lifted leaves too: what it showed stays until another place is touched.
  explore.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(null); });
  document.addEventListener("pointerdown", (event) => { if (!explore.contains(event.target)) show(null); });
  explore.addEventListener("blur", () => show(null));
  explore.addEventListener("focus", () => { if (state.at) show(current(), false); });
  const current = () => {
    const list = points[Math.min(state.at[0], points.length - 1)];
    return list && list[Math.min(state.at[1], list.length - 1)];
  };
  explore.addEventListener("keydown", (event) => {
    if (!points.length) return;
    if (event.key === "Escape") { show(null); return; }
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e9], End: [0, 1e9] };
    const step = moves[event.key];
    if (!step) return;
    event.preventDefault();
    if (!state.at) state.at = [0, 0];
    else {
      const c = (state.at[0] + step[0] + points.length) % points.length;
      let i = state.at[1] + step[1];
      if (step[0]) {
        const from = current();
        i = points[c].reduce((best, q, j) => (Math.abs(q.x - from.x) < Math.abs(points[c][best].x - from.x) ? j : best), 0);
      }
      state.at = [c, Math.max(0, Math.min(points[c].length - 1, i))];
    }
    show(current(), true);
  });

  refresh();
  window.addEventListener("beforeprint", () => { render(PRINTED); });
  window.addEventListener("afterprint", () => { render(); });
  let before = stage.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(stage.clientWidth - before) < 1) return;
    before = stage.clientWidth;
    render();
  }).observe(stage);
};

const mark = (parent, form, x, y, r, hollow = false) => {
  const [a, b] = [x.toFixed(1), y.toFixed(1)];
  const kind = hollow ? "mark hollow" : "mark";
  if (form === "circle") { shape("circle", { class: kind, cx: a, cy: b, r }, parent); return; }
  const t = r / 3;
  const paths = {
    square: `m${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    triangle: `m0 ${-1.2 * r}l${1.2 * r} ${2.2 * r}h${-2.4 * r}z`,
    down: `m0 ${1.2 * r}l${1.2 * r} ${-2.2 * r}h${-2.4 * r}z`,
    diamond: `m0 ${-1.4 * r}l${1.4 * r} ${1.4 * r}l${-1.4 * r} ${1.4 * r}l${-1.4 * r} ${-1.4 * r}z`,
    plus: `m${-t} ${-1.2 * r}h${2 * t}v${1.2 * r - t}h${1.2 * r - t}v${2 * t}h${t - 1.2 * r}v${1.2 * r - t}h${-2 * t}v${t - 1.2 * r}h${t - 1.2 * r}v${-2 * t}h${1.2 * r - t}z`,
    cross: `m${-r} ${-r + t}l${t} ${-t}l${r - t} ${r - t}l${r - t} ${t - r}l${t} ${t}l${t - r} ${r - t}l${r - t} ${r - t}l${-t} ${t}l${t - r} ${t - r}l${t - r} ${r - t}l${-t} ${-t}l${r - t} ${t - r}z`,
  };
  shape("path", { class: kind, d: `M${a} ${b}${paths[form]}` }, parent);
};
