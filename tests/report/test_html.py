"""Reports: one file that says what the records say, whatever stands in them."""

import json
import math
import os
import re
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from report_cases import HOSTILE, PLOTTED, check_page, claim, png, record, write_run
from runnable import SMOKE
from toy_experiment import shared_root, smoke_run

from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.real.analysis import DataAnalysis
from percolaw.experiments.registry import experiment_class
from percolaw.report import records, write_figures
from percolaw.report.html import build, read_run, write_report
from percolaw.report.markup import embedded_json, text
from percolaw.runs import folders
from percolaw.runs import status as run_status

#: Experiments with plots too; tests/experiments/networks looks at them.
NEURAL = ("kernel-tuning", "nn-tuning", "nn-data-scaling", "nn-model-scaling")
NEURAL += ("effective-dof", "layer-dimension", "in-context", "architectures")
NEURAL += ("hierarchical-1nn", "latent-probes", "dictionary-scaling")
NEURAL += ("superposition", "features", "absorption")
NEURAL += ("quanta-model", "quanta-data", "quanta-time", "quanta-composite")
NEURAL += ("quanta-percolation", "quanta-discovery")


# --- text ----------------------------------------------------------------------------------------


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
    data = check_page(build([tmp_path / "run"])).data()
    colors = [one.pop("colors") for one in data]
    whole = json.loads(json.dumps([asdict(p) for p in run.plots]))
    for one, other in zip(data, whole, strict=True):
        for held, kept_series in zip(one["series"], other["series"], strict=True):
            for a, b in zip(held.pop("seeds") or (), kept_series.pop("seeds") or (), strict=True):
                assert a == pytest.approx(b, rel=1e-5), "six digits"
    assert data == whole
    assert [len(c) for c in colors] == [len(p.series) for p in run.plots]
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
        assert page.count(f'class="badge {verdict}"') == 2, "once each, in the table"
        assert f"<span>{sign}</span></span>{verdict}" in page
    images = [a for t, a in seen.tags if t == "img"]
    assert len(images) == 2
    assert all(a["alt"] and a["width"] == "1" for a in images)
    assert build(runs) == page, "the same records give the same page"


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
    assert "(took 2 min):</p><pre>percolaw reproduce it</pre>" in page
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in (paper, *map(Path, runs.values())):
        shutil.move(part, moved / part.name)
    assert build([moved / "paper"]).count('class="run"') == 2, "runs beside it are found"


def test_pictures_are_of_the_record(tmp_path):
    """Pictures older than the record, or no pictures, are drawn anew and not written to the run."""
    run = write_run(tmp_path / "run", record("dimension", size=9))
    assert [p.name for p in read_run(run).pictures] == ["a-picture"]
    kept = run / "figures" / "a-picture.png"
    os.utime(kept, (1, 1))
    (found,) = read_run(run).pictures
    assert found.name == "dimension"
    assert len(found.data) > 5000
    kept.write_bytes(b"GIF89a")
    os.utime(kept, (2e9, 2e9))
    assert [p.name for p in read_run(run).pictures] == ["dimension"]
    assert [p.name for p in (run / "figures").iterdir()] == ["a-picture.png"]


def test_pictures_that_repeat_a_plot_are_left_out(tmp_path):
    run = write_run(tmp_path / "run", record("theory-curves", size=9))
    (run / "figures" / "a-picture.png").rename(run / "figures" / "theory-curves.png")
    assert read_run(run).plots[0].id == "theory-curves"
    assert not read_run(run).pictures
    (run / "figures" / "theory-curves.png").unlink()
    assert not read_run(run).pictures, "and none is drawn"


@pytest.mark.slow
def test_a_reproduction_stays_under_five_megabytes(tmp_path):
    """Nine runs whose pictures do not compress at all."""
    names = [*PLOTTED][:9]
    runs = [
        write_run(tmp_path / n, record(n, size=40), png(500, 300, seed=i))
        for i, n in enumerate(names)
    ]
    started = time.process_time()
    path, size = write_report(runs, tmp_path / "report.html")
    assert size == path.stat().st_size < 5e6
    assert time.process_time() - started < 20
    check_page(path.read_text("utf-8"))


@pytest.mark.parametrize("name", SMOKE)
def test_every_experiment_has_a_section(name, tmp_path_factory, tmp_path):
    _, finished = smoke_run(shared_root(tmp_path_factory), name)
    content = json.loads((finished / "record.json").read_text())
    run = write_run(tmp_path / "run", content)
    seen = check_page(build([run]))
    assert len(seen.data()) == len(read_run(run).plots)
    analysis = issubclass(experiment_class(name), DataAnalysis) or name == "analyze-confusion"
    assert bool(seen.data()) == (analysis or name in (*PLOTTED, *NEURAL))
    assert experiment_class(name).title in " ".join(seen.text)


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


# --- errors --------------------------------------------------------------------------------------


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


def test_an_unfinished_run_is_refused_alone_and_left_out_among_others(tmp_path, capsys):
    _unfinished(tmp_path / "run")
    good, out = write_run(tmp_path / "good", record()), tmp_path / "out.html"
    assert main(["report", str(tmp_path / "run"), "--out", str(out)]) == 1
    assert "run has not finished: it has no rec" in capsys.readouterr().err
    assert not out.exists()
    assert main(["report", str(good), str(tmp_path / "run"), "--out", str(out)]) == 0
    assert "run has not finished and is left out" in capsys.readouterr().err
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
    content = record("exponents-by-dimension", size=9)
    runs = [str(write_run(tmp_path / f"exponents-by-dimension-{i}", content)) for i in range(2)]
    out = tmp_path / "a report.html"
    assert main(["report", runs[0], "--out", str(out), "--figures", "svg, PDF"]) == 0
    said = capsys.readouterr().out
    assert f"report: {out}  (" in said
    assert f"figures: {tmp_path / 'a report-figures'}  (2 files" in said
    files = {p.name: p.read_bytes() for p in (tmp_path / "a report-figures").iterdir()}
    assert set(files) == {"exponents-by-dimension.svg", "exponents-by-dimension.pdf"}
    assert files["exponents-by-dimension.pdf"].startswith(b"%PDF-")
    assert b"<svg" in files["exponents-by-dimension.svg"]
    assert main(["report", runs[0], "--out", str(out), "--figures", "jpg"]) == 2
    assert "png, svg, pdf" in capsys.readouterr().err
    assert main(["report", runs[0], "--figures-dir", "x"]) == 2
    assert "--figures" in capsys.readouterr().err
    assert main(["report"]) == 2
    again = write_figures(runs, tmp_path / "more", ("svg",))
    assert sorted(p.name for p in again) == [
        *("exponents-by-dimension-0.svg", "exponents-by-dimension-1.svg"),
    ]
    assert again[0].read_bytes() == files["exponents-by-dimension.svg"], "the same bytes every time"
    with pytest.raises(RunError, match="no folder"):
        write_figures([tmp_path / "nothing"], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_watching_writes_the_page_again_until_nothing_goes_on(tmp_path, monkeypatch, capsys):
    """One run has finished, the other does while the page is watched."""
    root, out = tmp_path / "runs", tmp_path / "out.html"
    done = write_run(root / "done", record("teachers"))
    going = root / "going"
    going.mkdir()
    (going / "config.json").write_text("{}")
    for folder in (done, going):
        (folder / "units.sqlite").touch()
    state = {"done": 1, "state": "running", "units": 3}
    monkeypatch.setattr(
        run_status,
        "status",
        lambda path, _: run_status.RunStatus(str(path), "model-scaling", **state),
    )
    pages = []

    def pause(seconds):
        assert seconds > 1
        pages.append(out.read_text("utf-8"))
        state["done"] += 1
        if state["done"] == 3:
            write_run(going, record())

    monkeypatch.setattr("percolaw.cli.report.time.sleep", pause)
    monkeypatch.setattr(folders, "damaged_units", lambda run: 0)
    assert main(["report", str(root), "--out", str(out)]) == 0
    assert f"{going} has not finished and is left out" in capsys.readouterr().err
    assert out.read_text("utf-8").count('class="run"') == 1
    assert main(["report", str(root), "--watch", "--out", str(out)]) == 0
    assert [page.count('class="run"') for page in pages] == [1, 1]
    assert [re.findall("running  ([123])/3 units", page) for page in pages] == [["1"], ["2"]]
    last = out.read_text("utf-8")
    assert last.count('class="run"') == 2
    assert 'class="live"' not in last
    assert "Ctrl-C ends" in capsys.readouterr().out


def test_a_page_of_runs_that_go_on_needs_no_finished_one():
    seen = check_page(build([], running=["model-scaling <b>"]))
    assert "model-scaling <b>" in seen.text
    assert ("aside", {"class": "live", "data-reload": "5"}) in seen.tags


def test_plot_data_is_checked():
    assert records.numbers([1, 2.5, None, math.nan, math.inf]) == (1.0, 2.5, None, None, None)
    for bad in (True, "1", [], {}, 10**400):
        with pytest.raises(ValueError):
            records.number(bad)
    with pytest.raises(ValueError, match="expected 3 numbers; got 2"):
        records.numbers([1, 2], 3)
    with pytest.raises(ValueError, match="both ends"):
        records.read_series({"name": "a", "kind": "measured", "x": [1], "y": [1], "low": [1]})
    for bad in ([2, 1], [0, 1], [-1, 1], [1, None], [1], 3):
        with pytest.raises(ValueError):
            records.fit_window(bad)
