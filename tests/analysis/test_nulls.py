"""What each null keeps of the data, and what it destroys."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import kurtosis
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.analysis import nulls
from percolaw.analysis.domains import compact_domains
from percolaw.analysis.nulls import (
    gaussian_points,
    markov_strings,
    permuted_labels,
    position_marginals,
    random_bonds,
    shuffled_components,
)
from percolaw.analysis.potts import potts_null

RNG = np.random.default_rng(0)
#: Two dependent, heavy-tailed columns and one more, turned out of the axes.
_MIX = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 1.0], [0.3, 0.0, 1.5]])
_RADIUS = RNG.lognormal(0.0, 1.0, (4000, 1))
POINTS = 3.0 + (_RADIUS * RNG.standard_normal((4000, 3))) @ _MIX
LABELS = RNG.geometric(0.3, 400) * 3 - 5
#: Strings of a second-order law: each letter repeats one of the last two, or is new.
CODES = RNG.integers(0, 9, (20_000, 7)).astype(np.uint8)
for _k in range(2, 7):
    _back = RNG.integers(1, 3, 20_000)
    _repeat = RNG.random(20_000) < 0.5
    CODES[_repeat, _k] = CODES[np.arange(20_000), _k - _back][_repeat]
CODES = np.unique(CODES, axis=0)


def square(length):
    site = np.arange(length**2).reshape(length, length)
    right = np.stack([site[:, :-1].ravel(), site[:, 1:].ravel()])
    down = np.stack([site[:-1].ravel(), site[1:].ravel()])
    return (length**2, *np.concatenate([right, down], axis=1).astype(np.int32))


@pytest.mark.parametrize(
    "made",
    [
        lambda: partial(gaussian_points, POINTS),
        lambda: partial(shuffled_components, POINTS),
        lambda: partial(random_bonds, np.arange(100) < 30),
        lambda: partial(permuted_labels, LABELS),
        lambda: potts_null(*square(20), LABELS, n_sweeps=20).draw,
        lambda: partial(position_marginals, CODES[:1000]),
        lambda: partial(markov_strings, CODES[:1000]),
        lambda: compact_domains(*square(20), LABELS).draw,
    ],
)
def test_a_draw_depends_on_index_and_seed_alone(made):
    draw = made()
    second = draw(2, 7)
    draw(0, 7)
    assert np.array_equal(second, draw(2, 7))
    assert not np.array_equal(second, draw(3, 7))
    assert not np.array_equal(second, draw(2, 8))


def test_gaussian_points_keep_the_covariance_and_no_tail():
    draws = [gaussian_points(POINTS, i) for i in range(30)]
    covariance = np.cov(POINTS.T)
    for i, j in ((0, 0), (0, 1), (1, 2)):
        values = [np.cov(draw.T)[i, j] for draw in draws]
        assert_close(*_ordered(values, covariance[i, j]))
        assert_far(*_ordered(values, 1.2 * covariance[i, j]))
    assert_close(*_ordered([draw.mean(axis=0)[1] for draw in draws], POINTS.mean(axis=0)[1]))
    assert max(abs(kurtosis(draw[:, 0])) for draw in draws) < 0.5 < 10 < kurtosis(POINTS[:, 0])


def _ordered(values, truth):
    mean, error = mean_and_error(values)
    return mean, truth, error


def test_shuffled_components_keep_each_component_and_no_dependence():
    draw = shuffled_components(POINTS, 0)
    axes = np.linalg.eigh(np.cov(POINTS.T))[1]
    before, after = (POINTS - POINTS.mean(axis=0)) @ axes, (draw - POINTS.mean(axis=0)) @ axes
    assert np.allclose(np.sort(before, axis=0), np.sort(after, axis=0))

    def dependence(x):
        return np.corrcoef(np.log(x[:, 0] ** 2), np.log(x[:, 2] ** 2))[0, 1]

    assert_close(dependence(after), 0.0, 1 / np.sqrt(len(POINTS)))
    assert_far(dependence(before), 0.0, 1 / np.sqrt(len(POINTS)))


def test_bonds_and_labels_are_permuted():
    is_open = np.arange(6) < 2
    pairs = [tuple(np.flatnonzero(random_bonds(is_open, i))) for i in range(1500)]
    counts = [pairs.count((i, j)) for j in range(6) for i in range(j)]
    assert sum(counts) == 1500
    assert chi_squared_p(counts, np.full(15, 1 / 15)) > P_FLOOR
    assert np.array_equal(np.sort(permuted_labels(LABELS, 1)), np.sort(LABELS))


def frequencies(codes, positions):
    letters = codes[:, positions].astype(int) @ 9 ** np.arange(len(positions))
    return np.bincount(letters, minlength=9 ** len(positions)) / len(codes)


@pytest.mark.parametrize(
    ("null", "kept", "lost"),
    [(position_marginals, [3], [2, 3]), (markov_strings, [2, 3], [2, 3, 4])],
)
def test_strings_keep_their_order_of_dependence_and_no_more(null, kept, lost):
    draw = null(CODES, 0)
    assert draw.dtype == np.uint8
    assert draw.shape == CODES.shape
    assert len(np.unique(draw, axis=0)) == len(draw)
    # Frequencies of the data are themselves a sample: variances add, so half the counts.
    half = draw[::2]
    assert chi_squared_p(frequencies(half, kept) * len(half), frequencies(CODES, kept)) > P_FLOOR
    assert chi_squared_p(frequencies(half, lost) * len(half), frequencies(CODES, lost)) < P_FLOOR


def test_strings_that_fill_their_space_are_refused(monkeypatch):
    monkeypatch.setattr(nulls, "_BATCHES", 1)
    whole = np.stack(np.unravel_index(np.arange(16), (2,) * 4), axis=1).astype(np.uint8)
    with pytest.raises(ValueError, match="distinct strings"):
        position_marginals(whole, 0)
