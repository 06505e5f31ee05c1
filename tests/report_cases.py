"""Tiny records of every experiment, runs made of them, and a reader of the page."""

import base64
import hashlib
import html.parser
import json
import os
from dataclasses import asdict

import numpy as np
import pytest

from percolaw.experiments import plots as plots_of
from percolaw.experiments.base import plain, preset
from percolaw.experiments.claims import Claim
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit


def png(width=8, height=6, seed=None):
    """A picture; noise, which does not compress, if a seed is given."""
    import io

    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    if seed is not None:
        pixels = rng.integers(0, 256, pixels.shape, np.uint8)
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def curve(n, exponent, key="median", **more):
    y = np.asarray(n, float) ** -exponent
    return {key: y.tolist(), "low": (0.8 * y).tolist(), "high": (1.2 * y).tolist(), **more}


def tables(name, size=5):
    """Figure data of an experiment, as small as they come."""
    rng = np.random.default_rng(0)
    n = np.geomspace(1.0, 1e4, size).tolist()
    noisy = (np.array(n) ** -0.4 * np.exp(0.1 * rng.standard_normal((3, size)))).tolist()
    fit = {"exponent": 0.5, "interval": [0.4, 0.6], "window": [n[1], n[-1]]}
    if name in ("model-scaling", "data-scaling"):
        kinds = ("adjusted", "nearest", "posterior", "finite_ensemble")
        curves = {k: curve(n, 0.4 + 0.02 * i) for i, k in enumerate(kinds)}
        curves["adjusted"]["median"] = np.median(noisy, axis=0).tolist()
        return {
            "law": name.split("-")[0],
            "n": n,
            "theory": [1.1 * x**-0.4 for x in n],
            "window": [10.0, n[-1]],
            "curves": curves,
            "seeds": {"adjusted": noisy},
            "local_measured": [0.4] * size,
            "local_theory": [0.41] * size,
            "n_seeds": 3,
        }
    if name == "embedded-1nn":
        settings = [("infinite", 4, 1), ("infinite", 32, 1), ("infinite", 32, 5)]
        settings += [("z = 3", 32, 1), ("two-level", 32, 1)]
        return {
            "n": n,
            "curves": [
                {"points": p, "dim": d, "k": k, **curve(n, 0.5), **fit} for p, d, k in settings
            ],
            "ablation_dim": 32,
            "n_seeds": 3,
            "limit_curve": [x**-0.5 for x in n],
            "limit_measured": [x**-0.49 for x in n],
            "limit_dim": 128,
        }
    if name == "dimension":
        return {
            "table": [
                {"shape": s, "n": 100, "estimator": e, "truth": t, "dimension": 2.0}
                | {"values": [2.0], "interval": [1.9, 2.1], "mean_interval": [1.8, 2.2]}
                for s, t in (("cube 2", 2.0), ("infinite cluster, d = 16", None))
                for e in ("TwoNN", "MLE, k = 5")
            ],
            "estimators": ["TwoNN", "MLE, k = 5"],
            "sizes": [100],
            "shapes": ["cube 2", "infinite cluster, d = 16"],
            "n_seeds": 3,
        }
    if name == "theory-curves":
        return {
            "n": n,
            "rank_exponent": 1.0,
            "curves": [
                {"law": law, "cluster_exponent": c, "loss": [x**-c for x in n], "limit": c}
                for law in ("model", "data")
                for c in (0.1, 0.5)
            ],
        }
    if name == "cluster-sizes":
        share = [x**-0.5 for x in n[:-1]] + [0.0]
        return {
            "curves": [
                {"offspring": p, "size": n, "measured": share, "exact": share, "n": 100}
                for p in (0.9, 1.0)
            ],
            "tau": [2.5, 2.4],
        }
    if name == "embedding-faithfulness":
        names = ("rank_fraction", "distance_ratio", "distortion", "mass_radius_dimension")
        return {
            "table": [{"steps": "sphere", "dim": d, **dict.fromkeys(names, 0.5)} for d in (2, 4)],
            "trusted_from": {"sphere": None},
            "threshold": 0.99,
        }
    return {}


LATTICES = ("regimes", "dimension-table", "mean-field-check", "sampling", "learnability")
PLOTTED = (
    *("model-scaling", "data-scaling", "single-cluster", "embedded-1nn", "kernel-scaling"),
    *("teachers", "dimension", "theory-curves", "cluster-sizes", "embedding-faithfulness"),
    *("parameters-vs-dof", "exponents-by-dimension"),
    *LATTICES,
)


def claim(name="a claim", verdict="agrees", **more):
    return {
        "name": name,
        "source": "Brill 2024, section 4.2",
        "predicted": 0.5,
        "measured": 0.49,
        "interval": [0.45, 0.53],
        "tolerance": 0.03,
        "verdict": verdict,
        "note": "",
        **more,
    }


#: Experiments whose records hold their plots.
KEPT = ("model-scaling", "data-scaling", "embedded-1nn", "theory-curves", "cluster-sizes")
KEPT += ("embedding-faithfulness", "exponents-by-dimension", "mean-field-check")
KEPT += ("sampling", "dimension-table", "regimes", "learnability")
KEPT += ("kernel-scaling", "kernel-tuning", "single-cluster", "teachers")
KEPT += ("parameters-vs-dof",)
KEPT += ("nn-data-scaling", "nn-model-scaling", "nn-tuning", "effective-dof")
KEPT += ("layer-dimension", "dimension", "in-context", "architectures")
KEPT += ("hierarchical-1nn", "latent-probes", "dictionary-scaling")
KEPT += ("superposition", "features", "absorption")
KEPT += ("quanta-model", "quanta-data", "quanta-time", "quanta-composite")
KEPT += ("quanta-percolation", "quanta-discovery")
#: Those of them that draw something else from their tables.
DRAWN = ("dimension",)


def kept_plots(name, size):
    """Plots as a record has them: a curve with its claim, one with a fit, a theory, hollow points."""
    n = np.geomspace(1.0, 1e4, size)
    noisy = n**-0.4 * np.exp(0.1 * np.random.default_rng(0).standard_normal((3, size)))
    theory = LearningCurve(n, noisy, n > 1.0, n**-0.4)
    line = PowerLawFit(0.5, (0.4, 0.6), 1.0, (10.0, 1e4), 3, size, 0.0)
    said = Claim("its exponent", "x", 0.5, 0.5, (0.4, 0.6), 0.1, "disagrees")
    series = [
        plots_of.curve(
            "first", theory, claims=[said], fitted=line, prediction="theory", group="one"
        ),
        plots_of.curve("second", theory, how="median", fitted=line, predicted=0.5),
        plots_of.line("theory", "theory", n, theory.predicted, group="one"),
        plots_of.points("points", n, n**-0.3, n**-0.3 / 2, n**-0.3 * 2, interval="error"),
        plots_of.line("limit", "reference", n, np.full(size, 0.1)),
    ]
    words = ("A title", "What is to be seen.", ("n", "loss"))
    both = (plots_of.log_log(name, *words, series, (10.0, 1e4)),)
    both += (plots_of.log_linear(f"{name}-local", *words, series[2:], figure=name),)
    return [asdict(plot) for plot in both]


def record(name="model-scaling", size=5, **more):
    config = plain(preset(experiment_class(name), "smoke")) if name in EXPERIMENTS else {}
    return {
        "experiment": name,
        "schema_version": 1,
        "stream_version": 1,
        "config": config,
        "id": "0123456789ab",
        "status": "done",
        "claims": [
            claim("model exponent on N = 10..10000 (prediction: x; limit 1/2)"),
            claim("1-NN exponent, infinite, d = 4", "disagrees", note="why"),
            claim("third", "inconclusive", interval=[None, None], measured=None),
        ],
        "tables": {} if name in KEPT and name not in DRAWN else tables(name, size),
        "plots": plain(kept_plots(name, size)) if name in KEPT else [],
        "units": 3,
        "unit_seconds": 61.0,
        "code": "abc",
        "provenance": {"git_commit": "0" * 40, "git_dirty": True, "packages": {"numpy": "2"}},
        **more,
    }


def write_run(folder, content, picture=None):
    """A finished run folder with a picture newer than its record."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "record.json").write_text(
        content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
    )
    file = folder / "figures" / "a-picture.png"
    file.write_bytes(picture or _TINY)
    os.utime(file, (2e9, 2e9))
    return folder


_TINY = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Seen(html.parser.HTMLParser):
    """What a page holds, as a browser takes it."""

    VOID = ("meta", "link", "img", "br", "line", "circle", "rect", "path")

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.styles, self.open, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.tags[-1][1].get("type"), data))
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text.append(data)

    def data(self):
        def no(constant):
            raise AssertionError(f"not strict JSON: {constant}")

        return [json.loads(s, parse_constant=no) for kind, s in self.scripts if kind]

    def attributes(self, name):
        return [a[name] for _, a in self.tags if name in a]


def check_page(page):
    """Nothing runs but the package's script, nothing is loaded, ids are unique, links have targets."""
    seen = Seen(page)
    running = [s for kind, s in seen.scripts if kind is None]
    assert len(running) == 1
    assert len(seen.styles) == 1
    (policy,) = (
        a["content"] for t, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    for content, kind in ((running[0], "script"), (seen.styles[0], "style")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    for _, attributes in seen.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
    ids = seen.attributes("id")
    assert len(ids) == len(set(ids))
    for link in seen.attributes("href"):
        outside = link.startswith(("https://arxiv.org/abs/", "https://doi.org/"))
        assert outside or link == "data:," or (link.startswith("#") and link[1:] in ids), link
    assert all(s.startswith("data:image/png;base64,") for s in seen.attributes("src"))
    assert not {t for t, _ in seen.tags} & {"iframe", "object", "embed", "base", "form", "input"}
    seen.data()
    return seen


HOSTILE = (
    "</script><script>window.owned=1</script>",
    "</style><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "<!--<script>",
    "javascript:alert(1)",
    "&lt;b&gt; {{7*7}} ${1} %s {0}",
    "\u202egnp.exe \u2028\u2029 \x00\x08\x1b[31m",
    "\ud800 lone",
    "]]>--><svg/onload=alert(1)>",
)
