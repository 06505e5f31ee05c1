"""The likelihood of distances: the formula by plain loops, and local dimensions."""

import math

import numpy as np
import pytest
from dimension_cases import likelihood, neighbour_distances, plain_points, small_sample
from statistical import assert_close, assert_far, mean_and_error

import percolaw
from percolaw.dimension.mle import MLE, local_dimension

# ---- oracles: plain loops from the papers, sharing nothing with the package ----


@pytest.mark.parametrize("average", ["inverse", "dimension"])
@pytest.mark.parametrize("k", [3, 5, 12])
def test_likelihood_formula(k, average):
    sample = small_sample()
    value = MLE(k, average).value(sample)
    assert value == pytest.approx(likelihood(sample.distance, k, average), rel=1e-12)
    other = "dimension" if average == "inverse" else "inverse"
    assert abs(value / likelihood(sample.distance, k, other) - 1) > 1e-3
    wrong = k - 2 if average == "inverse" else k - 1
    assert abs(value / likelihood(sample.distance, k, average, wrong) - 1) > 0.05


def test_likelihood_with_two_neighbours():
    sample = small_sample()
    expected = likelihood(sample.distance, 2, "inverse")
    assert MLE(2).value(sample) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e-4])
def test_one_point_with_equally_far_neighbours_does_not_decide_the_mean(gap):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 6)) + 10.0
    plain = MLE(20, "dimension").fit(x)
    far = np.zeros((1, 6))  # beside it 20 points on a sphere
    ring = rng.standard_normal((20, 6))
    ring *= (1.0 + gap * rng.random((20, 1))) / np.linalg.norm(ring, axis=1, keepdims=True)
    moved = MLE(20, "dimension").fit(np.concatenate([x, far, ring]))
    assert abs(moved.dimension_ / plain.dimension_ - 1.0) < 0.02
    # Control: the mean as it stands.
    distance = neighbour_distances(np.concatenate([x, far, ring]), 20)
    local = 18 / np.maximum(np.log(distance[:, 19:] / distance[:, :19]).sum(axis=1), 1e-12)
    assert local.mean() > 1.5 * plain.dimension_


# ---- local dimension ----


def test_local_dimension_of_a_line_and_a_ball():
    rng = np.random.default_rng(2)
    line = np.zeros((700, 3))
    line[:, 0] = rng.random(700)
    ball = percolaw.make_manifold("ball", 1500, 3, rng=3).X + np.array([100.0, 0, 0])
    local = local_dimension(np.concatenate([line, ball]))
    assert abs(np.median(local[:700]) - 1) < 0.06
    assert 2.6 < np.median(local[700:]) < 3.15  # the surface lowers it
    inner = np.linalg.norm(ball - [100.0, 0, 0], axis=1) < 0.6
    assert abs(np.median(local[700:][inner]) - 3) < 0.15
    part = local_dimension(np.concatenate([line, ball]), query=np.array([900, 3, 650]))
    np.testing.assert_allclose(part, local[[900, 3, 650]], rtol=1e-12)
    assert abs(np.median(local) - 1) > 0.5  # control: the whole is neither


@pytest.mark.parametrize("d", [1, 3])
def test_local_dimension_law_at_the_centre_of_a_ball(d):
    """Inside a ball around the query the law of ratios is exact: mean D, deviation D/sqrt(k - 3)."""
    rng = np.random.default_rng(d)
    k, values = 20, []
    for _ in range(300):
        x = rng.standard_normal((60, d))
        x *= rng.random((60, 1)) ** (1 / d) / np.linalg.norm(x, axis=1, keepdims=True)
        x[0] = 0
        values.append(local_dimension(x, k, np.array([0]))[0])
    mean, error = mean_and_error(values)
    assert_close(mean, d, error)
    assert_far(mean, d * (k - 1) / (k - 2), error / 2)  # halved: 5% is 4 errors of 300 values
    assert np.std(values, ddof=1) == pytest.approx(d / math.sqrt(k - 3), rel=0.2)


# ---- known faults ----


@pytest.mark.parametrize(
    "query", [np.array([-1, 0]), np.arange(600) < 3, [0, 1]], ids=["negative", "mask", "list"]
)
def test_queries_of_local_dimension(query):
    """Either the rows that NumPy would take, or a message that names `query`."""
    x = plain_points()
    try:
        found = local_dimension(x, 10, query)
    except (ValueError, TypeError, IndexError) as error:
        if "query" not in str(error):
            raise
    else:
        np.testing.assert_allclose(found, local_dimension(x, 10)[np.asarray(query)])
