"""Results are said in a line: arrays by dtype and shape, never by their numbers."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import percolaw as pl
from percolaw.short import short_repr

#: Packages whose dataclasses users are given; in others they are parts of a computation.
OF_USERS = ("clusters", "graph", "interpret", "laws", "learners", "scaling", "targets", "tree")


@dataclasses.dataclass
class Result:
    name: str
    values: np.ndarray
    total: np.float64
    parts: tuple[int, ...]

    __repr__ = short_repr


def test_arrays_are_said_by_their_shapes():
    shown = repr(Result("a", np.zeros((3, 70)), np.float64(2.0), tuple(range(40))))
    assert shown.startswith(
        "Result(name='a', values=<float64, 3x70>, total=<float64, one>, parts=(0,"
    )
    assert shown.endswith("...)")


def test_samples_of_parities_are_a_line():
    from percolaw.datasets.parity_tasks import parity_tasks

    drawn = parity_tasks(4, 6, 2, 0.4).sample(100_000)
    assert len(repr(drawn)) < 400
    assert "task=<int64, 100000>" in repr(drawn)
    assert len(repr(pl.Student(0, np.arange(10_000), np.arange(10)))) < 300


def results():
    for name in OF_USERS:
        module = importlib.import_module(f"percolaw.{name}")
        inner = getattr(module, "__path__", [])
        names = [m.name for m in pkgutil.walk_packages(inner, f"percolaw.{name}.")]
        for path in [f"percolaw.{name}", *names]:
            for cls in vars(importlib.import_module(path)).values():
                if (
                    inspect.isclass(cls)
                    and cls.__module__ == path
                    and dataclasses.is_dataclass(cls)
                ):
                    yield cls


@pytest.mark.parametrize("cls", list(results()), ids=lambda cls: cls.__name__)
def test_results_that_hold_arrays_have_a_short_text(cls):
    held = [f for f in dataclasses.fields(cls) if f.repr and "Array" in str(f.type)]
    if held and not cls.__name__.startswith("_"):
        written = inspect.getsourcefile(inspect.unwrap(cls.__repr__)) or ""
        assert "percolaw" in written, f"{cls.__name__}: __repr__ = short_repr"
