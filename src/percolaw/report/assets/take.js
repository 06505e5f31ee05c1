// What can be taken out of the page: data as CSV, plots as SVG and PNG, texts by a button.

const save = (name, type, content) => {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};

const copyButton = (label, text, hint) => {
  const node = element("button", { type: "button", class: "copy", "aria-label": hint }, label);
  node.addEventListener("click", async () => {
    const content = text();
    try {
      await navigator.clipboard.writeText(content);
    } catch { // no clipboard outside of secure places: the older way
      const area = element("textarea", { class: "sr", "aria-hidden": "true" });
      area.value = content;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    node.textContent = "copied";
    setTimeout(() => { node.textContent = label; }, 1500);
  });
  return node;
};

// One row a point and seed; rows without a seed are the drawn curve.
const csvOf = (figure, plot) => {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(value);
    const safe = /^[=+@\t\r-]/.test(value) ? `'${value}` : value; // no formula of a spreadsheet
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const rows = [["run", "plot", "series", "kind", "seed", "x_label", "x", "y_label", "y", "low", "high", "interval", "usable"]];
  const add = (s, seed, i, y) => rows.push([figure.dataset.run, plot.id, s.name, s.kind, seed, plot.x_label, s.x[i], plot.y_label, y,
    seed === "" && s.low ? s.low[i] : null, seed === "" && s.high ? s.high[i] : null,
    seed === "" && s.low ? s.interval : "", s.usable ? s.usable[i] : ""]);
  for (const s of plot.series) {
    s.x.forEach((x, i) => add(s, "", i, s.y[i]));
    (s.seeds || []).forEach((curve, seed) => curve.forEach((y, i) => add(s, seed, i, y)));
  }
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
};

const MARGIN = 10; // of a picture, in pixels
const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity",
  "stroke-linejoin", "opacity", "font-size", "font-family", "visibility"];
// A copy that looks the same away from the page's style sheet.
const standing = (node) => {
  const copy = node.cloneNode(true);
  const from = [node, ...node.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((one, i) => {
    const look = getComputedStyle(one);
    for (const name of LOOKS) to[i].setAttribute(name, look.getPropertyValue(name));
    for (const name of ["class", "style", "role", "aria-label"]) to[i].removeAttribute(name);
  });
  return copy;
};

// The plot as it is shown, with title and legend, in the colours for paper.
const pictureOf = (figure, plot) => {
  const root = document.documentElement;
  root.dataset.paper = "";
  try {
    const drawn = figure.querySelector(".stage > svg");
    const [, , width, height] = drawn.getAttribute("viewBox").split(" ").map(Number);
    const wide = width + 2 * MARGIN;
    const whole = shape("svg", { width: wide, "font-family": "sans-serif" });
    const paper = shape("rect", { width: "100%", height: "100%", fill: "#ffffff" }, whole);
    const title = shape("text", { x: MARGIN, y: 20, "font-size": 14, fill: "#1b2126" }, whole);
    typesetSVG(title, plot.title);
    const inner = standing(drawn);
    for (const [key, value] of Object.entries({ x: MARGIN, y: 30, width, height })) inner.setAttribute(key, value);
    whole.append(inner);
    let x = MARGIN, y = height + 40;
    for (const button of figure.querySelectorAll('.legend button[aria-pressed="true"]')) {
      const words = button.querySelector("span");
      const long = 44 + 7 * words.textContent.length;
      if (x > MARGIN && x + long > wide) { x = MARGIN; y += 20; }
      const sample = standing(button.querySelector("svg"));
      sample.setAttribute("x", x);
      sample.setAttribute("y", y);
      whole.append(sample);
      typesetSVG(shape("text", { x: x + 36, y: y + 11, "font-size": 12, fill: "#1b2126" }, whole), button.dataset.series);
      x += long;
    }
    const tall = y + 24;
    whole.setAttribute("height", tall);
    whole.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
    paper.setAttribute("height", tall);
    return { text: new XMLSerializer().serializeToString(whole), width: wide, height: tall };
  } finally {
    delete root.dataset.paper;
  }
};

const pngOf = async ({ text, width, height }) => {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = element("canvas", { width: 3 * width, height: 3 * height });
  canvas.getContext("2d").drawImage(image, 0, 0, 3 * width, 3 * height);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
};

// The row of buttons below a plot.
const takeAway = (figure, plot) => {
  const name = [figure.dataset.run, plot.id].filter(Boolean).join("-").replace(/[^A-Za-z0-9-]+/g, "-");
  const button = (label, what, action) => {
    const node = element("button", { type: "button", "aria-label": `${what} of ${plot.title}` }, label);
    node.dataset.take = label.toLowerCase();
    node.addEventListener("click", action);
    return node;
  };
  return element("div", { class: "take controls", role: "group", "aria-label": `Take out ${plot.title}` }, "download ",
    button("CSV", "Data", () => save(`${name}.csv`, "text/csv", csvOf(figure, plot))),
    button("SVG", "Picture without pixels", () => save(`${name}.svg`, "image/svg+xml", pictureOf(figure, plot).text)),
    button("PNG", "Picture in pixels", async () => save(`${name}.png`, "image/png", await pngOf(pictureOf(figure, plot)))));
};
