"""What commands say while they measure."""

import dataclasses

import pytest

from percolaw.cli.measuring import say_what_it_takes
from percolaw.experiments.base import preset
from percolaw.experiments.registry import experiment_class


@pytest.mark.parametrize(
    ("name", "label", "said"),
    [
        ("nn-model-scaling", "gpu", "9 min with --workers 7, estimated; 16 GiB of memory"),
        ("analyze-confusion", "paper", "6 h, estimated; 2 GiB of memory"),
        ("cluster-sizes", "smoke", None),
    ],
)
def test_presets_of_minutes_say_what_they_take(name, label, said, capsys):
    experiment = preset(experiment_class(name), label)
    say_what_it_takes(experiment)
    expected = "" if said is None else f"percolaw: {name}, preset {label}: {said}\n"
    assert capsys.readouterr().err == expected
    say_what_it_takes(dataclasses.replace(experiment, n_seeds=7))
    assert capsys.readouterr().err == "", "of another config nothing is known"
