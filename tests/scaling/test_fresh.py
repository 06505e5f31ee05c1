"""Functions as learners; the other kinds of learner are in test_losses.py."""

import numpy as np

import percolaw as pl
from percolaw.scaling.fresh import FunctionLearner, fresh_learners

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 2))
Y = X[:, 0]


def nearest(points, values, queries, scale=1.0):
    square = ((queries[:, None] - scale * points) ** 2).sum(axis=2)
    return values[square.argmin(axis=1)]


def test_a_function_of_training_set_and_queries_is_a_learner():
    options = {"sizes": [10, 100], "n_test": 100, "n_repeats": 2}
    found = pl.scaling_curve(nearest, X, Y, **options).loss
    np.testing.assert_array_equal(
        found, pl.scaling_curve(pl.NearestNeighbors(), X, Y, **options).loss
    )
    made = pl.scaling_curve(lambda: FunctionLearner(nearest), X, Y, **options).loss
    np.testing.assert_array_equal(found, made)


def test_a_fitted_learner_of_ours_starts_anew():
    learner = pl.NearestNeighbors().fit(X, Y)
    assert not hasattr(fresh_learners(learner)(), "points_")
