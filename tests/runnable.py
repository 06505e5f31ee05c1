"""Experiments that run as they are."""

import pytest

from percolaw.experiments.registry import EXPERIMENTS, experiment_class

#: Those with presets: `analyze` is given a file.
RUNNABLE = tuple(name for name in EXPERIMENTS if experiment_class(name).presets)
#: Analyses that read more than a second: real-digits, real-words and real-rna run the same code on other
#: data, and tests/datasets/real reads theirs.
ALIKE = ("real-vectors", "real-contexts")
#: Parameters of a test that runs the smoke presets.
SMOKE = [pytest.param(n, marks=pytest.mark.slow) if n in ALIKE else n for n in RUNNABLE]
