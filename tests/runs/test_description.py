"""What is known of an experiment without its code, and the command that makes a run again."""

import contextlib
import json
import shlex
from dataclasses import replace

import pytest
from toy_experiment import ToyExperiment

import percolaw
from percolaw.cli.measuring import configure
from percolaw.experiments.base import plain, preset
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs.description import describe, description_of, run_command


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_commands_give_the_config_again(name):
    cls = experiment_class(name)
    for label in cls.presets:
        config = preset(cls, label)
        words = shlex.split(run_command(describe(cls), plain(config)))
        assert words[:3] == ["percolaw", "run", name]
        assert configure(cls, words[4], words[5:]) == config
        changed = replace(config, n_seeds=17) if hasattr(config, "n_seeds") else config
        for field, value in vars(config).items():
            if isinstance(value, tuple) and value and isinstance(value[0], int | float):
                with contextlib.suppress(ValueError):
                    changed = replace(changed, **{field: value[:-1] or value})
        if hasattr(changed, "clusters") and hasattr(changed.clusters, "n_clusters"):
            changed = replace(changed, clusters=replace(changed.clusters, n_clusters=123))
        words = shlex.split(run_command(describe(cls), plain(changed)))
        assert configure(cls, words[4], words[5:]) == changed
    assert run_command(describe(cls), {"unknown": 1}) is None


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    return percolaw.run(ToyExperiment(n_seeds=3), out=tmp_path_factory.mktemp("runs")).folder


def test_a_run_of_a_user_is_known_without_its_code(toy_run):
    said = description_of(toy_run, "toy")
    assert said == replace(
        describe(ToyExperiment), presets=said.presets, defaults=said.defaults, units=3
    )
    assert said.place.endswith("toy_experiment.py:ToyExperiment")
    assert (said.title, said.known) == ("The mean is 2", False)
    assert said.defaults["n_seeds"] == said.presets["smoke"]["n_seeds"] == 6
    assert description_of(toy_run, "other").place == ""


@pytest.mark.parametrize(
    "wrong", ["{", "[]", '{"name": "toy"}', {"title": 3}, {"presets": [1]}, {"defaults": None}]
)
def test_a_damaged_description_says_no_more_than_the_name(toy_run, tmp_path, wrong):
    whole = json.loads((toy_run / "experiment.json").read_text())
    text = wrong if isinstance(wrong, str) else json.dumps({**whole, **wrong})
    (tmp_path / "experiment.json").write_text(text)
    assert (description_of(tmp_path, "toy").title, description_of(tmp_path, "toy").place) == (
        "toy",
        "",
    )


def test_runs_of_percolaw_need_no_description():
    cls = experiment_class("theory-curves")
    assert describe(cls).known
    assert describe(cls).place == "theory-curves"
