"""`percolaw analyze`: what it prints, that it goes on, and every likely mistake in its files."""

import contextlib
import io
import json
import re

import numpy as np
import pytest

from percolaw.analysis.class_draws import TRIES
from percolaw.cli import analyze as command
from percolaw.cli import main
from percolaw.experiments.real.analysis import measurement
from percolaw.experiments.real.own import Analyze

QUIET = ("--quiet", "--no-figures", "--workers", "1")
QUICK = ("--draws", "20", "--learners", "none", "--k", "4,3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Points in the square with two classes, a hierarchy, numbers; and strings of 6 letters."""
    where = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    points = rng.random((480, 2))
    half, quarter = (points[:, 0] > 0.5).astype(int), (points[:, 1] > 0.5).astype(int)
    np.save(where / "points.npy", points)
    np.save(where / "classes.npy", half)
    rows = "\n".join(f"{a},{b}" for a, b in zip(half, quarter, strict=True))
    (where / "levels.csv").write_text(f"side,corner\n{rows}\n")
    np.save(where / "numbers.npy", points[:, 0])
    letters = rng.choice(list("abc"), (3000, 6))
    words = sorted({"".join(row) for row in letters})[:480]
    (where / "words.txt").write_text("\n".join(words) + "\n")
    return where


@pytest.fixture
def analyze(folder, monkeypatch, capsys):
    """analyze(*arguments) to exit code, output and errors, in the folder of the files."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        code = main(["analyze", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """What an analysis of classes printed, and where its results are."""
    out, said = tmp_path_factory.mktemp("runs"), io.StringIO()
    files = [str(folder / "points.npy"), "--labels", str(folder / "classes.npy")]
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setattr("percolaw.analysis.class_draws.TRIES", TRIES[:1])  # tried once
        assert main(["analyze", *files, *QUICK, *QUIET, "--out", str(out)]) == 0
    (run,) = out.glob("analyze-*")
    return said.getvalue(), run


def test_it_says_what_was_found_and_on_what_it_rests(finished):
    said, run = finished
    assert said.startswith("points.npy: 480 distinct elements of 2 coordinates, classes: 2.\n")
    assert "\nsupercritical domains (" in said
    assert "100% of 60\nelements and 100% of 480" in said.replace(" elements", "\nelements")
    for condition in ("agreement falls as one power", "clusters of half of the elements"):
        assert condition in said
    assert "docs/real-data.md" in said
    assert f"results: {run}\nreport:  {run / 'report.html'}" in said


def test_the_page_prints_it_too(finished, folder):
    page = (finished[1] / "report.html").read_text(encoding="utf-8")
    assert "points.npy, classes: supercritical domains</h3>" in page
    assert "<td>no</td>" in page
    assert f"percolaw analyze {folder / 'points.npy'} --k 4,3" in page  # how to redo it
    assert f"--labels {folder / 'classes.npy'}" in page
    assert "--digests" not in page
    assert ">unknown</td>" in page
    assert "nan" not in page.split('<div class="readings">')[1].split('<div class="plots">')[0]


def test_an_interrupted_analysis_goes_on(finished, folder, analyze, monkeypatch):
    """Nothing that was measured is measured again; the verdict is the same."""
    said, run = finished
    (run / "record.json").unlink()
    monkeypatch.setattr(Analyze, "measure", lambda self, cell: pytest.fail(f"measured {cell}"))
    files = (folder / "points.npy", "--labels", folder / "classes.npy")
    code, again, _ = analyze(*files, *QUICK, *QUIET, "--out", run.parent)
    assert (code, again) == (0, said)


def test_json_is_the_record(finished, folder, analyze):
    _, run = finished
    files = (folder / "points.npy", "--labels", folder / "classes.npy")
    code, out, _ = analyze(*files, *QUICK, *QUIET, "--out", run.parent, "--json")
    assert code == 0
    assert json.loads(out)["tables"]["readings"][0]["title"] == "points.npy"


def test_without_labels_the_geometry_alone(analyze, tmp_path):
    code, out, _ = analyze("points.npy", *QUICK, *QUIET, "--out", tmp_path)
    assert code == 0
    assert "480 elements without a function" in out
    assert "critical if" not in out


def test_strings(analyze, tmp_path):
    code, out, _ = analyze(
        "words.txt", "--metric", "hamming", *QUICK, *QUIET, "--out", tmp_path / "runs"
    )
    assert code == 0
    assert "words.txt: 480 distinct elements of 6 letters." in out


@pytest.mark.parametrize(
    ("labels", "levels"),
    [
        (("--hierarchy", "levels.csv"), ("side", "corner")),
        (("--labels", "levels.csv", "--columns", "corner"), ("classes",)),
        (("--labels", "numbers.npy"), ("tolerance 0.1 sd", "tolerance 0.25 sd")),
        (("--labels", "classes.npy", "--kind", "numbers"), ("tolerance 0.1 sd",)),
    ],
)
def test_functions(analyze, monkeypatch, labels, levels):
    """What labels may be: the resolutions of each kind."""
    seen = []
    monkeypatch.setattr(
        command, "run_one", lambda experiment, *_: seen.append(experiment.read().levels) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        analyze("points.npy", *labels, *QUICK, *QUIET)
    assert seen[0][: len(levels)] == levels


def _saved(name, values):
    return lambda: np.save(name, values)


def _text(name, lines):
    def write():
        with open(name, "w") as file:
            file.write("\n".join(lines) + "\n")

    return write


_POINTS = np.random.default_rng(1).random((480, 2))
_NAN = np.where(np.arange(960).reshape(480, 2) == 100, np.nan, _POINTS)
BAD = {
    "missing": (None, ("nowhere.npy",), "there is no file"),
    "missing labels": (None, ("points.npy", "--labels", "gone.npy"), "there is no file"),
    "length": (
        _saved("bad.npy", np.arange(479) % 3),
        ("points.npy", "--labels", "bad.npy"),
        "there are 480 elements and 479 labels; give one for each",
    ),
    "one class": (
        _saved("bad.npy", np.ones(480, int)),
        ("points.npy", "--labels", "bad.npy"),
        "all 480 labels are 1; two classes are the least",
    ),
    "too many classes": (
        _saved("bad.npy", np.arange(480)),
        ("points.npy", "--labels", "bad.npy"),
        "480 classes for 480 elements.*Take coarser classes",
    ),
    "one class is left": (
        _saved("bad.npy", np.arange(480) == 3),
        ("repeated.npy", "--labels", "bad.npy"),
        "elements that are analysed are of one class",
    ),
    "points equal": (
        _saved("bad.npy", np.ones((500, 3))),
        ("bad.npy",),
        r"at least 400 distinct elements; got 1 \(of 500\)",
    ),
    "few": (_saved("bad.npy", _POINTS[:99]), ("bad.npy",), "at least 400 distinct elements"),
    "nan": (
        _saved("bad.npy", _NAN),
        ("bad.npy",),
        "1 of 480 elements hold NaN or infinity",
    ),
    "k": (
        None,
        ("points.npy", "--k", "70"),
        "half of an eighth of the 480 elements has 30.*Lower k to at most 29,",
    ),
    "second k": (None, ("points.npy", "--k", "6,60"), "not more than k = 60"),
    "no k": (None, ("points.npy", "--k", ","), "--k needs a number"),
    "k text": (None, ("points.npy", "--k", "six"), "invalid list of integers"),
    "column": (
        None,
        ("points.npy", "--labels", "levels.csv", "--columns", "no"),
        "has no column no; its columns are side, corner",
    ),
    "columns alone": (None, ("points.npy", "--columns", "a"), "--labels"),
    "no hierarchy": (
        None,
        ("points.npy", "--hierarchy", "classes.npy"),
        "one column, and a hierarchy several",
    ),
    "learner": (
        None,
        ("points.npy", "--labels", "classes.npy", "--learners", "kernle"),
        "Did you mean 'kernel'",
    ),
    "unequal strings": (
        _text("bad.txt", ["abc"] * 500 + ["abcd"]),
        ("bad.txt", "--metric", "hamming"),
        "strings must have one length",
    ),
    "repeated strings": (
        _text("bad.txt", ["abc", "abd"] * 300),
        ("bad.txt", "--metric", "hamming"),
        "at least 400 distinct elements; got 2",
    ),
    "zero cosine": (
        _saved("bad.npy", np.vstack([np.zeros(2), _POINTS])),
        ("bad.npy", "--metric", "cosine"),
        "is zero and has no direction",
    ),
    "draws": (None, ("points.npy", "--draws", "5"), "--draws"),
    "labels twice": (
        None,
        ("points.npy", "--labels", "classes.npy", "--hierarchy", "levels.csv"),
        "both say what the elements are; give one",
    ),
    "kind alone": (None, ("points.npy", "--kind", "numbers"), "--kind says what labels hold"),
    "numbers in columns": (
        None,
        ("points.npy", "--hierarchy", "levels.csv", "--kind", "numbers"),
        "kind 'numbers' is of one",
    ),
    "hamming distance of an array": (
        None,
        ("points.npy", "--metric", "hamming"),
        "points.npy holds numbers, .* Give the strings as text, one a line",
    ),
    "hamming distance of a table": (
        _text("bad.csv", [f"{a},{b}" for a, b in _POINTS]),
        ("bad.csv", "--metric", "hamming"),
        "bad.csv holds numbers, and the Hamming distance",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_work_starts(analyze, case, monkeypatch):
    make, arguments, message = BAD[case]
    np.save("repeated.npy", np.vstack([_POINTS[:3], _POINTS[:1], _POINTS[4:]]))
    if make is not None:
        make()
    monkeypatch.setattr(command, "run_one", lambda *_: pytest.fail("work started"))
    code, out, err = analyze(*arguments, *QUIET)
    assert code == 2
    assert out == ""
    assert err.startswith("percolaw: ")
    assert re.search(message, " ".join(err.split())), err


def test_changed_files_are_other_data(tmp_path):
    np.save(tmp_path / "x.npy", _POINTS)
    experiment = Analyze(file=str(tmp_path / "x.npy"))
    np.save(tmp_path / "x.npy", _POINTS[::-1])
    with pytest.raises(ValueError, match=r"x\.npy changed since the analysis began"):
        experiment.read()
    assert Analyze(file=str(tmp_path / "x.npy")) != experiment


def test_a_run_whose_file_moved_is_not_damaged(folder, tmp_path, monkeypatch, capsys):
    def status():
        """As in another process, which has not read the file."""
        measurement.cache_clear()
        capsys.readouterr()
        assert main(["status"]) == 0
        return capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.load(folder / "points.npy"))
    assert main(["analyze", "x.npy", *QUICK, *QUIET]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    (tmp_path / "x.npy").rename(tmp_path / "y.npy")
    found = status()
    assert found.out.startswith(f"runs/{run.name}  no data  ")
    assert "damaged" not in found.out + found.err
    assert f"there is no file {tmp_path / 'x.npy'}. What was measured is kept" in found.err
    assert main(["export", str(run), "--out", "rows.csv"]) == 0
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(re.sub(r'"digests": \[[^]]*\]', '"digests": []', config))
    assert "  damaged" in status().out, "by hand: not even the config can be made again"
    (run / "config.json").write_text(config)
    (tmp_path / "y.npy").rename(tmp_path / "x.npy")
    assert "concluded" in status().out


def test_large_samples_are_told_what_they_take(folder, monkeypatch, capsys):
    """Before anything starts; and elements beyond --max-elements are left out."""
    monkeypatch.chdir(folder)
    large = ("analyze", "points.npy", "--max-elements", "450", "--workers", "1")
    monkeypatch.setattr(command, "LARGE", 400)
    monkeypatch.setattr(command, "run_one", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([*large, "--no-figures"])
    said = capsys.readouterr().err
    assert (
        "; 450 of them drawn at random (--max-elements). About 1 min on one core; 614 MiB" in said
    )
    with pytest.raises(ZeroDivisionError):
        main([*large, *QUIET])
    assert capsys.readouterr().err == ""


def test_a_network_is_told_what_it_takes_of_few_elements_too(folder, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(command, "run_one", lambda *_: 1 / 0)
    files = ("analyze", "points.npy", "--labels", "classes.npy", "--learners", "network")
    with pytest.raises(ZeroDivisionError):
        main([*files, "--workers", "1", "--no-figures"])
    assert "About 5 min on one core" in capsys.readouterr().err


def test_a_damaged_file_is_said_to_be(tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    assert main(["analyze", str(tmp_path / "bad.npz"), "--out", str(tmp_path / "runs")]) != 0
    assert "cannot be read" in capsys.readouterr().err


def test_labels_inside_a_file_of_points_are_named(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", X=rng.random((450, 2)), y=rng.integers(0, 2, 450))
    words = [str(tmp_path / "d.npz"), "--draws", "20", "--learners", "none", "--out", str(tmp_path)]
    assert main(["analyze", *words]) == 0
    assert "also holds labels of its elements: --labels" in capsys.readouterr().err
