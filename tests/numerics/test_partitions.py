"""The adjusted Rand index: another implementation, names of clusters, partitions without pairs."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import percolaw as pl


@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    for kinds in (2, 7):
        a, b = rng.integers(0, kinds, (2, 60)) * 7 - 3
        b[:30] = a[:30]
        assert pl.adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b))
        assert pl.adjusted_rand(a, 10**9 - a) == 1.0


def test_one_class_and_single_points():
    assert pl.adjusted_rand([3, 3, 3], [1, 1, 1]) == 1.0
    assert pl.adjusted_rand(np.arange(5), np.arange(5)) == 1.0
    assert pl.adjusted_rand([3, 3, 3], [0, 1, 2]) == 0.0
    assert pl.adjusted_rand([0], [0]) == 1.0


@pytest.mark.parametrize("part", [[0, 1], [[0, 1, 2]]])
def test_other_points_are_refused(part):
    with pytest.raises(ValueError, match="a label for each sample"):
        pl.adjusted_rand([0, 1, 2], part)
