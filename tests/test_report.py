"""Reports: one file that says what the records say, whatever stands in them, and works in a browser."""

import base64
import contextlib
import copy
import hashlib
import html.parser
import json
import math
import os
import random
import re
import shlex
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from toy_experiment import shared_root, smoke_run

from percolaw.cli import main
from percolaw.cli.measuring import configure
from percolaw.errors import PercolawError, RunError
from percolaw.experiments import plots as plots_of
from percolaw.experiments.base import plain, preset
from percolaw.experiments.claims import Claim
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.report import records, redo, write_figures
from percolaw.report.html import build, citation, read_run, write_report
from percolaw.report.markup import embedded_json, text
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit

CHROMIUM = "/usr/bin/chromium"

# --- tiny records --------------------------------------------------------------------------------


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
#: Experiments with plots too; tests/test_nn_experiments.py looks at them.
NEURAL = ("nn-tuning", "nn-data-scaling", "nn-model-scaling", "effective-dof", "layer-dimension")


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
KEPT += ("layer-dimension", "dimension")


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
        assert link == "data:," or (link.startswith("#") and link[1:] in ids), link
    assert all(s.startswith("data:image/png;base64,") for s in seen.attributes("src"))
    assert not {t for t, _ in seen.tags} & {"iframe", "object", "embed", "base", "form", "input"}
    seen.data()
    return seen


# --- text ----------------------------------------------------------------------------------------

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


def test_text_is_safe_anywhere():
    for value in HOSTILE:
        safe = text(value)
        assert not set("<>\"'") & set(safe)
        safe.encode("utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", safe)
    assert text("a & b") == "a &amp; b"
    assert text(None) == "None"


def test_embedded_json_cannot_leave_its_element():
    for value in HOSTILE:
        found = embedded_json({value: [value, 1.5, None]})
        assert "<" not in found
        assert json.loads(found) == {value: [value, 1.5, None]}
    with pytest.raises(ValueError):
        embedded_json(math.nan)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_strings_stay_text(hostile, tmp_path):
    bad = record()
    bad["claims"] = [claim(hostile, note=hostile, source=hostile)]
    bad["config"] = {hostile: hostile, "nested": {hostile: [hostile]}}
    bad["id"] = bad["code"] = hostile
    bad["provenance"] = {hostile: hostile, "git_commit": hostile}
    run = write_run(tmp_path / "run", bad)
    kernel = record("kernel-scaling")
    for one in kernel["plots"]:
        one["title"] = one["x_label"] = one["series"][0]["name"] = hostile
    write_run(tmp_path / "kernel", kernel)
    summary = {"paper": hostile, "command": hostile, "seconds": 1, "runs": {hostile: str(run)}}
    paper = tmp_path / "paper"
    paper.mkdir()
    (paper / "summary.json").write_text(json.dumps(summary))
    seen = check_page(build([paper, tmp_path / "kernel"]))
    clean = hostile.encode("utf-8", "replace").decode()
    if clean.isprintable():
        assert any(clean in t for t in seen.text), "it is shown as it is"


def test_unknown_experiments_have_claims_and_config(tmp_path):
    name = "<b>../../etc"
    seen = check_page(build([write_run(tmp_path / "x", record(name, config={"a": 1}))]))
    assert any(name in t for t in seen.text)


# --- what the page says --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLOTTED)
def test_plots_are_of_the_record(name, tmp_path):
    content = record(name)
    run = read_run(write_run(tmp_path / "run", content))
    assert run.plots
    kept = json.dumps([content["tables"], content["plots"]])
    for plot in run.plots:
        assert re.fullmatch("[A-Za-z0-9-]+", plot.id)
        assert plot.alt.endswith(".")
        names = [s.name for s in plot.series]
        assert len(set(names)) == len(names)
        for one in plot.series:
            assert one.prediction is None or one.prediction in names
            if one.kind != "reference":
                for value in one.y:
                    assert value is None or repr(value).removesuffix(".0") in kept
    seen = check_page(build([tmp_path / "run"]))
    assert seen.data() == json.loads(json.dumps([asdict(p) for p in run.plots]))
    assert len({p.id for p in run.plots}) == len(run.plots)


def test_claims_stand_beside_their_curves(tmp_path):
    run = read_run(write_run(tmp_path / "run", record()))
    first, second = run.plots[0].series[:2]
    assert [(c.name, c.verdict, c.window) for c in first.stored] == [
        ("its exponent", "disagrees", (10.0, 1e4))
    ]
    assert second.stored[0].name == "fit in the record", "no claim: the fit kept with the curve"


def test_the_page_shows_claims_verdicts_and_how_to_redo(tmp_path):
    runs = [write_run(tmp_path / n, record(n)) for n in ("model-scaling", "dof-scan")]
    page = build(runs)
    seen = check_page(page)
    words = " ".join(seen.text)
    assert "2 experiments, 6 claims: 2 agree, 2 disagree, 2 inconclusive" in words
    assert "percolaw run model-scaling --preset smoke" in words
    assert "git checkout " + "0" * 40 in words
    assert "arXiv:2412.07942" in words
    assert "@software{percolaw" in words
    assert "computing time" in words
    assert "1 min over 3 units" in words
    assert "clusters.min_size" in words
    for verdict, sign in (("agrees", "✓"), ("disagrees", "✕"), ("inconclusive", "?")):
        assert page.count(f'<tr data-verdict="{verdict}"') == 2
        assert page.count(f'class="badge {verdict}"') == 2
        assert f"<span>{sign}</span></span>{verdict}" in page
    images = [a for t, a in seen.tags if t == "img"]
    assert len(images) == 2
    assert all(a["alt"] and a["width"] == "1" for a in images)
    assert build(runs) == page, "the same records give the same page"


def test_citations(tmp_path):
    run = read_run(write_run(tmp_path / "run", record("parameters-vs-dof")))
    articles = [f"@article{{{key}," for key in ("brill2024", "hoffmann2022", "brown2020")]
    for entry in (*articles, "@software{percolaw,"):
        assert entry in citation(run)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_commands_give_the_config_again(name):
    cls = experiment_class(name)
    for label in cls.presets:
        config = preset(cls, label)
        words = shlex.split(redo.redo_command({"config": plain(config)}, cls))
        assert words[:3] == ["percolaw", "run", name]
        assert configure(cls, words[4], words[5:]) == config
        changed = replace(config, n_seeds=17) if hasattr(config, "n_seeds") else config
        for field, value in vars(config).items():
            if isinstance(value, tuple) and value and isinstance(value[0], int | float):
                with contextlib.suppress(ValueError):
                    changed = replace(changed, **{field: value[:-1] or value})
        if hasattr(changed, "clusters") and hasattr(changed.clusters, "n_clusters"):
            changed = replace(changed, clusters=replace(changed.clusters, n_clusters=123))
        words = shlex.split(redo.redo_command({"config": plain(changed)}, cls))
        assert configure(cls, words[4], words[5:]) == changed
    assert redo.redo_command({"config": {"unknown": 1}}, cls) is None


def test_a_reproduction_stands_for_its_runs(tmp_path):
    names = ("model-scaling", "theory-curves")
    runs = {n: str(write_run(tmp_path / f"{n}-1", record(n))) for n in names}
    paper = tmp_path / "paper"
    paper.mkdir()
    summary = {"paper": "A paper", "command": "percolaw reproduce it", "runs": runs, "seconds": 90}
    (paper / "summary.json").write_text(json.dumps(summary))
    page = build([paper, tmp_path / "model-scaling-1"])
    assert page.count('class="run"') == 2, "each run once"
    assert "<title>A paper</title>" in page
    assert "percolaw reproduce it</code> (took 2 min)" in page
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in (paper, *map(Path, runs.values())):
        shutil.move(part, moved / part.name)
    assert build([moved / "paper"]).count('class="run"') == 2, "runs beside it are found"


def test_two_runs_of_one_experiment(tmp_path):
    runs = [write_run(tmp_path / f"model-scaling-{i}", record()) for i in range(2)]
    assert check_page(build(runs))


def test_pictures_are_of_the_record(tmp_path):
    """Pictures older than the record, or no pictures, are drawn anew and not written to the run."""
    run = write_run(tmp_path / "run", record("theory-curves", size=9))
    (run / "record.json").write_text(json.dumps(record("theory-curves", size=9)))
    assert [p.name for p in read_run(run).pictures] == ["a-picture"]
    os.utime(run / "figures" / "a-picture.png", (1, 1))
    (found,) = read_run(run).pictures
    assert found.name == "theory-curves"
    assert len(found.data) > 5000
    (run / "figures" / "a-picture.png").write_bytes(b"GIF89a")
    os.utime(run / "figures" / "a-picture.png", (2e9, 2e9))
    assert [p.name for p in read_run(run).pictures] == ["theory-curves"]
    assert [p.name for p in (run / "figures").iterdir()] == ["a-picture.png"]


def test_a_reproduction_stays_under_five_megabytes(tmp_path):
    """Nine runs whose pictures do not compress at all."""
    names = [*PLOTTED][:9]
    runs = [
        write_run(tmp_path / n, record(n, size=40), png(1200, 400, seed=i))
        for i, n in enumerate(names)
    ]
    started = time.perf_counter()
    path, size = write_report(runs, tmp_path / "report.html")
    assert size == path.stat().st_size < 5e6
    assert time.perf_counter() - started < 20
    check_page(path.read_text("utf-8"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_section(name, tmp_path_factory, tmp_path):
    _, finished = smoke_run(shared_root(tmp_path_factory), name)
    content = json.loads((finished / "record.json").read_text())
    run = write_run(tmp_path / "run", content)
    seen = check_page(build([run]))
    assert len(seen.data()) == len(read_run(run).plots)
    assert bool(seen.data()) == (name in (*PLOTTED, *NEURAL))
    assert experiment_class(name).title in " ".join(seen.text)


# --- errors --------------------------------------------------------------------------------------


def _unfinished(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")


def _summary(content):
    def make(folder):
        folder.mkdir()
        (folder / "summary.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )

    return make


def _of(content):
    return lambda folder: write_run(folder, content)


DAMAGED = {
    "missing": (lambda folder: None, "there is no folder", "percolaw status"),
    "empty": (lambda folder: folder.mkdir(), "neither a run folder", "percolaw status"),
    "unfinished": (_unfinished, "has not finished", "Run the same command again"),
    "not done": (_of(record(status="failed")), "has not finished", "Run the same command again"),
    "truncated": (_of(json.dumps(record())[:500]), "cannot be read", ""),
    "no object": (_of("[]"), "does not hold", "Run the same command again"),
    "deep": (_of("[" * 100_000), "cannot be read", "Run the same command again"),
    "no tables": (_of(record(tables=None)), "does not hold", "run the same command again"),
    "verdict": (_of(record(claims=[claim(verdict="?")])), "verdict", "run the same command again"),
    "claims": (_of(record(claims=[3])), "does not hold", "run the same command again"),
    "summary": (_summary("{"), "cannot be read", "percolaw reproduce"),
    "summary runs": (_summary({"runs": []}), "names no runs", "percolaw reproduce"),
    "summary where": (_summary({"runs": {"a": 1}}), "does not say where", "percolaw reproduce"),
    "summary gone": (_summary({"runs": {"a": "/no/x"}}), "is gone", "percolaw reproduce"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_runs_that_cannot_be_reported_are_refused_before_anything_is_written(
    case, tmp_path, capsys
):
    make, message, remedy = DAMAGED[case]
    make(tmp_path / "run")
    good = write_run(tmp_path / "good", record())
    out = tmp_path / "out.html"
    assert main(["report", str(good), str(tmp_path / "run"), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert remedy in said.err
    assert "Traceback" not in said.err
    assert str(tmp_path / "run") in said.err
    assert not out.exists()
    assert said.out == ""


def test_no_runs():
    with pytest.raises(RunError, match="at least one"):
        build([])


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", record())
    out = tmp_path / "deep" / "out.html"
    write_report([run], out)
    before = out.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as changed:
        changed.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_report([run, write_run(tmp_path / "b", record("teachers"))], out)
    assert out.read_bytes() == before
    assert [p.name for p in out.parent.iterdir()] == ["out.html"]
    with pytest.raises(RunError, match="is a folder"):
        write_report([run], out.parent)


def test_command(tmp_path, capsys):
    content = record("theory-curves", size=9)
    runs = [str(write_run(tmp_path / f"theory-curves-{i}", content)) for i in range(2)]
    out = tmp_path / "a report.html"
    assert main(["report", runs[0], "--out", str(out), "--figures", "svg, PDF"]) == 0
    said = capsys.readouterr().out
    assert f"report: {out}  (" in said
    assert f"figures: {tmp_path / 'a report-figures'}  (2 files" in said
    files = {p.name: p.read_bytes() for p in (tmp_path / "a report-figures").iterdir()}
    assert set(files) == {"theory-curves.svg", "theory-curves.pdf"}
    assert files["theory-curves.pdf"].startswith(b"%PDF-")
    assert b"<svg" in files["theory-curves.svg"]
    assert main(["report", runs[0], "--out", str(out), "--figures", "jpg"]) == 2
    assert "png, svg, pdf" in capsys.readouterr().err
    assert main(["report", runs[0], "--figures-dir", "x"]) == 2
    assert "--figures" in capsys.readouterr().err
    assert main(["report"]) == 2
    again = write_figures(runs, tmp_path / "more", ("svg", "png"))
    assert sorted(p.name for p in again) == [
        *("theory-curves-0.png", "theory-curves-0.svg"),
        *("theory-curves-1.png", "theory-curves-1.svg"),
    ]
    assert again[0].read_bytes() == files["theory-curves.svg"], "the same bytes every time"
    with pytest.raises(RunError, match="no folder"):
        write_figures([tmp_path / "nothing"], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_plot_data_is_checked():
    assert records.numbers([1, 2.5, None, math.nan, math.inf]) == (1.0, 2.5, None, None, None)
    for bad in (True, "1", [], {}, 10**400):
        with pytest.raises(ValueError):
            records.number(bad)
    with pytest.raises(ValueError, match="expected 3 numbers; got 2"):
        records.numbers([1, 2], 3)
    with pytest.raises(ValueError, match="both ends"):
        records.series("a", "measured", [1], [1], low=[1])
    for bad in ([2, 1], [0, 1], [-1, 1], [1, None], [1], 3):
        with pytest.raises(ValueError):
            records.fit_window(bad)


# --- fuzz ----------------------------------------------------------------------------------------

NASTY = (
    *(None, True, False, 0, -1, 1, 3, 0.0, -0.0, 1e308, -1e308, 5e-324, math.inf, -math.inf),
    *(math.nan, 10**30, 10**400, -(10**400), "", "x", "1", "done", "agrees", "</script>", "\ud800"),
    *("\x00", "a" * 300, [], {}, [[]], [None], [1, 2], [2, 1], [0, 0], {"": None}, {"a": {}}),
)


def places(value, path=()):
    """Paths of everything inside a JSON value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*path, i))


def mutated(rng, value, every):
    """A JSON text as a value with one to three changes."""
    out = json.loads(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(every)
        if not path:
            if rng.random() < 0.02:
                return rng.choice(NASTY)
            continue
        try:
            at = out
            for key in path[:-1]:
                at = at[key]
            last, kind = path[-1], rng.randrange(6)
            if kind == 0:
                del at[last]
            elif kind == 1 and isinstance(at[last], list):
                at[last] = at[last] * 2 if rng.random() < 0.5 else at[last][:-1]
            elif kind == 2:
                other = out
                for key in rng.choice(every):
                    other = other[key]
                at[last] = copy.deepcopy(other)
            else:
                at[last] = copy.deepcopy(rng.choice(NASTY))
        except (LookupError, TypeError):
            continue
    return out


def as_bytes(rng, value):
    """Its JSON, sometimes cut, with bytes changed, or deeper than any reader goes."""
    body = json.dumps(value).encode()
    kind = rng.randrange(20)
    if kind == 0:
        return body[: rng.randrange(len(body) + 1)]
    if kind == 1 and body:
        changed = bytearray(body)
        for _ in range(rng.randrange(1, 5)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        return body.replace(b"null", b"[" * 50 + b"]" * 50, 1).replace(b"0.", b"1e999 ,", 1)
    return body


def test_malformed_records_give_an_error_or_a_page(tmp_path, request):
    """Ten thousand of them with --slow, 1500 without."""
    rng = random.Random(20240613)
    n_records, n_summaries = (9_000, 1_000) if request.config.getoption("--slow") else (1_350, 150)
    folder, paper = tmp_path / "run", tmp_path / "paper"
    inside = {name: list(places(record(name, size=4))) for name in PLOTTED}
    whole = {name: json.dumps(record(name, size=4)) for name in PLOTTED}
    pages = errors = 0
    short = []
    slowest = 0.0

    def attempt(where):
        nonlocal pages, errors, slowest
        started = time.perf_counter()
        try:
            page = build([where])
        except PercolawError as error:
            errors += 1
            short.extend([str(error)] * (len(str(error)) < 20))
        else:
            pages += 1
            page.encode("utf-8")
            assert page.endswith("</html>\n")
            if pages % 25 == 0:
                check_page(page)
        slowest = max(slowest, time.perf_counter() - started)

    write_run(folder, whole["teachers"])
    for i in range(n_records):
        name = PLOTTED[i % len(PLOTTED)]
        (folder / "record.json").write_bytes(as_bytes(rng, mutated(rng, whole[name], inside[name])))
        attempt(folder)
    write_run(folder, record("parameters-vs-dof"))
    paper.mkdir()
    summary = {"paper": "a", "command": "b", "seconds": 3.0, "claims": [], "provenance": {}}
    summary["runs"] = {"parameters-vs-dof": str(folder)}
    every = list(places(summary))
    summary = json.dumps(summary)
    for _ in range(n_summaries):
        (paper / "summary.json").write_bytes(as_bytes(rng, mutated(rng, summary, every)))
        attempt(paper)
    assert pages + errors == n_records + n_summaries
    assert min(pages, errors) > 0.1 * (pages + errors), (pages, errors)
    assert slowest < 5
    assert not short, "errors that say nothing"


def test_malformed_records_that_are_drawn(tmp_path):
    """Without kept pictures Matplotlib sees the numbers too."""
    rng = random.Random(7)
    content = record("theory-curves", size=4)
    every = [p for p in places(content) if p and p[0] == "plots"]
    folder = write_run(tmp_path / "run", content)
    (folder / "figures" / "a-picture.png").unlink()
    outcomes = set()
    for _ in range(12):
        (folder / "record.json").write_text(json.dumps(mutated(rng, json.dumps(content), every)))
        said = []
        page = build([folder], said.append)
        assert content["claims"][0]["name"] in page
        assert ("cannot be drawn" in page) == bool(said)
        outcomes.add(bool(said))
    assert outcomes == {True, False}


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    runs = [write_run(root / n, record(n, size=21), png(900, 400)) for n in PLOTTED]
    return write_report(runs, root / "report.html")[0]


@pytest.fixture
def opened(browser, report_file):
    """open(width, ...) -> a page; at the end nothing has been complained about or fetched."""
    contexts, wrong = [], []

    def open_page(width=1280, file=report_file, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on(
            "request",
            lambda r: r.url.startswith(("file:", "data:")) or wrong.append(f"request: {r.url}"),
        )
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong


def numbers_of(page, plot):
    """Exponents the page shows: name of the curve -> number."""
    cells = page.locator(f'[data-plot="{plot}"] .recomputed')
    return dict(
        cells.evaluate_all("all => all.map(c => [c.dataset.series, Number(c.dataset.exponent)])")
    )


def least_squares(one, window, sign=-1.0):
    x, y = np.array(one["x"]), np.array([math.nan if v is None else v for v in one["y"]])
    use = (x >= window[0] * (1 - 1e-12)) & (x <= window[1] * (1 + 1e-12)) & (y > 0)
    return sign * np.polyfit(np.log(x[use]), np.log(y[use]), 1)[0]


def test_every_plot_is_drawn(opened):
    page = opened()
    figures = page.locator(".plot")
    assert figures.count() > 20
    drawn = figures.evaluate_all(
        "all => all.map(f => f.querySelectorAll('.stage path.curve').length)"
    )
    data = figures.evaluate_all(
        "all => all.map(f => JSON.parse(f.querySelector('script').textContent))"
    )
    assert drawn == [len(plot["series"]) for plot in data]
    paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    assert not [d for d in paths if "NaN" in d or "Infinity" in d]
    labels = page.locator('.stage svg[role="img"]').evaluate_all(
        "all => all.map(s => s.getAttribute('aria-label'))"
    )
    assert all(plot["alt"] in label for plot, label in zip(data, labels, strict=True))
    assert page.locator(".plot details table").count() >= figures.count()


def test_exponents_of_the_page_are_those_of_numpy(opened):
    page = opened()
    compared = 0
    for figure in page.locator(".plot").all():
        plot = json.loads(figure.locator("script").text_content())
        if not (plot["fit"] and plot["x_log"] and plot["y_log"]):
            assert figure.locator(".recomputed").count() == 0
            continue
        shown = numbers_of(page, plot["id"])
        if not shown:
            continue
        places = [x for s in plot["series"] for x in s["x"]]
        window = plot["window"] or (min(places), max(places))
        for one in plot["series"]:
            if one["kind"] == "reference":
                continue  # not listed
            if sum(window[0] <= x <= window[1] for x in one["x"]) >= 3:
                expected = least_squares(one, window, 1.0 if plot["growth"] else -1.0)
                assert shown[one["name"]] == pytest.approx(expected, abs=1e-11)
                compared += 1
    assert compared > 30


def test_the_window_moves_by_key_and_by_pointer(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')
    figure.scroll_into_view_if_needed()
    plot = json.loads(figure.locator("script").text_content())
    x = plot["series"][0]["x"]
    before = numbers_of(page, "model-scaling")
    low, high = figure.locator(".handle.low"), figure.locator(".handle.high")
    assert low.get_attribute("role") == "slider"
    low.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    start = float(low.get_attribute("aria-valuenow"))
    assert start in x
    assert start > plot["window"][0]
    now = numbers_of(page, "model-scaling")
    assert now != before
    for one in plot["series"]:
        assert now[one["name"]] == pytest.approx(least_squares(one, (start, x[-1])), abs=1e-11)
    assert "recomputed" in figure.locator(".sr").text_content()
    page.keyboard.press("Home")
    assert float(low.get_attribute("aria-valuenow")) == x[0]
    box = high.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] - 150, box["y"] + 10, steps=5)
    page.mouse.up()
    end = float(high.get_attribute("aria-valuenow"))
    assert x[0] < end < x[-1]
    now = numbers_of(page, "model-scaling")
    one = plot["series"][0]
    assert now[one["name"]] == pytest.approx(least_squares(one, (x[0], end)), abs=1e-11)
    mover = figure.locator(".mover")
    mover.focus()
    page.keyboard.press("ArrowRight")
    assert float(low.get_attribute("aria-valuenow")) == x[1]
    assert float(high.get_attribute("aria-valuenow")) > end
    assert "recomputed in this page" in figure.locator(".fit").inner_text()
    assert "stored claim" in figure.locator(".fit").inner_text()
    figure.get_by_role("button", name="reset window").click()
    assert numbers_of(page, "model-scaling") == before


def test_points_by_pointer_and_by_key(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')
    explore, tip = figure.locator(".explore"), figure.locator(".tip")
    explore.scroll_into_view_if_needed()
    assert tip.is_hidden()
    box = explore.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    assert tip.is_visible()
    words = tip.inner_text()
    for part in ("degrees of freedom N: ", "mean squared error: "):
        assert part in words
    page.mouse.move(2, 2)
    assert tip.is_hidden()
    explore.focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowDown", "Home", "ArrowLeft"):
        page.keyboard.press(key)
        assert tip.is_visible()
        seen.append(tip.inner_text())
        assert tip.inner_text().split("\n")[0] in figure.locator(".sr").text_content()
    assert len(set(seen)) == 5, "the last is at the end already"
    for part in ("N: 1\n", "16 to 84 percentile over seeds: ", "over theory: ", "3 seeds"):
        assert part in seen[0]
    assert "10⁴" in seen[2] or "10000" in seen[2]
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "mover"


def test_toggles(opened):
    page = opened()
    figure = page.locator('[data-plot="model-scaling"]')

    def count(what):
        return figure.locator(f".stage {what}").count()

    assert (count("path.curve"), count("path.seed"), count("path.theory")) == (5, 0, 2)
    figure.locator('[data-toggle="seeds"]').click()
    assert count("path.seed") == 3
    figure.locator('[data-toggle="theory"]').click()
    assert (count("path.curve"), count("path.theory")) == (3, 0)
    assert figure.locator('[data-toggle="theory"]').get_attribute("aria-pressed") == "false"
    figure.locator('[data-toggle="theory"]').click()
    figure.locator('[data-view="residual"]').click()
    assert count("path.one") == 1
    assert count("path.curve") == 4, "the theory itself has none"
    figure.locator('[data-view="local"]').click()
    assert "local exponent, recomputed in this page" in figure.locator(".stage svg").text_content()
    box = figure.locator(".explore")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    shown = figure.locator(".tip").inner_text()
    plot = json.loads(figure.locator("script").text_content())
    one = plot["series"][0]
    slope = -np.gradient(np.log(one["y"]), np.log(one["x"]))
    found = float(re.search(r"this page: (\S+)", shown).group(1).replace("−", "-"))
    assert found == pytest.approx(slope[1], rel=1e-3)
    figure.locator('[data-view="values"]').click()
    first = figure.locator(".legend button").first
    first.focus()
    page.keyboard.press("Enter")
    assert count("path.curve") == 4
    assert first.get_attribute("aria-pressed") == "false"
    assert "adjusted 1-NN (the paper's learner)" not in numbers_of(page, "model-scaling")


def test_claims_filter_and_links(opened):
    page = opened(reduced_motion="reduce")
    n = len(PLOTTED)
    assert page.locator(".claims tr[data-verdict]:visible").count() == 3 * n
    page.get_by_role("button", name=re.compile("^disagrees")).click()
    assert page.locator(".claims tr[data-verdict]:visible").count() == n
    link = page.locator(".claims tr[data-verdict]:visible a").first
    target = link.get_attribute("href")
    link.click()
    assert page.locator(target).bounding_box()["y"] < 900


def artifacts(tmp_path):
    where = os.environ.get("PERCOLAW_ARTIFACTS")
    if where:
        Path(where).mkdir(parents=True, exist_ok=True)
    return Path(where) if where else tmp_path


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(1280, "light", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
        (390, "dark"),
    ],
)
def test_no_width_scrolls_sideways(width, scheme, opened, tmp_path):
    page = opened(width, color_scheme=scheme)
    file = artifacts(tmp_path) / f"report-{width}-{scheme}.png"
    page.screenshot(path=file, full_page=True)
    assert file.stat().st_size > 20_000
    for narrow in (width, 360):
        page.set_viewport_size({"width": narrow, "height": 800})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= narrow
    wide = page.locator(".stage svg").first.bounding_box()["width"]
    assert wide <= 360
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_print_shows_everything_and_no_controls(opened):
    page = opened(color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    for hidden in (".controls", ".handle", ".explore", "nav"):
        assert page.locator(hidden).first.is_hidden()
    for visible in (".stage svg", ".plot details table", ".pictures img", ".claims table"):
        assert page.locator(visible).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_without_scripts_pictures_and_tables_remain(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".pictures img").first.is_visible()
    assert page.locator(".claims tr[data-verdict]").first.is_visible()
    page.locator(".plot summary").first.click()
    assert page.locator(".plot details table").first.is_visible()


def test_hostile_records_run_nothing(opened, tmp_path):
    bad = record("kernel-scaling")
    for i, entry in enumerate(one for plot in bad["plots"] for one in plot["series"]):
        entry["name"] = HOSTILE[i % len(HOSTILE)]
    bad["claims"] = [claim(h, note=h, source=h) for h in HOSTILE]
    bad["config"] = {h: h for h in HOSTILE}
    file, _ = write_report([write_run(tmp_path / "run", bad)], tmp_path / "x.html")
    page = opened(file=file)
    page.wait_for_timeout(100)
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator(".stage path.curve").count() > 4


@pytest.mark.parametrize(
    "values", [[1e308, 1e-308, 1e300], [0, 0, 0], [None, None, None], [-1, 5, 2]]
)
def test_strange_numbers_are_drawn_or_said(values, opened, tmp_path):
    bad = record("parameters-vs-dof", len(values))
    bad["plots"][0]["series"][0]["y"] = values
    file, _ = write_report([write_run(tmp_path / "run", bad)], tmp_path / "x.html")
    page = opened(file=file)
    for view in ("values", "local"):
        page.locator(f'[data-view="{view}"]').click()
        paths = page.locator(".stage path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
        assert not [d for d in paths if "NaN" in d or "Infinity" in d]
