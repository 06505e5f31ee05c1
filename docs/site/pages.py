"""Pages of the site that are made, not written: start, gallery of experiments, reference."""

import dataclasses
import inspect
import json
import re
import textwrap
from pathlib import Path

from mkdocs.structure.files import File

from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS
from percolaw.report.claims import VERDICT_RULE

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
#: Modules of the reference, by part of the house.
REFERENCE = {
    "Learning curves": ("learning", "scaling.curve", "scaling.losses", "scaling.fit"),
    "Laws": (
        *("laws.bethe", "laws.hypercubic", "laws.single_cluster", "laws.scaling_laws"),
        *("laws.allocation", "laws.ensembles"),
    ),
    "Trees and graphs": ("structure", "tree", "graph", "rng"),
    "Clusters": (
        *("clusters.conditioned", "clusters.growth", "clusters.ensembles", "clusters.brownian"),
        *("clusters.hypercubic.box", "clusters.hypercubic.grown"),
    ),
    "Embedding": ("embedding.walk", "embedding.skeleton", "embedding.faithfulness"),
    "Sources and datasets": (
        *("datasets.source", "datasets.sources", "datasets.dataset", "datasets.make"),
        *("datasets.manifolds", "datasets.formats"),
    ),
    "Targets": (
        *("targets.tree_walk", "targets.teacher", "targets.linear", "targets.relu"),
        *("targets.fourier", "targets.matern", "targets.combined", "targets.nonlinearity"),
        *("targets.slices", "targets.families"),
    ),
    "Learners": (
        *("learners.tree_nearest", "learners.tree_posterior", "learners.neighbors"),
        *("learners.kernel", "learners.random_features", "numerics.covariance"),
        *("numerics.neighbors", "numerics.degrees_of_freedom"),
    ),
    "Neural students": (
        *("neural.config", "neural.training", "neural.trained", "neural.network", "neural.mlp"),
        *("neural.transformer", "neural.losses", "neural.stream", "neural.regression"),
        *("neural.activations", "neural.tangent_kernel", "neural.limit"),
    ),
    "Dimension": (
        *("dimension.estimate", "dimension.two_nn", "dimension.mle", "dimension.correlation"),
        "dimension.mass_radius",
    ),
    "Experiments and runs": (
        *("experiments.base", "experiments.fields", "experiments.claims", "experiments.plots"),
        *("runs.run", "runs.workers", "runs.search"),
    ),
}


def on_files(files, config):
    """Add the made pages."""
    pages = {"index.md": start(), "gallery/index.md": gallery_index()}
    pages |= {f"gallery/{name}.md": experiment_page(name) for name in EXPERIMENTS}
    pages |= {"reference/index.md": reference_index()}
    pages |= {
        f"reference/{slug(part)}.md": f"# {part}\n\n"
        + "\n\n".join(f"## percolaw.{m}\n\n::: percolaw.{m}" for m in modules)
        for part, modules in REFERENCE.items()
    }
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def slug(text):
    return re.sub(r"[^a-z]+", "-", text.lower())


def start():
    """The README, with its links turned towards the site."""
    text = (ROOT / "README.md").read_text()
    text = text.replace("](docs/", "](")
    for name in ("CONTRIBUTING.md", "VISION.md", "CHANGELOG.md"):
        text = re.sub(rf"\[([^\]]*)\]\({name}\)", r"\1", text)  # not part of the site
    return re.sub(r"\]\((results/[^)]*claims\.md)\)", "](findings.md)", text)


def summaries():
    """Committed claims by experiment: (reproduction, command, claims)."""
    for file in sorted(RESULTS.glob("*/summary.json")):
        yield file.parent.name, json.loads(file.read_text())


def gallery_index():
    lines = ["# Gallery of experiments", "", "One page an experiment, made from its config and the"]
    lines += ["committed results of real runs.", ""]
    for paper, (title, members) in REPRODUCTIONS.items():
        lines += [f"## {title}", "", f"`percolaw reproduce {paper}`", ""]
        lines += [f"- [{name}]({name}.md): {experiment_class(name).title}" for name in members]
        lines += [""]
    others = set(EXPERIMENTS) - {m for _, members in REPRODUCTIONS.values() for m in members}
    lines += ["## Others", ""]
    lines += [f"- [{name}]({name}.md): {experiment_class(name).title}" for name in sorted(others)]
    return "\n".join(lines)


def experiment_page(name):
    cls = experiment_class(name)
    lines = [f"# {name}", "", f"**{cls.title}.**", "", textwrap.dedent(cls.__doc__ or ""), ""]
    lines += [f"Source: {cls.source}", "", f"    percolaw run {name}", ""]
    lines += ["| preset | time on 2 cores | memory |", "|---|---|---|"]
    lines += [f"| {label} | {p.time} | {p.memory} |" for label, p in cls.presets.items()]
    for place, summary in summaries():
        claims = [c for c in summary["claims"] if c["experiment"] == name]
        module = EXPERIMENTS[name].split(":")[0].rpartition(".")[2]
        if name not in summary["runs"]:
            continue
        first = summary["provenance"].get("git_commit") or "unknown"
        commit = summary.get("measured_again", {}).get(name, first)[:10]
        lines += ["", f"## Results: `{summary['command']}`", "", f"Commit {commit}.", ""]
        if claims:
            lines += ["| claim | predicted | measured | verdict |", "|---|---|---|---|"]
            lines += [claim_row(c) for c in claims]
            lines += ["", VERDICT_RULE]
        for figure in figures_of(module, RESULTS / place / "figures"):
            lines += ["", f"![{figure.stem}](../results/{place}/figures/{figure.name})"]
    lines += ["", "## Config", "", "| field | default | |", "|---|---|---|"]
    documented = field_docs(cls)
    for field in dataclasses.fields(cls):
        default = getattr(cls(), field.name)
        text = documented.get(field.name, "").replace("|", "\\|")
        lines.append(f"| `{field.name}` | `{str(default).replace('|', '/')[:80]}` | {text} |")
    return "\n".join(lines)


def claim_row(claim):
    low, high = (f"{v:.4g}" if v is not None else "?" for v in claim["interval"])
    measured = f"{claim['measured']:.4g} [{low}, {high}]"
    name = claim["name"].replace("|", "\\|")
    predicted = f"{claim['predicted']:.4g} ± {claim['tolerance']:.2g}"
    return f"| {name} | {predicted} | {measured} | **{claim['verdict']}** |"


def figures_of(module, folder):
    """Figures of an experiment carry its name, or that of its module, at the beginning."""
    own = module.replace("_", "-")
    longer = [e for e in EXPERIMENTS if e.startswith(own) and e != own]
    return [
        f
        for f in sorted(folder.glob(f"{own}*.png"))
        if not any(f.stem.startswith(other) for other in longer)
    ]


def field_docs(cls):
    """The strings below the fields of a config."""
    found = re.findall(r'^    (\w+): .*?\n    """(.*?)"""', inspect.getsource(cls), re.M | re.S)
    return {name: " ".join(text.split()) for name, text in found}


def reference_index():
    lines = ["# Reference", "", "Made from the docstrings.", ""]
    for part, modules in REFERENCE.items():
        lines.append(f"- [{part}]({slug(part)}.md): " + ", ".join(f"`{m}`" for m in modules))
    return "\n".join(lines)
