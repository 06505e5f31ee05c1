"""``percolaw completion``: what is offered at Tab, and the scripts of the shells."""

import dataclasses
import shutil
import subprocess
import sys

import pytest

from percolaw.cli import main
from percolaw.cli.completion import SCRIPTS, field_flags
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS


@pytest.fixture
def offered(capsys, tmp_path, monkeypatch):
    """The words offered in the place of the last one of a line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "sampling-0123").mkdir(parents=True)

    def run(line):
        assert main(["completion", "words", "--", *line.split(" ")]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return [text.split("\t")[0] for text in out.splitlines()]

    return run


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("repr", ["reproduce"]),
        ("run emb", ["embedded-1nn", "embedding-faithfulness"]),
        ("run --workers 2 emb", ["embedded-1nn", "embedding-faithfulness"]),
        ("run embedded-1nn --n-", ["--n-seeds", "--n-sizes", "--n-test"]),
        ("run embedded-1nn --no-f", ["--no-figures"]),
        ("run embedded-1nn --preset ", ["smoke", "laptop", "paper"]),
        ("run nn-tuning --preset ", ["smoke", "laptop", "gpu"]),
        ("run single-cluster --clusters.m", ["--clusters.min-size", "--clusters.max-size"]),
        ("run embedded-1nn ", []),
        ("run embedded-1nn --n-seeds ", []),
        ("sweep ", ["kernel-tuning", "nn-tuning"]),
        ("sweep kernel-tuning --over r", ["ridge="]),
        ("resume ", ["sampling-0123"]),
        ("report sampling-0123 samp", ["sampling-0123"]),
        ("diff sampling-0123 ", ["sampling-0123"]),
        ("resume sampling-0123 ", []),
        ("generate ", ["cluster", "distribution", "hierarchy", "manifold", "lattice"]),
        ("estimate-dimension --header ", ["auto", "yes", "no"]),
        ("estimate-dimension ", []),
        ("completion z", ["zsh"]),
        ("frobnicate ", []),
    ],
)
def test_what_is_offered(offered, line, words):
    assert offered(line) == words


def test_everything_there_is_is_offered(offered):
    assert offered("run ") == list(EXPERIMENTS)
    assert offered("reproduce ") == list(REPRODUCTIONS)
    assert {"list", "run", "status", "generate", "completion"} <= {*offered("")}


def test_every_field_has_its_flag():
    for name in ("single-cluster", "nn-data-scaling", "regimes"):
        cls = experiment_class(name)
        flags = [flag for flag, _ in field_flags(cls)]
        for field in dataclasses.fields(cls):
            flag = "--" + field.name.replace("_", "-")
            assert any(f == flag or f.startswith(f"{flag}.") for f in flags)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_are_understood_by_their_shells(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([program, "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_asks_for_the_words_of_the_line():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    script = f"""percolaw() {{ {sys.executable} -m percolaw "$@"; }}
    {SCRIPTS["bash"]}
    COMP_WORDS=(percolaw run embedded-1nn --n-te); COMP_CWORD=3; _percolaw; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash], input=script, capture_output=True, text=True, timeout=60)
    assert done.stdout == "--n-test\n", done.stderr
