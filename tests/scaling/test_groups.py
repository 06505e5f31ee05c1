"""Splits that keep groups together."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.scaling.losses import _grouped

RNG = np.random.default_rng(0)
GROUP = np.repeat(np.arange(30), RNG.integers(1, 40, 30))
N = GROUP.size
#: Points of a group lie together: a neighbour of the own group knows nearly the value.
X = RNG.standard_normal((30, 3))[GROUP] + 0.01 * RNG.standard_normal((N, 3))
Y = RNG.standard_normal(30)[GROUP] + 0.01 * RNG.standard_normal(N)


def test_no_group_is_on_both_sides():
    for seed in range(20):
        order = _grouped(GROUP, 100, 200, np.random.default_rng(seed))
        test, train = order[:100], order[100:]
        assert not set(GROUP[test]) & set(GROUP[train])
        assert len(set(order.tolist())) == order.size
        assert train.size >= 200
        assert len(set(GROUP[train[:50]])) > 5, "training points are in random order"


def test_what_groups_hide():
    options = {"sizes": [100, 250], "n_test": 100, "n_repeats": 3}
    together = pl.scaling_curve(pl.NearestNeighbors(), X, Y, groups=GROUP, **options).loss
    mixed = pl.scaling_curve(pl.NearestNeighbors(), X, Y, **options).loss
    assert (mixed[:, 1] < 0.2).all(), "the own group gives the answer away"
    assert (together > 0.5).all()
    named, sizes = np.array([f"cluster {g}" for g in GROUP]), options["sizes"]
    learner = pl.NearestNeighbors()
    again = pl.learning_curve(X, Y, learner, sizes, seeds=3, groups=named, n_test=100)
    assert (again.loss > 0.5).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.zeros(N, int)}, "1 groups of .* cannot be divided into 100 test points"),
        ({"groups": GROUP[:-1]}, r"groups must have shape \(\d+,\), one a point"),
        ({"groups": np.repeat([0, 1], [N - 20, 20])}, "2 groups of 20 to"),
    ],
)
def test_groups_that_cannot_be_kept_apart(change, message):
    with pytest.raises(ValueError, match=message):
        pl.scaling_curve(
            *(pl.NearestNeighbors(), X, Y), [10, 100], **{"n_test": 100, "groups": GROUP, **change}
        )
    with pytest.raises(TypeError, match="groups and class labels are those of points of your own"):
        pl.learning_curve(pl.Cube(2), pl.LinearTeacher(), pl.NearestNeighbors(), [9], loss="0-1")
