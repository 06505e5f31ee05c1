"""A kernel by its matrix against the kernel itself, under every kernel learner."""

import numpy as np
import pytest

from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.numerics.covariance import Matern
from percolaw.numerics.tabulated import Tabulated

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 3)), RNG.standard_normal(60)
NUMBERS = np.arange(60.0)[:, None]


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_learners_take_it_as_the_kernel_it_is_of(ridge):
    kernel = Matern(0.5)
    order = RNG.permutation(60)  # rows are looked up, not counted
    table, train, test = Tabulated(kernel(X, X)), order[:40], order[40:]
    expected = KernelRegression(kernel, ridge).fit(X[train], Y[train]).predict(X[test])
    got = KernelRegression(table, ridge).fit(NUMBERS[train], Y[train]).predict(NUMBERS[test])
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    curves = [
        nested_curve(k, p[train], Y[train], p[test], [10, 40], ridge)
        for k, p in ((kernel, X), (table, NUMBERS))
    ]
    np.testing.assert_allclose(curves[0].prediction, curves[1].prediction, rtol=1e-9)
    np.testing.assert_allclose(curves[0].variance, curves[1].variance, rtol=1e-9)


@pytest.mark.parametrize("points", [[[60.0]], [[-1.0]], [[0.5]], [[0.0, 1.0]], [0.0]])
def test_other_points_are_refused(points):
    with pytest.raises(ValueError, match=r"are their numbers, shape \(n, 1\), in \[0, 59\]"):
        Tabulated(Matern()(X, X))(np.array(points), NUMBERS)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)), "must be square"),
        (np.array([[1.0, 0.5], [0.2, 1.0]]), "must be symmetric"),
        (np.full((2, 2), np.nan), "finite"),
    ],
)
def test_other_matrices_are_refused(matrix, words):
    with pytest.raises(ValueError, match=words):
        Tabulated(matrix)
