"""Losses by rank of a sample: against all pairs, in blocks of near elements."""

import numpy as np
import pytest
from rank_cases import of_labels

from percolaw.analysis.by_rank import rank_losses
from percolaw.analysis.sample import as_sample

RNG = np.random.default_rng(0)
WORDS = ["".join("abc"[(i // 3**j) % 3] for j in range(6)) for i in range(450)]


def _distance(sample):
    x = np.asarray(sample.elements, dtype=float)
    if sample.metric == "hamming":
        return np.array([(row != x).sum(axis=1) for row in x], dtype=float)
    return np.linalg.norm(x[:, None] - x[None], axis=2)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hamming"])
def test_against_all_pairs(metric):
    elements = WORDS if metric == "hamming" else np.round(RNG.standard_normal((450, 3)) * 64) / 64
    sample = as_sample(elements, np.arange(450) // 90, metric=metric)
    losses = rank_losses(sample, 0, 4)
    expected = of_labels(_distance(sample), sample.classes[:, 0])
    if metric == "cosine":  # distances in float32: a few pairs of ranks are exchanged
        gap = np.abs(losses.mean - expected.mean)
        assert np.mean(gap > 1e-12) < 0.02
        assert gap.max() < 2.5 / 450
    else:
        np.testing.assert_allclose(losses.mean, expected.mean, atol=1e-12)
    assert losses.n_points == 450
    assert losses.chance == pytest.approx(expected.chance)


def test_errors_are_over_blocks_along_the_direction_of_most_variance():
    x = RNG.random((500, 2)) * [10.0, 1.0]
    sample = as_sample(x, (np.sin(7 * x[:, 0]) > 0).astype(int))
    losses = rank_losses(sample, 0, 5)
    block = np.empty(500, int)
    block[np.argsort(x[:, 0])] = np.repeat(np.arange(5), 100)
    expected = of_labels(_distance(sample), sample.classes[:, 0], block)
    # Blocks follow the long axis, up to the order of points that the tilt of the axis swaps.
    assert losses.total.shape == expected.total.shape
    forth = np.abs(losses.total - expected.total).mean()
    back = np.abs(losses.total[::-1] - expected.total).mean()
    scattered = of_labels(_distance(sample), sample.classes[:, 0], RNG.permutation(block))
    assert min(forth, back) < 0.3 * np.abs(scattered.total - expected.total).mean()


def test_a_level_is_its_own_function():
    fine = np.arange(420) % 6
    sample = as_sample(RNG.random((420, 2)), np.stack([fine % 2, fine], axis=1))
    coarse, whole = (rank_losses(sample, level, 1) for level in (0, 1))
    assert coarse.chance < whole.chance
    assert np.mean(coarse.mean) == pytest.approx(0.5, abs=0.05)
    assert np.mean(whole.mean) == pytest.approx(5 / 6, abs=0.05)
