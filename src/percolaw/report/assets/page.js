// The page around the plots: filter of the claims, what is copied, where the reader is, what is printed.

for (const node of document.querySelectorAll("[data-formulas], h2, h3, figcaption p, .claims th a, .claims .note, .disagreements a")) {
  if (!node.childElementCount) node.replaceChildren(...typeset(node.textContent));
}
for (const figure of document.querySelectorAll(".plot")) {
  try {
    draw(figure);
  } catch (error) {
    figure.querySelector(".drawing").textContent = `This plot could not be drawn (${error.message}); its data are below.`;
    console.error(error);
  }
}

for (const block of document.querySelectorAll("pre")) {
  const box = element("div", { class: "copyable" });
  block.replaceWith(box);
  box.append(block, copyButton("copy", () => block.textContent, block.dataset.what || "Copy this text"));
}
for (const figure of document.querySelectorAll(".pictures figure")) {
  const image = figure.querySelector("img"), name = figure.dataset.name;
  const button = element("button", { type: "button", "aria-label": `Picture ${name} in pixels` }, "PNG");
  button.dataset.take = "png";
  button.addEventListener("click", () => {
    const bytes = Uint8Array.from(atob(image.src.split(",")[1]), (c) => c.charCodeAt(0));
    save(`${name}.png`, "image/png", bytes);
  });
  figure.append(element("div", { class: "take controls" }, "download ", button));
}

const claims = document.querySelector("details.claims");
const filter = claims && claims.querySelector(".filter");
if (filter) {
  filter.hidden = false;
  const rows = [...claims.querySelectorAll("[data-verdict]")];
  filter.append("show ");
  const choices = ["all", "agrees", "disagrees", "inconclusive"].map((name) => {
    const n = name === "all" ? rows.length : rows.filter((r) => r.dataset.verdict === name).length;
    const node = element("button", { type: "button", "aria-pressed": String(name === "all") }, `${name} (${n})`);
    node.addEventListener("click", () => {
      for (const other of choices) other.setAttribute("aria-pressed", String(other === node));
      for (const row of rows) row.hidden = name !== "all" && row.dataset.verdict !== name;
      for (const group of claims.querySelectorAll("tbody")) {
        group.hidden = [...group.querySelectorAll("[data-verdict]")].every((row) => row.hidden);
      }
    });
    return node;
  });
  const table = (kind) => () => {
    const { before, after } = filter.dataset[kind] ? JSON.parse(filter.dataset[kind]) : {};
    return [before, ...rows.filter((row) => !row.hidden).map((row) => row.dataset[kind]), after].filter(Boolean).join("\n") + "\n";
  };
  filter.append(...choices, " copy these as ", copyButton("Markdown", table("markdown"), "Copy the claims shown as a Markdown table"),
    copyButton("LaTeX", table("latex"), "Copy the claims shown as a LaTeX table"));
}

// A link to something folded unfolds it.
const unfold = (hash) => {
  const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
};
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link) unfold(link.hash);
});
unfold(location.hash);

// The bar of links says where the reader is.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.getAttribute("href").slice(1), a]));
const marks = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
const here = () => {
  const last = marks.filter((node) => node.getBoundingClientRect().top < 120).pop();
  for (const [id, link] of links) {
    const now = Boolean(last) && id === last.id;
    if (now === link.hasAttribute("aria-current")) continue;
    if (!now) link.removeAttribute("aria-current");
    else {
      link.setAttribute("aria-current", "true");
      const bar = link.closest("ul");
      bar.scrollTo({ left: link.offsetLeft - bar.clientWidth / 2 });
    }
  }
};
let waiting = false;
window.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; here(); });
}, { passive: true });
here();

// The claims are printed; what else is folded stays so.
let opened = false;
window.addEventListener("beforeprint", () => {
  opened = Boolean(claims) && !claims.open;
  if (opened) claims.open = true;
});
window.addEventListener("afterprint", () => { if (opened) claims.open = false; });

// While runs go on the file is written anew, and loaded anew until somebody works with the page.
const live = document.querySelector(".live");
if (live) {
  let touched = false;
  const said = element("p", { class: "note" }, "This page loads itself anew until you touch it.");
  const again = element("button", { type: "button" }, "load anew");
  again.addEventListener("click", () => location.reload());
  live.append(said);
  const touch = () => {
    if (touched) return;
    touched = true;
    said.replaceChildren("It stays as it is since you touched it. ", again);
  };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, touch);
  setInterval(() => { if (!touched && !document.hidden) location.reload(); }, 1000 * Number(live.dataset.reload));
}
