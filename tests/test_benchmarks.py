"""The scripts in benchmarks/: what they look for is there, and their checks can fail."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

_timing, memory_estimates, _mutants, mutations = map(
    importlib.import_module, ("_timing", "memory_estimates", "_mutants", "mutations")
)


def test_every_mutant_is_a_text_that_stands_once():
    """A mistake that changes nothing would be survived by any test."""
    assert len(_mutants.MUTANTS) > 100
    for file, right, wrong in _mutants.MUTANTS:
        assert (mutations.PACKAGE / file).read_text("utf-8").count(right) == 1, (file, right)
        assert right != wrong


def test_a_time_over_its_bar_ends_a_benchmark(capsys):
    _timing.report("labels", 0.9, 1.0, 0.5, "a sort")
    with pytest.raises(AssertionError, match=r"labels: 1.100 s is over the bar of 1.0 s"):
        _timing.report("labels", 1.1, 1.0, 0.5, "a sort")
    assert "1.80 x a sort" in capsys.readouterr().out


@pytest.mark.parametrize(("taken", "asked"), [(10.0, 1.0), (1.0, 10.0), (1.0, 0.0)])
def test_a_wrong_estimate_of_memory_is_off(monkeypatch, taken, asked):
    monkeypatch.setattr(memory_estimates, "measure", lambda name, size: (taken, asked, asked))
    monkeypatch.setattr(sys, "argv", ["memory_estimates.py", "geometric"])
    with pytest.raises(AssertionError, match="geometric"):
        memory_estimates.main()


def test_no_case_of_memory_is_no_success(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["memory_estimates.py", "no such case"])
    with pytest.raises(AssertionError, match="no case has"):
        memory_estimates.main()


def test_benchmarks_with_assertions_switched_off_say_so():
    """`python -O` takes checks away; nothing that it prints was checked."""
    code = "import _timing; _timing.header()"
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=BENCHMARKS, capture_output=True, text=True
    )
    assert "nothing below is checked" in done.stdout
