"""Configs come back from text as they were, and every field counts in the id of a run."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys

import pytest
from runnable import RUNNABLE
from toy_experiment import Shape, ToyExperiment

from percolaw.datasets.sources import LatticeCluster
from percolaw.experiments.base import canonical_json, config_dict, from_config, run_id
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.words import Worded

# --- configs and ids -----------------------------------------------------------------------------

PRESETS = [(name, label) for name in EXPERIMENTS for label in experiment_class(name).presets]


@pytest.mark.parametrize(("name", "label"), PRESETS)
def test_config_round_trip(name, label):
    cls = experiment_class(name)
    experiment = cls(**cls.presets[label].config)
    text = json.dumps(config_dict(experiment))
    again = from_config(cls, json.loads(text)["config"])
    assert again == experiment
    assert hash(again) == hash(experiment)
    assert run_id(again) == run_id(experiment)


def test_round_trip_of_nested_tuples():
    experiment = ToyExperiment(shape=Shape(1.0, (0.1, 0.9)), fail_at=(1, 2))
    assert from_config(ToyExperiment, config_dict(experiment)["config"]) == experiment
    with pytest.raises(ValueError, match=r"has no field \['n_seed'\]"):
        from_config(ToyExperiment, {"n_seed": 3})


def test_run_id_is_the_same_in_every_process():
    code = (
        "from percolaw.experiments.registry import *; from percolaw.experiments.base import *;"
        "print(*[run_id(preset(experiment_class(n), p)) for n in EXPERIMENTS "
        "for p in experiment_class(n).presets])"
    )
    code = code.replace("import *", "import EXPERIMENTS, experiment_class", 1)
    code = code.replace("import *", "import preset, run_id", 1)
    here = [
        run_id(experiment_class(n)(**experiment_class(n).presets[p].config)) for n, p in PRESETS
    ]
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"  # another one than here
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.split() == here, done.stderr


def parts_changed(value):
    """A dataclass with one field changed, as far as it accepts that."""
    found = []
    for f in dataclasses.fields(value):
        for other in changed(getattr(value, f.name)):
            with contextlib.suppress(ValueError, TypeError):
                found.append(dataclasses.replace(value, **{f.name: other}))
    return found


def changed(value):
    """Other values of the same kind, some of which a config may refuse."""
    if isinstance(value, Worded):
        return [other for other in parts_changed(value) if other.word != value.word]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 8 * value]  # widths are shared out to heads
    if isinstance(value, float):
        return [value * 1.25, value * 0.75, value + 0.37]
    if isinstance(value, str):
        return [value + "x", value + "1"]
    if value == ():
        return [(LatticeCluster(3),), ("lattice d = 3, p_c",), (2,), (0.5, 1.0, 2.0)]
    if isinstance(value, tuple):
        first = [(other, *value[1:]) for other in changed(value[0])]
        last = [(*value[:-1], other) for other in changed(value[-1])]
        return [value[:-1], *(first if len(value) > 1 else []), *last]
    if dataclasses.is_dataclass(value):
        return parts_changed(value)
    return []


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_field_counts_in_the_run_id(name):
    experiment = experiment_class(name)()
    seen = {run_id(experiment)}
    for field in dataclasses.fields(experiment):
        tried = 0
        for value in changed(getattr(experiment, field.name)):
            try:
                other = dataclasses.replace(experiment, **{field.name: value})
            except (AttributeError, ValueError, TypeError):
                continue
            if other == experiment:  # infinity, and a quarter more of it
                continue
            tried += 1
            assert run_id(other) not in seen, field.name
            seen.add(run_id(other))
            assert from_config(type(other), config_dict(other)["config"]) == other
        options = typing_options(type(experiment), field.name)
        assert tried or options, f"no other value of {field.name} is accepted"


def typing_options(cls, name) -> bool:
    """Whether a field is a choice of words, for which no value can be made up."""
    import typing

    return "Literal" in repr(typing.get_type_hints(cls)[name])


def test_run_id_differs_between_experiments_and_schemas(monkeypatch):
    from percolaw.experiments import base

    ids = [run_id(experiment_class(name)()) for name in EXPERIMENTS]
    assert len(set(ids)) == len(ids)
    before = run_id(ToyExperiment())
    for name in ("SCHEMA_VERSION", "STREAM_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(base, name, 99)
            assert run_id(ToyExperiment()) != before


def test_canonical_json_is_one_text():
    import numpy as np

    value = {"b": (1, np.int64(2)), "a": np.array([0.1, 0.2]), "c": Shape()}
    same = {"c": Shape(), "a": [0.1, 0.2], "b": [1, 2]}
    assert canonical_json(value) == canonical_json(same)
    assert canonical_json(value) == (
        '{"a":[0.1,0.2],"b":[1,2],"c":{"mean":2.0,"weights":[0.5,0.5]}}'
    )
