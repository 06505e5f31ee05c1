"""Kernels compiled beforehand: every kind of unit once, a mark where all are kept, no work twice."""

import pytest
from runnable import RUNNABLE

from percolaw.cli import main, warmup
from percolaw.experiments.base import missing_extra
from percolaw.experiments.registry import experiment_class
from percolaw.kernels import compile as compiling


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Cells measured by a warm-up into an empty folder, by units that only say so."""
    cells = []

    class Toy:
        def measure(self, cell):
            cells.append(cell)

    monkeypatch.setattr(compiling, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(warmup, "measure_the_rest", lambda: cells.append("rest"))
    monkeypatch.setattr(warmup, "smallest_units", lambda: [(Toy(), 1), (Toy(), 2)])
    return cells


def test_all_is_measured_once(measured, tmp_path, capsys):
    assert main(["warmup", "--quiet"]) == 0
    assert measured == ["rest", 1, 2]
    assert f"s: {tmp_path}" in capsys.readouterr().out
    assert main(["warmup"]) == 0
    assert measured == ["rest", 1, 2]
    assert "compiled already" in capsys.readouterr().out


def test_an_interrupted_one_starts_again(measured, monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(warmup, "measure_the_rest", stopped)
    assert main(["warmup", "--quiet"]) == 130
    monkeypatch.setattr(warmup, "measure_the_rest", lambda: None)
    assert main(["warmup", "--quiet"]) == 0
    assert measured == [1, 2]


def test_without_a_place_nothing_is_measured(measured, monkeypatch, capsys):
    monkeypatch.setattr(compiling, "cache_folder", lambda: None)
    assert main(["warmup"]) == 1
    assert "NUMBA_CACHE_DIR" in capsys.readouterr().err
    assert not measured


def test_every_experiment_without_networks_takes_part():
    units = warmup.smallest_units()
    names = {experiment.name for experiment, _ in units}
    extra = {n: getattr(experiment_class(n), "extra", ("", ""))[0] for n in RUNNABLE}
    plain = {n for n in RUNNABLE if extra[n] != "torch" and not missing_extra(experiment_class(n))}
    plain -= {n for n in RUNNABLE if hasattr(experiment_class(n), "unavailable")}
    smoke = {n: experiment_class(n).presets["smoke"].config for n in plain}
    assert names == {n for n in plain if experiment_class(n)(**smoke[n]).cells()}
    for experiment, cell in units:
        assert cell in experiment.cells()
    assert len(units) < 170
