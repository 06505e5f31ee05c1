"""Measured learning curves of a sample, and the rows of what its first eighth predicts."""

import numpy as np
import pytest

from percolaw.analysis import learning
from percolaw.analysis.agreement import nearest_neighbor_curve
from percolaw.analysis.by_rank import rank_losses
from percolaw.analysis.learning import (
    LEARNERS,
    N_SMALL,
    OneHotClassifier,
    coordinates,
    evidence_of,
    learning_rows,
    measured_curve,
)
from percolaw.analysis.prediction import FORMS
from percolaw.analysis.sample import as_sample
from percolaw.errors import ResourceError
from percolaw.rng import Streams


class LeastSquares:
    """The least regression with several outputs: a linear map."""

    def fit(self, points, values):
        self.spread = points.std()
        self.map = np.linalg.lstsq(points, values - values.mean(axis=0), rcond=None)[0]
        self.mean = values.mean(axis=0)
        return self

    def predict(self, points):
        return points @ self.map + self.mean


def checkered(n=900, seed=0):
    x = np.random.default_rng(seed).random((n, 2))
    return as_sample(x, (np.floor(3 * x).sum(axis=1) % 2).astype(int))


@pytest.fixture(scope="module")
def sample():
    return checkered()


def test_one_output_a_class():
    rng = np.random.default_rng(0)
    label = rng.choice([3, 7, -2], 300)
    x = 1e4 + 1e-3 * (
        np.stack([label == 3, label == 7], axis=1) + 0.05 * rng.standard_normal((300, 2))
    )
    learner = OneHotClassifier(LeastSquares()).fit(x, label)
    np.testing.assert_array_equal(learner.predict(x), label)
    assert learner.regression.spread == pytest.approx(1.0, abs=0.05)
    one = OneHotClassifier(LeastSquares()).fit(x, np.full(300, 7))
    np.testing.assert_array_equal(one.predict(x), 7)
    with pytest.raises(ResourceError, match="Leave the learner out"):
        OneHotClassifier(LeastSquares()).fit(np.broadcast_to(0.0, (10**6, 1)), np.arange(10**6))


def test_one_neighbour_is_measured_as_ranks_say(sample):
    curve = measured_curve(sample, 0, "nearest neighbour", 12, Streams(0))
    n_train = sample.n - sample.n // 5
    assert curve.size[-1] == n_train
    np.testing.assert_array_equal(curve.size[-3:], [n_train // 4, n_train // 2, n_train])
    assert np.count_nonzero(curve.size <= n_train / 8) == N_SMALL
    exact = nearest_neighbor_curve(rank_losses(sample, 0, 8), curve.size).loss
    error = curve.loss.std(axis=0, ddof=1) / np.sqrt(12)
    z = (curve.loss.mean(axis=0) - exact) / error
    assert np.abs(z).max() < 6.0  # twelve repeats, whose error is itself known to a fifth
    shifted = nearest_neighbor_curve(rank_losses(sample, 0, 8), np.maximum(curve.size // 2, 2)).loss
    assert np.abs((curve.loss.mean(axis=0) - shifted) / error).max() > 6.0


def test_strings_are_learned_from_the_nearest_as_ranks_say():
    codes = np.stack(np.meshgrid(*[np.arange(4)] * 5), axis=-1).reshape(-1, 5).astype(np.uint8)
    codes = np.random.default_rng(0).permutation(codes)
    strings = as_sample(codes, (codes[:, 0] + codes[:, 1]) // 2, metric="hamming")
    x = coordinates(strings)
    differing = np.count_nonzero(codes[:20, None] != codes[None, :20], axis=2)
    np.testing.assert_allclose(np.square(x[:20, None] - x[None, :20]).sum(axis=2), 2 * differing)
    curve = measured_curve(strings, 0, "nearest neighbour", 12, Streams(0))
    exact = nearest_neighbor_curve(rank_losses(strings, 0, 8), curve.size).loss
    error = curve.loss.std(axis=0, ddof=1) / np.sqrt(12)
    assert np.abs((curve.loss.mean(axis=0) - exact) / error).max() < 6.0


def test_kernels_learn_too(sample):
    curve = measured_curve(sample, 0, "kernel", 3, Streams(0))
    assert curve.loss.shape == (3, curve.size.size)
    assert curve.loss[:, -1].mean() < 0.15 < 0.3 < curve.loss[:, 0].mean()
    with pytest.raises(ValueError, match="learner"):
        measured_curve(sample, 0, "forest", 3, Streams(0))


def test_evidence_is_of_the_first_points(sample):
    evidence = evidence_of(sample, 200, 0, 4)
    first = sample.part(np.arange(200))
    graph = first.graph(4)
    np.testing.assert_array_equal(evidence.cluster, graph.clusters(first.agreeing(graph, 0)))
    np.testing.assert_array_equal(evidence.by_rank.total, rank_losses(first, 0, 1).total)


def test_rows(sample):
    rows = learning_rows(sample, 0, "nearest neighbour", 4, 6, Streams(0))
    quantity = [row[0] for row in rows]
    losses = [row for row in rows if row[0] == "loss"]
    assert len(losses) == N_SMALL + 3
    assert all(low <= value <= high for _, _, value, low, high in losses)
    for name in FORMS:
        assert quantity.count(f"score of {name}") == 1
        sizes = [row[1] for row in rows if row[0] == f"predicted by {name}"]
        assert sizes == [row[1] for row in losses[-3:]] or sizes == [row[1] for row in losses]
    (margin,) = (row for row in rows if row[0] == "margin of percolation")
    assert margin[3] <= margin[2] <= margin[4]
    (fall,) = (row for row in rows if row[0] == "fall by doubling")
    assert 0.0 < fall[2] < 1.0
    assert fall[3] <= fall[2] <= fall[4]
    assert quantity.count("expectation") == 1
    assert rows[-1][5].startswith("Doubling the data") or rows[-1][5].startswith(
        "Nothing is promised"
    )
    assert learning_rows(sample, 0, "nearest neighbour", 4, 6, Streams(0)) == rows


def test_no_prediction_is_said_with_its_reason():
    x = np.random.default_rng(0).random((420, 2)) + 5.0 * (np.arange(420) % 2)[:, None]
    trivial = as_sample(x, np.arange(420) % 2)
    rows = learning_rows(trivial, 0, "nearest neighbour", 4, 3, Streams(0))
    assert rows[-1] == ("no prediction", None, None, None, None, learning.ZERO)
    assert set(LEARNERS) == {"nearest neighbour", "kernel", "network"}
