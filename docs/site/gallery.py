"""The gallery: a card and a page for each experiment, of its config and the committed results."""

import dataclasses
import io
import json
import textwrap
from pathlib import Path

from mkdocs.structure.files import File
from PIL import Image

from percolaw.experiments.fields import documentation
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS
from percolaw.report.claims import VERDICT_RULE
from percolaw.report.draw import typeset

RESULTS = Path(__file__).parents[1] / "results"
#: Largest width and height of a picture on a card, in pixels; of wider ones the left panel is shown.
THUMBNAIL = 480, 360


def on_files(files, config):
    pages = {"gallery/index.md": index()}
    pages |= {f"gallery/{name}.md": experiment_page(name) for name in EXPERIMENTS}
    pages |= {f"gallery/{name}.png": thumbnail(f) for name in EXPERIMENTS if (f := face(name))}
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def index():
    lines = ["# Gallery of experiments", "", "One page an experiment, made from its config and the"]
    lines += ["committed results of real runs.", ""]
    shown = set()
    for paper, (title, members) in REPRODUCTIONS.items():
        lines += [f"## {title}", "", f"`percolaw reproduce {paper}`", "", *cards(members)]
        shown.update(members)
    lines += ["## Others", "", *cards(sorted(set(EXPERIMENTS) - shown))]
    return "\n".join(lines)


def cards(names):
    lines = ['<div class="gallery" markdown>', ""]
    for name in names:
        picture = f"![]({name}.png)" if face(name) else ""
        lines += [f"[{picture}**{name}** {typeset(experiment_class(name).title)}]({name}.md)", ""]
    return [*lines, "</div>", ""]


def figures_of(name, folder):
    """Figures carry the name of their experiment at the beginning."""
    longer = tuple(e for e in EXPERIMENTS if e.startswith(name) and e != name)
    return [f for f in sorted(folder.glob(f"{name}*.png")) if not f.stem.startswith(longer)]


def face(name):
    """The committed picture of an experiment that shows most, of its own name if there is one."""
    figures = [f for _, folder in summaries() for f in figures_of(name, folder / "figures")]
    return min(figures, key=lambda f: (len(f.stem), -f.stat().st_size), default=None)


def thumbnail(file):
    with Image.open(file) as picture:
        left = min(picture.width, picture.height * THUMBNAIL[0] // THUMBNAIL[1])
        small = picture.convert("RGB").crop((0, 0, left, picture.height))
        small.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "PNG", optimize=True)
    return out.getvalue()


def summaries():
    """Committed results: what is summed up of a command, and its folder."""
    for file in sorted(RESULTS.glob("*/summary.json")):
        yield json.loads(file.read_text(encoding="utf-8")), file.parent


def experiment_page(name):
    cls = experiment_class(name)
    lines = [
        f"# {name}",
        "",
        f"**{typeset(cls.title)}.**",
        "",
        textwrap.dedent(cls.__doc__ or ""),
        "",
    ]
    lines += [
        f"Source: {cls.source}",
        "",
        f"    {getattr(cls, 'command', f'percolaw run {name}')}",
        "",
    ]
    lines += ["| preset | time on 2 cores | memory |", "|---|---|---|"]
    lines += [f"| {label} | {p.time} | {p.memory} |" for label, p in cls.presets.items()]
    for summary, folder in summaries():
        if name in summary["runs"]:
            lines += results(name, summary, folder)
    lines += ["", "## Config", "", "| field | default | |", "|---|---|---|"]
    explained, default = documentation(cls), cls()
    for field in dataclasses.fields(cls):
        value = str(getattr(default, field.name)).replace("|", "/")[:80]
        text = " ".join(explained.get(field.name, "").split()).replace("|", "\\|")
        lines.append(f"| `{field.name}` | `{value}` | {text} |")
    return "\n".join(lines)


def results(name, summary, folder):
    claims = [c for c in summary["claims"] if c["experiment"] == name]
    first = summary["provenance"].get("git_commit") or "unknown"
    commit = summary.get("measured_again", {}).get(name, first)[:10]
    lines = ["", f"## Results: `{summary['command']}`", "", f"Commit {commit}.", ""]
    if claims:
        lines += ["| claim | predicted | measured | verdict |", "|---|---|---|---|"]
        lines += [claim_row(c) for c in claims]
        lines += ["", VERDICT_RULE]
    for figure in figures_of(name, folder / "figures"):
        lines += ["", f"![{figure.stem}](../results/{folder.name}/figures/{figure.name})"]
    return lines


def claim_row(claim):
    low, high = (f"{v:.4g}" if v is not None else "?" for v in claim["interval"])
    measured = f"{claim['measured']:.4g} [{low}, {high}]"
    name = typeset(claim["name"]).replace("|", "\\|")
    predicted = f"{claim['predicted']:.4g} ± {claim['tolerance']:.2g}"
    return f"| {name} | {predicted} | {measured} | **{claim['verdict']}** |"
