"""The reference: every public name in a line, and a page of docstrings for each part of the house."""

import inspect
import re

from mkdocs.structure.files import File

import percolaw
from percolaw.public import PUBLIC

#: Modules of the reference, by part of the house. A module with a public name that is not listed
#: stands at the end of the part that has others of its package.
LISTED = {
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
        *("datasets.manifolds", "datasets.hypercubic", "datasets.formats"),
    ),
    "Targets": (
        *("targets.tree_walk", "targets.free_field", "targets.teacher", "targets.linear"),
        *("targets.relu", "targets.fourier", "targets.matern", "targets.combined"),
        *("targets.nonlinearity", "targets.slices", "targets.families"),
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
        *("experiments.base", "experiments.fields", "experiments.claims"),
        *("experiments.series", "experiments.plots"),
        *("runs.run", "runs.workers", "runs.search"),
    ),
}


def on_files(files, config):
    parts = modules()
    files.append(File.generated(config, "reference/index.md", content=index(parts)))
    for part, names in parts.items():
        page = f"# {part}\n\n" + "\n\n".join(f"## percolaw.{m}\n\n::: percolaw.{m}" for m in names)
        files.append(File.generated(config, f"reference/{slug(part)}.md", content=page))
    return files


def slug(text):
    return re.sub(r"[^a-z]+", "-", text.lower())


def modules():
    """The modules of each part, every module of a public name among them."""
    parts = {part: list(names) for part, names in LISTED.items()}
    for module in PUBLIC.values():
        if not any(module in names for names in parts.values()):
            package = module.split(".")[0]
            homes = [p for p, n in parts.items() if package in {m.split(".")[0] for m in n}]
            home = homes[-1] if homes else "Others"
            parts.setdefault(home, []).append(module)
    return parts


def index(parts):
    """Every name that `import percolaw` offers, with the first sentence of its docstring."""
    lines = ["# Reference: every public name in a line", ""]
    lines += [
        "Names of `import percolaw as pl`, by part; the pages of the parts hold the docstrings"
    ]
    lines += ["of these and of the modules behind them. What the command line offers is on"]
    lines += ["[a page of its own](command-line.md).", ""]
    for part, names in parts.items():
        lines += [f"## [{part}]({slug(part)}.md)", ""]
        lines += ["Modules: " + ", ".join(f"[`{m}`][percolaw.{m}]" for m in names), ""]
        public = [name for name, module in PUBLIC.items() if module in names]
        if public:
            lines += ["| name | what it is |", "|---|---|"]
            lines += [f"| [`{n}`][percolaw.{PUBLIC[n]}.{n}] | {sentence(n)} |" for n in public]
            lines += [""]
    return "\n".join(lines)


def sentence(name):
    """The first sentence of a public object's docstring."""
    text = inspect.getdoc(getattr(percolaw, name)) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.:]) ", first)[0].rstrip(":").replace("|", "\\|")
