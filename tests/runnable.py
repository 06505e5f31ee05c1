"""Experiments that run as they are."""

from percolaw.experiments.registry import EXPERIMENTS, experiment_class

#: Those with presets: `analyze` is given a file.
RUNNABLE = tuple(name for name in EXPERIMENTS if experiment_class(name).presets)
