"""Terminals that lack something: streams, width, colour, characters; and pictures that fail."""

import io
import json
import os
import pty
import subprocess
import sys
import warnings

import numpy as np
import pytest

from percolaw.cli import main
from percolaw.cli.terminal import has_colors, help_style, prepare_streams, warnings_as_notes
from percolaw.datasets.points import read_points

RUN = ["run", "theory-curves", "--preset", "smoke", "--no-figures", "--workers", "1", "--quiet"]
COMMAND = [sys.executable, "-m", "percolaw"]


def bare(arguments, folder, **environment):
    """A command in a process of its own, with an environment that says nothing of terminals."""
    names = ("NO_COLOR", "TERM", "COLUMNS", "PYTHONIOENCODING")
    clean = {k: v for k, v in os.environ.items() if k not in names}
    return subprocess.run(
        arguments, cwd=folder, env={**clean, **environment}, capture_output=True, timeout=100
    )


@pytest.mark.parametrize(
    "closed", ["1>&- 2", *(pytest.param(n, marks=pytest.mark.slow) for n in "12")]
)
def test_closed_streams_do_not_stop_the_work(tmp_path, closed):
    line = " ".join(["exec", *COMMAND, *RUN, f"{closed}>&-"])
    assert bare(["sh", "-c", line], tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").glob("theory-curves-*")
    assert json.loads((folder / "record.json").read_text())["status"] == "done"


@pytest.mark.parametrize("closed", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_generating_with_a_closed_stream(tmp_path, closed):
    words = "generate cluster --n 500 --dim 3 --out g.zarr"
    line = f"exec {' '.join(COMMAND)} {words} {closed}>&-"
    assert bare(["sh", "-c", line], tmp_path).returncode == 0
    assert (tmp_path / "g.zarr").is_dir()


def test_an_ascii_terminal_shows_what_it_can(tmp_path):
    script = "print('Mat\\u00e9rn'); from percolaw.cli import main; main(['--version'])"
    first = bare([sys.executable, "-c", script], tmp_path, PYTHONIOENCODING="ascii")
    assert first.returncode != 0, "without help Python gives up"
    script = f"from percolaw.cli.terminal import *; prepare_streams(); {script.split(';')[0]}"
    done = bare([sys.executable, "-c", script], tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, b"Mat\\xe9rn\n")


def test_streams_that_are_missing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    prepare_streams()
    print("nobody hears this")
    sys.stdout.close()


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_colors(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colors(Screen())
    assert not has_colors(io.StringIO())
    assert not has_colors(None)
    monkeypatch.setenv("NO_COLOR", "")  # an empty value asks for nothing
    assert has_colors(Screen())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colors(Screen())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colors(Screen())


def test_no_escape_sequences_in_a_terminal_that_wants_none(tmp_path):
    """In one that can they are seen by test_cli.py."""
    help_of_run = ["run", "theory-curves", "--help"]
    for variables, words in (
        ({"NO_COLOR": "1", "TERM": "xterm"}, RUN),
        ({"TERM": "dumb"}, help_of_run),
    ):
        shown, code = in_terminal([*COMMAND, *words], tmp_path, variables)
        assert (code, b"\x1b" in shown) == (0, False)


def test_names_of_files_cannot_steer_the_terminal(tmp_path, capsys):
    name = "a\x1b[2J\x9b1m\u202eb\n9 points"
    data, points = tmp_path / f"{name}.npz", tmp_path / f"{name}.npy"
    assert main(["generate", "cluster", "--n", "9", "--dim", "2", "--out", str(data)]) == 0
    np.save(points, np.random.default_rng(0).random((100, 2)))
    assert main(["estimate-dimension", str(points)]) == 0
    assert main(["status", f"--{name}"]) == 2
    said = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err.replace("\r", ""))
    assert not any(line.startswith("9 points") for line in said.out.splitlines())


def test_warnings_cannot_steer_the_terminal_and_are_said_once(capsys):
    before = warnings.showwarning
    with warnings_as_notes():
        for _ in range(3):
            warnings.warn("column \x1b[2Ja is an index", stacklevel=1)
    assert capsys.readouterr().err == "note: column \\x1b[2Ja is an index\n"
    assert warnings.showwarning is before


def test_names_of_columns_cannot_steer_the_terminal(tmp_path, capsys):
    rows = [[i * i, *row] for i, row in enumerate(np.random.default_rng(0).random((150, 3)))]
    path = tmp_path / "t\x1b[2J.csv"
    np.savetxt(path, rows, fmt="%g", delimiter=",", header="i\x1b[2Jd,a,b,c", comments="")
    with pytest.warns(UserWarning, match="own in every row") as caught:
        read_points(path, 1000)
    assert str(caught[0].message).isprintable()  # in workers nobody else looks at it
    assert main(["estimate-dimension", str(path), "--no-plot"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("note: column 1 (i\\x1b[2Jd) of t\\x1b[2J.csv")
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err.replace("\r", ""))


def in_terminal(arguments, folder, variables):
    """What a pseudo-terminal shows, and the exit code."""
    names = ("NO_COLOR", "TERM", "COLUMNS")
    clean = {k: v for k, v in os.environ.items() if k not in names}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments, cwd=folder, env={**clean, **variables}, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return shown, process.wait(timeout=100)


@pytest.mark.parametrize("columns", ["1", "0", "nonsense"])
def test_help_in_a_very_narrow_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["run", "single-cluster", "--help"]) == 0
    assert "--n-seeds" in capsys.readouterr().out


def test_help_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.setenv("COLUMNS", "3")
    monkeypatch.delenv("TERM", raising=False)
    before = dict(os.environ)
    with help_style():
        assert int(os.environ["COLUMNS"]) >= 40
    assert dict(os.environ) == before


def failing(*arguments, **keywords):
    raise OSError(30, "Read-only file system")


def test_estimate_comes_before_its_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("percolaw.report.dimension.draw_report", failing)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((400, 3)))
    assert main(["estimate-dimension", str(tmp_path / "x.npy")]) == 0
    out, err = capsys.readouterr()
    assert "stated interval" in out
    assert "no plot: " in err
    assert "--no-plot" in err
    assert "Read-only" in err
    asked = ["--plot", str(tmp_path / "p.png"), "--json"]
    assert main(["estimate-dimension", str(tmp_path / "x.npy"), *asked]) == 1
    assert json.loads(capsys.readouterr().out)["rows"] == 400


def test_a_place_for_the_picture_that_cannot_be_is_refused_first(tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((400, 3)))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["estimate-dimension", str(tmp_path / "x.npy"), "--plot", "p.png"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "is not writable" in err


@pytest.mark.parametrize("command", [["run", "theory-curves"], ["reproduce", "toys"]])
def test_claims_come_before_their_pictures(tmp_path, capsys, monkeypatch, command):
    from percolaw.cli import experiments

    papers = {"toys": ("Toys", ("theory-curves", "exponents-by-dimension"))}
    monkeypatch.setattr(experiments, "REPRODUCTIONS", papers)
    monkeypatch.setattr("percolaw.report.draw_figures", failing)
    monkeypatch.setattr("percolaw.report.html.write_report", failing)
    words = [*command, "--preset", "smoke", "--workers", "1", "--quiet", "--out", str(tmp_path)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "predicted +- tolerance" in out
    assert f"results: {tmp_path}" in out
    assert "could not be drawn" in err
    assert "claims and data are whole" in err
    assert "Traceback" not in err


def test_a_linked_folder_of_figures_is_a_sentence_without_a_traceback(tmp_path, capsys):
    words = ["run", "theory-curves", "--preset", "smoke", "--quiet", "--out", str(tmp_path / "r")]
    assert main([*words, "--no-figures"]) == 0
    (tmp_path / "outside").mkdir()
    (folder,) = (tmp_path / "r").iterdir()
    (folder / "figures").symlink_to(tmp_path / "outside")
    capsys.readouterr()
    assert main(words) == 0
    err = capsys.readouterr().err
    assert "is a link and is not written through. Remove it." in err
    assert "line" not in err
    assert not list((tmp_path / "outside").iterdir())


def test_memory_that_ends_is_a_sentence(tmp_path, capsys, monkeypatch):
    def greedy(*arguments, **keywords):
        raise MemoryError("Unable to allocate 9.54 GiB")

    monkeypatch.setattr("percolaw.datasets.manifolds.make_manifold", greedy)
    assert main(["generate", "manifold", "--n", "100", "--out", str(tmp_path / "m.npz")]) == 1
    err = capsys.readouterr().err
    assert "out of memory (Unable to allocate 9.54 GiB)" in err
    assert "Traceback" not in err


def test_the_first_use_of_the_kernels_says_that_they_are_compiled(tmp_path, capsys, monkeypatch):
    from percolaw.cli.measuring import say_if_kernels_are_new

    for folder, said in ((tmp_path, "at their first use, once;"), (None, "in every process: no")):
        monkeypatch.setattr("percolaw.kernels.compile.cache_folder", lambda folder=folder: folder)
        say_if_kernels_are_new()
        assert said in capsys.readouterr().err
    (tmp_path / "walk.nbc").touch()
    monkeypatch.setattr("percolaw.kernels.compile.cache_folder", lambda: tmp_path)
    say_if_kernels_are_new()
    assert capsys.readouterr().err == ""


def test_it_is_said_once_and_only_if_something_is_measured(tmp_path, capsys, monkeypatch):
    from percolaw.cli import measuring

    monkeypatch.setattr(measuring, "say_if_kernels_are_new", lambda: print("compiled"))
    words = ["run", "cluster-points", "--preset", "smoke", "--workers", "1", "--no-figures"]
    words += ["--sizes", "10", "20", "--out"]
    for more, n in (["--quiet"], 0), ([], 1), ([], 0):  # the last time nothing is left to measure
        folder = tmp_path / ("quiet" if more else "runs")
        assert main([*words, str(folder), *more]) == 0
        assert capsys.readouterr().out.count("compiled\n") == n
