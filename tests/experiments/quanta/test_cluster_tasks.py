"""Clusters as tasks: the sums, the laws beside them, and what counts as a step."""

import math

import numpy as np
import pytest

from percolaw.experiments.quanta import cluster_tasks
from percolaw.experiments.quanta.cluster_tasks import ONE_VALUE, PARITY, Target
from percolaw.laws.quanta import sample_loss
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.rng import Streams


def test_a_step_of_one_sample_is_the_missing_mass():
    weight, samples = zipf_weights(1.0, 200), np.array([1.0, 30.0, 1000.0])
    curves = [ONE_VALUE.curve(np.zeros((2000, 2)), 10)] * 200
    laws = cluster_tasks.laws(curves, weight, samples, math.inf)
    for name in ("loss", "common", "quanta", "power"):
        np.testing.assert_allclose(laws[name], sample_loss(samples, 1.0, 1, 200), rtol=1e-9)


def test_the_power_law_is_halved_by_the_same_samples():
    curve = np.minimum(1.0, (np.arange(4001) / 10.0 + 1e-9) ** -0.5)
    laws = cluster_tasks.laws([curve], np.ones(1), np.array([300.0, 2000.0]), 0.5)
    np.testing.assert_allclose(laws["power"], laws["loss"], rtol=1e-6)
    assert cluster_tasks.half(curve) == 40


def test_only_steps_fall_within_a_small_factor():
    streams = Streams(0)
    sizes = np.array([4000])
    points = cluster_tasks.embedded(sizes, np.array([200.0]), 16, 100, streams)[0]
    falls = [cluster_tasks.fall(Target("", nu).curve(points, 100)) for nu in (0.5, 8.0)]
    assert math.isinf(falls[0])  # not within these samples
    assert falls[1] >= 9.0
    assert cluster_tasks.fall(PARITY.curve(points, 100)) < 2.0
    assert cluster_tasks.fall(ONE_VALUE.curve(points, 100)) == 1.0


def test_a_cluster_whose_sites_are_all_seen_is_known():
    points = cluster_tasks.embedded(np.array([30, 1]), np.array([5.0, 5.0]), 4, 20, Streams(1))
    assert [p.shape for p in points] == [(30, 4), (1, 4)]
    for p in points:
        assert Target("", 1.0).curve(p, 20)[-1] == pytest.approx(0.0, abs=1e-9)


def test_sizes_are_planted_by_rank_or_those_of_random_sites():
    planted = cluster_tasks.cluster_sizes(50, 100_000, 1.0, Streams(0))
    assert planted[0] / planted[1] == pytest.approx(4.0, rel=1e-3)
    by_site = cluster_tasks.cluster_sizes(50, 100_000, None, Streams(0))
    assert by_site.size == 50
    assert np.all(np.diff(by_site) <= 0)
    assert not np.array_equal(planted, by_site)
