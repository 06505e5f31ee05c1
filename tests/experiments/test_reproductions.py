"""Reproductions: what a source overrides makes configs."""

from percolaw.cli.experiments import member_config
from percolaw.experiments.base import plain
from percolaw.experiments.registry import experiment_class
from percolaw.experiments.reproductions import OVERRIDES, REPRODUCTIONS


def test_overrides_make_configs():
    for source, experiments in OVERRIDES.items():
        for name, changed in experiments.items():
            assert name in REPRODUCTIONS[source][1]
            cls = experiment_class(name)
            for label in cls.presets:
                e = member_config(source, name, label)
                assert e.cells(), label
                for field, value in changed.items():
                    assert plain(getattr(e, field)) == plain(value)
    e = member_config("regimes", "kernel-scaling", "laptop")
    assert [one.word for one in e.settings()] == list(
        OVERRIDES["regimes"]["kernel-scaling"]["lattices"]
    )
    assert len(e.settings()) == 6
