"""A user's own experiment on the command line: run, status, resume, report, sweep."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import percolaw
from percolaw.cli import main
from percolaw.runs import code
from percolaw.runs.store import read_record

TEXT = '''
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from percolaw import LearningCurve
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Conclusion, Preset
from percolaw.experiments.fields import Seeds
from constants import POWER

@dataclass(frozen=True)
class Falling:
    name: ClassVar[str] = "falling"
    title: ClassVar[str] = "A loss falls"
    source: ClassVar[str] = "a note of mine"
    presets: ClassVar[dict] = {"quick": Preset({"n_seeds": 3}, "1 s", "0.1 GiB")}

    power: float = POWER
    """Exponent of the loss."""
    n_seeds: Seeds = 5

    def cells(self):
        return [{"seed": seed} for seed in range(self.n_seeds)]

    def measure(self, cell):
        if cell["seed"] == 2 and FAILS:
            raise ArithmeticError("not yet")
        n = np.array([10.0, 100.0, 1000.0])
        return [{"n": n, "loss": n**-self.power}]

    def validate(self, rows):
        return rows[0]["loss"][-1]

    def conclude(self, rows):
        curve = LearningCurve(np.array(rows[0]["n"]), np.array([row["loss"] for row in rows]))
        said = claims.exponent("the exponent", self.source, self.power, curve.fit(), 0.1)
        drawn = plots.curve("loss", curve, claims=[said])
        plot = plots.log_log("losses", "Losses", "They fall.", ("n", "loss"), [drawn])
        return Conclusion((said,), plots=(plot,))

FAILS = False
'''
QUIET = ("--quiet", "--workers", "1")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A working folder with an experiment and what it imports."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TEXT)
    (tmp_path / "constants.py").write_text("POWER = 0.5\n")
    code.forget()
    yield tmp_path
    for name in ("mine", "constants"):
        sys.modules.pop(name, None)
    assert set(sys.modules) >= before


def fresh(lab):
    """As another process would find it."""
    for name in ("mine", "constants"):
        sys.modules.pop(name, None)
    sys.path[:] = [p for p in sys.path if p != str(lab)]
    code.forget()


@pytest.mark.parametrize("returned", ["None", "{'a': 1}", "[1.0, 2.0]", "['a']"])
def test_what_is_no_list_of_rows_is_the_fault_of_measure(lab, capsys, returned):
    right = 'return [{"n": n, "loss": n**-self.power}]'
    (lab / "mine.py").write_text(TEXT.replace(right, f"return {returned}"))
    words = ["run", "mine.py:Falling", *QUIET, "--no-figures"]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "measure of Falling must return a list of rows, each a dict" in err
    assert returned in err
    fresh(lab)
    (lab / "mine.py").write_text(TEXT)
    assert main(words) == 0


def test_errors_of_conclude_name_their_line(lab, capsys):
    (lab / "mine.py").write_text(TEXT.replace("said = claims", "1 / 0; said = claims"))
    assert main(["run", "mine.py:Falling", *QUIET]) == 1
    line = 1 + TEXT[: TEXT.index("said = claims")].count("\n")
    said = f"ZeroDivisionError: division by zero ({lab / 'mine.py'}, line {line})"
    assert said in " ".join(capsys.readouterr().err.split())


def test_run_status_resume_and_report(lab, capsys):
    (lab / "mine.py").write_text(TEXT.replace("FAILS = False", "FAILS = True"))
    assert main(["run", "mine.py:Falling", "--n-seeds", "4", *QUIET]) == 1
    assert "1 unit(s) of falling failed" in capsys.readouterr().err
    (folder,) = (lab / "runs").iterdir()
    fresh(lab)
    assert main(["status"]) == 0
    typed = "percolaw run mine.py:Falling --preset quick --n-seeds 4"
    assert f"failed  3/4 units, 1 failed ({typed})\n" in capsys.readouterr().out
    for command in ("resume", "retry"):
        assert main([command, folder.name]) == 1
        said = capsys.readouterr().err
        assert "Code that a run folder names is never imported." in said
        assert said.endswith(f"goes on with what is missing: {typed}\n")
    assert "mine" not in sys.modules
    (lab / "mine.py").write_text(TEXT)
    assert main([*typed.split()[1:], *QUIET]) == 0
    assert capsys.readouterr().out.count("agrees") == 1
    fresh(lab)
    (lab / "mine.py").unlink()
    assert main(["report", folder.name, "--out", "page.html"]) == 0
    assert "mine" not in sys.modules
    page = (lab / "page.html").read_text()
    for text in ("A loss falls", "a note of mine", "the exponent", typed, 'data-plot="losses"'):
        assert text in page
    assert (folder / "figures" / "losses.png").exists()


def test_an_installed_experiment_is_listed_and_completed(lab, capsys, monkeypatch):
    entry = metadata.EntryPoint("falling", "mine:Falling", "percolaw.experiments")
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [entry])
    for line in ("run fal", "sweep fal"):
        assert main(["completion", "words", "--", *line.split()]) == 0
        assert capsys.readouterr().out == "falling\tmine:Falling\n"
    assert main(["list"]) == 0
    assert re.search(
        "^of installed packages\n  falling +mine:Falling$", capsys.readouterr().out, re.M
    )
    assert "mine" not in sys.modules, "it was not named"
    assert main(["list", "fall"]) == 0
    assert "    A loss falls\n    source: a note of mine\n" in capsys.readouterr().out
    assert main(["completion", "words", "--", "run", "falling", "--po"]) == 0
    assert capsys.readouterr().out.split("\t")[0] == "--power"
    assert main(["completion", "words", "--", "run", "falling", "--preset", ""]) == 0
    assert capsys.readouterr().out == "quick\tabout 1 s\n"


def test_the_code_is_that_of_the_file_and_what_it_imports_beside_it(lab, capsys):
    def measured():
        fresh(lab)
        assert main(["run", "mine.py:Falling", "--json", "--no-figures", *QUIET]) == 0
        return json.loads(capsys.readouterr().out)["code"]

    first = measured()
    (lab / "constants.py").write_text('"""A sentence."""\n\nPOWER = 0.5  # why\n')
    assert measured() == first
    (lab / "constants.py").write_text("POWER = 0.5\nfrom more import x\n")
    (lab / "more.py").write_text("x = 1\n")
    second = measured()
    (lab / "more.py").write_text("x = 2\n")
    assert len({first, second, measured()}) == 3
    (lab / "not_imported.py").write_text("x = 2\n")
    fresh(lab)
    (lab / "more.py").write_text("x = 1\n")
    assert measured() == second


def test_a_plot_that_cannot_be_drawn_takes_nothing_from_the_claims(lab, capsys):
    wrong = TEXT.replace(
        'plots.curve("loss", curve, claims=[said])', 'plots.Series("a", "odd", (1,), (2,))'
    )
    (lab / "mine.py").write_text(wrong)
    assert main(["run", "mine.py:Falling", *QUIET]) == 0
    said = capsys.readouterr()
    assert "agrees" in said.out
    assert "results: runs" in said.out
    assert "percolaw: warning: the figures of runs" in said.err
    assert "unknown kind of series 'odd'); claims and data are whole." in said.err
    assert 'records.py", line' in said.err
    assert "damaged" not in said.err


def test_help_and_the_usual_preset(lab, capsys):
    assert main(["run", "mine.py:Falling", "--help"]) == 0
    said = capsys.readouterr().out
    assert "percolaw run mine.py:Falling" in said
    assert "Defaults are those of the preset quick" in said
    assert "Exponent of the loss." in said
    assert "default: 3" in said  # of the only preset, which is not called laptop
    assert main(["run", "mine.py:Falling", "--powr", "1"]) == 2


def test_sweep(lab, capsys):
    pytest.importorskip("optuna")
    words = ["sweep", "mine.py:Falling", "--over", "power=0.2,0.7", "--sampler", "grid"]
    assert main([*words, "--quiet"]) == 0
    assert "best: percolaw run mine.py:Falling --power 0.7" in capsys.readouterr().out


def test_worker_processes_find_the_file(lab):
    command = [sys.executable, "-m", "percolaw", "run", "mine.py:Falling"]
    flags = ["--workers", "2", "--no-figures", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(Path(percolaw.__file__).parents[1])}
    done = subprocess.run(
        [*command, *flags], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (lab / "runs").iterdir()
    assert read_record(folder)["status"] == "done"
