"""Kernel regression against scikit-learn, dense algebra and processes solved by hand; what the
kernel-scaling and teacher experiments conclude from made-up rows.
"""

import itertools
import math
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as sklearn_kernels
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from statistical import assert_close, assert_far, mean_and_error
from threadpoolctl import threadpool_limits

from percolaw import checks
from percolaw.datasets.sources import Cube, InfiniteCluster, Manifold
from percolaw.errors import ResourceError
from percolaw.experiments.kernels.kernel_curves import last_decade
from percolaw.experiments.kernels.kernel_scaling import NETWORK, KernelScaling
from percolaw.experiments.kernels.teachers import Teachers
from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.numerics.covariance import (
    JITTERS,
    Gaussian,
    Matern,
    NetworkGaussianProcess,
    NeuralTangent,
)
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher

KERNELS = [
    Matern(0.5),
    Matern(0.8, 0.6),
    Matern(2.5, 0.4),
    Gaussian(0.3),
    NetworkGaussianProcess(2),
    NeuralTangent(2),
    NeuralTangent(1, 1.0, 0.0),
]
ids = pytest.mark.parametrize("kernel", KERNELS, ids=str)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def task(seed=0, n=120, d=3, m=40):
    """Training points, their values of three outputs with noise, and test points."""
    x, q = normal(seed, n, d), normal(seed + 1000, m, d)
    y = np.stack([np.sin(2 * x[:, 0]), x.sum(axis=1), normal(seed + 2000, n)], axis=1)
    return x, y + 0.1 * normal(seed + 3000, n, 3), q


def dense(kernel, x, ridge=0.0):
    """kernel(x, x) + ridge with its exact diagonal."""
    matrix = kernel(x, x)
    matrix[np.diag_indices(x.shape[0])] = kernel.diagonal(x) + ridge
    return matrix


def by_hand(kernel, x, y, q, ridge=0.0):
    """Prediction and posterior variance from plain linear algebra."""
    matrix, cross = dense(kernel, x, ridge), kernel(q, x)
    inverse = np.linalg.inv(matrix)
    return cross @ np.linalg.solve(matrix, y), kernel.diagonal(q) - np.einsum(
        "ij,jk,ik->i", cross, inverse, cross
    )


def in_scikit_learn(kernel, d):
    length = kernel.length_scale * math.sqrt(d)
    if isinstance(kernel, Gaussian):
        return sklearn_kernels.RBF(length)
    return sklearn_kernels.Matern(length, nu=kernel.smoothness)


@dataclass(frozen=True)
class Linear:
    """x.y / d, a covariance that is none of the package's."""

    def __call__(self, x, y):
        return x @ y.T / x.shape[1]

    def diagonal(self, x):
        return np.einsum("ij,ij->i", x, x) / x.shape[1]


# --- the fit, against scikit-learn and dense algebra


STATIONARY = [Matern(0.5), Matern(1.5, 0.7), Matern(0.8, 0.6), Matern(2.5, 0.4), Gaussian(0.3)]


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("kernel", STATIONARY, ids=str)
def test_against_scikit_learn(kernel, ridge):
    x, y, q = task(1)
    ours = KernelRegression(kernel, ridge).fit(x, y)
    assert ours.jitter == 0.0
    their_kernel = in_scikit_learn(kernel, x.shape[1])
    process = GaussianProcessRegressor(their_kernel, alpha=ridge, optimizer=None).fit(x, y)
    scale = np.abs(ours.weights).max()
    np.testing.assert_allclose(ours.predict(q), process.predict(q), rtol=0, atol=1e-11 * scale)
    if ridge:
        theirs = KernelRidge(alpha=ridge, kernel="precomputed").fit(their_kernel(x), y)
        np.testing.assert_allclose(
            ours.predict(q), theirs.predict(their_kernel(q, x)), rtol=0, atol=1e-11 * scale
        )
        np.testing.assert_allclose(ours.weights, theirs.dual_coef_, rtol=1e-7, atol=1e-8 * scale)
    # The unit of length is sqrt(d): with another one the predictions are others.
    wrong = in_scikit_learn(kernel, 1)
    off = GaussianProcessRegressor(wrong, alpha=ridge, optimizer=None).fit(x, y).predict(q)
    assert np.abs(ours.predict(q) - off).max() > 1e-2


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
@ids
def test_against_dense_algebra(kernel, ridge):
    x, y, q = task(2)
    fitted = KernelRegression(kernel, ridge).fit(x, y)
    expected = by_hand(kernel, x, y, q, ridge)[0]
    scale = max(1.0, float(np.abs(fitted.weights).max()))
    np.testing.assert_allclose(fitted.predict(q), expected, rtol=0, atol=1e-8 * scale)
    assert (fitted.ridge, fitted.validation) == (ridge, ())
    assert fitted.weights.shape == y.shape


@ids
def test_interpolates_without_a_ridge(kernel):
    x, y, _ = task(3)
    fitted = KernelRegression(kernel).fit(x, y)
    # A diagonal made from rounded distances is off by 1e-8, for kernels with a kink at 0.
    scale = np.abs(fitted.weights).max()
    assert np.abs(fitted.predict(x) - y).max() < 3e-7 * scale
    smooth = KernelRegression(kernel, 1.0).fit(x, y)
    assert np.abs(smooth.predict(x) - y).max() > 1e-2, "a ridge smooths"


def test_outputs_are_learned_side_by_side():
    x, y, q = task(4)
    model = KernelRegression(Matern(1.5), 1e-2)
    together = model.fit(x, y).predict(q)
    assert together.shape == (40, 3)
    for j in range(3):
        alone = model.fit(x, y[:, j]).predict(q)
        assert alone.shape == (40,)
        np.testing.assert_allclose(together[:, j], alone, rtol=0, atol=1e-9)
        column = model.fit(x, y[:, j : j + 1]).predict(q)
        assert column.shape == (40, 1)
        np.testing.assert_allclose(column[:, 0], alone, rtol=0, atol=1e-9)


def test_integers_and_lists_are_points_too():
    x = np.random.default_rng(5).integers(0, 50, (40, 2))
    x = np.unique(x, axis=0)
    fitted = KernelRegression(Matern(0.5, 5.0)).fit(x.tolist(), x[:, 0])
    np.testing.assert_allclose(fitted.predict(x), x[:, 0], atol=1e-5)
    assert fitted.predict(np.zeros((0, 2))).shape == (0,)


def test_one_point_and_one_query():
    fitted = KernelRegression(Matern(0.5, 2.0), 0.25).fit([[1.0]], [3.0])
    assert fitted.predict([[2.0]]) == pytest.approx(3.0 / 1.25 * math.exp(-0.5))


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
@ids
def test_order_of_the_training_points_does_not_matter(kernel, ridge):
    x, y, q = task(6)
    order = np.random.default_rng(6).permutation(x.shape[0])
    one = KernelRegression(kernel, ridge).fit(x, y)
    other = KernelRegression(kernel, ridge).fit(x[order], y[order])
    scale = max(1.0, np.abs(one.weights).max())
    np.testing.assert_allclose(one.predict(q), other.predict(q), rtol=0, atol=1e-7 * scale)


def test_threads_change_nothing_beyond_rounding():
    x, y, q = task(7, n=300)
    for kernel in (Matern(1.5), NeuralTangent(2)):
        found = []
        for n_threads in (1, 2):
            with threadpool_limits(n_threads, user_api="blas"):
                curve = nested_curve(kernel, x, y, q, [50, 300])
                fitted = KernelRegression(kernel, 1e-2).fit(x, y)
                found.append((curve.prediction, curve.variance, fitted.predict(q)))
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_inputs_stay_as_they_are():
    x, y, q = task(8)
    kept = x.copy(), y.copy(), q.copy()
    KernelRegression(Matern(), (1e-3, 1e-1)).fit(x, y).predict(q)
    nested_curve(Matern(), x, y, q, [10, 100])
    for now, before in zip((x, y, q), kept, strict=True):
        np.testing.assert_array_equal(now, before)


# --- exact answers


@pytest.mark.parametrize("length", [0.3, 1.0, 4.0])
def test_matern_one_half_on_a_line_is_ornstein_uhlenbeck(length):
    """A Markov process: between neighbours only these count, outside only the last."""
    x = np.sort(np.random.default_rng(9).uniform(0, 10, 30))[:, None]
    y = normal(9, 30)
    q = np.random.default_rng(10).uniform(-1, 11, 200)
    expected, variance = np.empty(200), np.empty(200)
    for i, at in enumerate(q):
        j = int(np.searchsorted(x[:, 0], at))
        if j in (0, 30):
            end = 0 if j == 0 else 29
            v = abs(at - x[end, 0]) / length
            expected[i], variance[i] = y[end] * math.exp(-v), 1.0 - math.exp(-2 * v)
            continue
        u, v = (at - x[j - 1, 0]) / length, (x[j, 0] - at) / length
        whole = math.sinh(u + v)
        expected[i] = (math.sinh(v) * y[j - 1] + math.sinh(u) * y[j]) / whole
        variance[i] = 2.0 * math.sinh(u) * math.sinh(v) / whole
    kernel = Matern(0.5, length)
    found = KernelRegression(kernel).fit(x, y).predict(q[:, None])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    for i in range(0, 200, 10):
        curve = nested_curve(kernel, x, y, q[i : i + 1, None], [30])
        assert curve.variance[0] == pytest.approx(variance[i], abs=1e-11)
        assert curve.prediction[0, 0, 0] == pytest.approx(expected[i], abs=1e-10)
    curve = nested_curve(kernel, x, y, q[:, None], [30])
    assert curve.variance[0] == pytest.approx(variance.mean(), abs=1e-11)


def ornstein_uhlenbeck_loss(n, length, edges=True):
    """Expected loss at a uniform point of n uniform points on [0, 1].

    The test point is one of n + 1 exchangeable points: inside with probability (n - 1) / (n + 1),
    and then the sum s of the spacings beside it has the density n (n + 1) s (1 - s)^(n - 1), and is
    divided uniformly; otherwise at an end, with the density (n + 1) (1 - v)^n of one spacing.
    """

    def inner(s):
        t = s / length
        mean = t / math.tanh(t) - 1.0 if t > 1e-4 else t * t / 3.0
        return n * (n + 1) * (1 - s) ** (n - 1) * length * mean

    def outer(v):
        return (n + 1) * (1 - v) ** n * -math.expm1(-2 * v / length)

    points = [0.0, min(1.0, 3.0 / n), min(1.0, 20.0 / n), 1.0]
    whole = [sum(quad(f, a, b)[0] for a, b in itertools.pairwise(points)) for f in (inner, outer)]
    share = (n - 1) / (n + 1)
    return share * whole[0] + ((1 - share) * whole[1] if edges else 0.0)


def test_expected_loss_of_uniform_points_on_a_line():
    sizes, length = np.array([2, 5, 20, 80]), 0.5
    losses = []
    for seed in range(250):
        x = np.random.default_rng([11, seed]).uniform(size=(120, 1))
        losses.append(
            nested_curve(Matern(0.5, length), x[:80], np.zeros(80), x[80:], sizes).variance.tolist()
        )
    for n, loss in zip(sizes, np.array(losses).T, strict=True):
        mean, error = mean_and_error(loss)
        assert error < 0.03 * mean
        assert_close(mean, ornstein_uhlenbeck_loss(n, length), error)
        if n <= 20:
            assert_far(mean, ornstein_uhlenbeck_loss(n, length, edges=False), error)
    # For many points s^2 / (3 length), integrated: 2 / (3 (n + 2) length).
    exact = ornstein_uhlenbeck_loss(10_000, length)
    assert exact == pytest.approx(2.0 / (3e4 * length), rel=1e-3)


def test_expected_loss_is_that_of_targets_drawn_from_the_process():
    rng = np.random.default_rng(12)
    x = rng.standard_normal((130, 2))
    for kernel in (Matern(0.5), Matern(2.5, 0.5), NeuralTangent(1)):
        root = np.linalg.cholesky(dense(kernel, x))
        y = root @ rng.standard_normal((130, 400))
        for ridge in (0.0, 0.1):
            seen = y[:100] + math.sqrt(ridge) * rng.standard_normal((100, 400))
            curve = nested_curve(kernel, x[:100], seen, x[100:], [10, 30, 100], ridge)
            for i in range(3):
                loss = np.mean((curve.prediction[i] - y[100:]) ** 2, axis=0)
                mean, error = mean_and_error(loss)
                assert_close(mean, curve.variance[i], error)
                assert_far(mean, 1.5 * curve.variance[i], error)


def test_tangent_kernel_without_biases_learns_a_linear_teacher_from_d_pairs():
    """The odd part of the kernel of one layer is linear: k_1(c) - k_1(-c) = c, k_0(c) + k_0(-c) = 1.

    So an odd target on points x and -x is interpolated linearly: exactly from d points on, and with
    fewer by its projection onto them.
    """
    d = 6
    teacher = LinearTeacher(2).sample(d, 3)
    x, q = normal(13, d, d), 3.0 * normal(14, 50, d)
    kernel = NeuralTangent(1, bias_scale=0.0)
    pairs = np.concatenate([x, -x])
    fitted = KernelRegression(kernel).fit(pairs, teacher(pairs))
    np.testing.assert_allclose(fitted.predict(q), teacher(q), rtol=0, atol=1e-6)
    few = np.concatenate([x[:3], -x[:3]])
    partly = KernelRegression(kernel).fit(few, teacher(few)).predict(q)
    onto = np.linalg.pinv(x[:3]) @ x[:3]
    np.testing.assert_allclose(partly, teacher(q @ onto), rtol=0, atol=1e-6)
    assert np.abs(partly - teacher(q)).max() > 0.1
    # With biases it is no longer exact.
    biased = KernelRegression(NeuralTangent(1)).fit(pairs, teacher(pairs)).predict(q)
    assert np.abs(biased - teacher(q)).max() > 1e-2


@pytest.mark.parametrize("depth", [1, 3])
def test_tangent_kernel_without_biases_is_homogeneous(depth):
    x, y, q = task(15)
    fitted = KernelRegression(NeuralTangent(depth, bias_scale=0.0)).fit(x, y)
    scale = np.abs(fitted.weights).max()
    np.testing.assert_allclose(fitted.predict(7 * q), 7 * fitted.predict(q), atol=1e-6 * scale)


@pytest.mark.parametrize("ridge", [1e-2, 3.0])
def test_linear_student_is_ridge_regression(ridge):
    x, y, q = task(16, d=4)
    theirs = Ridge(alpha=ridge, fit_intercept=False).fit(x / 2.0, y)  # features x / sqrt(d)
    ours = KernelRegression(Linear(), ridge).fit(x, y)
    np.testing.assert_allclose(ours.predict(q), theirs.predict(q / 2.0), rtol=0, atol=1e-8)


# --- rounding: jitter and duplicates


def test_jitter_is_reported():
    x = np.linspace(-1, 1, 60)[:, None]
    y = np.sin(x[:, 0])
    fitted = KernelRegression(Gaussian(1.0)).fit(x, y)
    assert fitted.jitter in JITTERS[1:]
    assert nested_curve(Gaussian(1.0), x, y, x[:5] + 0.01, [10, 60]).jitter == fitted.jitter
    assert np.abs(fitted.predict(x + 0.003) - np.sin(x[:, 0] + 0.003)).max() < 1e-4
    assert KernelRegression(Gaussian(1.0), 1e-3).fit(x, y).jitter == 0.0, "the ridge is enough"
    assert KernelRegression(Gaussian(0.02)).fit(x, y).jitter == 0.0


def test_duplicates_are_averaged():
    x, y, q = task(17, n=30)
    twice, other = np.concatenate([x, x]), normal(18, 30, 3)
    mean = KernelRegression(Matern(1.5), 0.05).fit(x, (y + other) / 2).predict(q)
    # Two values with noise variance r are their mean with noise variance r / 2.
    both = KernelRegression(Matern(1.5), 0.1).fit(twice, np.concatenate([y, other]))
    np.testing.assert_allclose(both.predict(q), mean, rtol=0, atol=1e-10)


def test_equal_duplicates_change_nothing():
    x, y, q = task(17, n=30)
    twice = KernelRegression(Matern(1.5)).fit(np.concatenate([x, x]), np.concatenate([y, y]))
    assert twice.jitter > 0
    once = KernelRegression(Matern(1.5)).fit(x, y)
    np.testing.assert_allclose(twice.predict(q), once.predict(q), rtol=0, atol=1e-3)


def test_duplicates_that_contradict_each_other_are_refused_or_averaged():
    x, y, q = task(17, n=30)
    other = normal(18, 30, 3)
    try:
        found = KernelRegression(Matern(1.5)).fit(
            np.concatenate([x, x]), np.concatenate([y, other])
        )
    except ValueError:
        return
    mean = KernelRegression(Matern(1.5)).fit(x, (y + other) / 2).predict(q)
    np.testing.assert_allclose(found.predict(q), mean, rtol=0, atol=1e-2)


# --- the choice of a ridge


def test_ridge_is_the_best_on_points_held_out(monkeypatch):
    x, y, q = task(19, n=150)
    ridges = (1e-4, 1e-2, 1.0, 100.0)
    solved = []
    plain = KernelRegression._solve

    def spy(self, points, values, ridge, tried):
        solved.append((points.copy(), values.copy(), ridge))
        return plain(self, points, values, ridge, tried)

    monkeypatch.setattr(KernelRegression, "_solve", spy)
    model = KernelRegression(Matern(0.5), ridges, validation=0.3, rng=4)
    fitted = model.fit(x, y)
    assert [s[2] for s in solved[:-1]] == list(ridges)
    assert [r for r, _ in fitted.validation] == list(ridges)
    (train, seen, _), *rest = solved
    assert train.shape[0] == 150 - 45
    for points, values, _ in rest[:-1]:
        np.testing.assert_array_equal(points, train)
        np.testing.assert_array_equal(values, seen)
    known = {row.tobytes() for row in train}
    assert len(known) == 105, "every training point once"
    test = np.array([row.tobytes() not in known for row in x])
    assert test.sum() == 45, "the validation points are the others"
    rows = {row.tobytes(): i for i, row in enumerate(x)}
    np.testing.assert_array_equal(seen, y[[rows[row.tobytes()] for row in train]])
    errors = [
        np.mean((by_hand(Matern(0.5), train, seen, x[test], r)[0] - y[test]) ** 2) for r in ridges
    ]
    np.testing.assert_allclose([e for _, e in fitted.validation], errors, rtol=1e-6)
    assert fitted.ridge == ridges[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < 3, "the task has a best ridge inside"
    np.testing.assert_array_equal(solved[-1][0], x)
    np.testing.assert_allclose(
        fitted.predict(q), by_hand(Matern(0.5), x, y, q, fitted.ridge)[0], rtol=0, atol=1e-6
    )


def test_split_follows_the_seed():
    x, y, _ = task(20)
    found = [
        KernelRegression(ridge=(0.1, 1.0), rng=seed).fit(x, y).validation for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    backwards = KernelRegression(ridge=(1.0, 0.1), rng=1).fit(x, y)
    assert backwards.validation == found[0][::-1]
    one = KernelRegression(ridge=[0.1]).fit(x, y)
    assert (one.ridge, one.validation) == (0.1, ())


# --- the whole curve from one factorisation


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
@ids
def test_nested_curve_is_a_fit_at_every_size(kernel, ridge):
    x, y, q = task(30)
    sizes = [1, 2, 7, 8, 50, 119, 120]
    curve = nested_curve(kernel, x, y, q, sizes, ridge)
    np.testing.assert_array_equal(curve.size, sizes)
    assert curve.prediction.shape == (7, 40, 3)
    assert curve.jitter == 0.0
    for i, n in enumerate(sizes):
        fitted = KernelRegression(kernel, ridge).fit(x[:n], y[:n])
        scale = max(1.0, np.abs(fitted.weights).max())
        expected = fitted.predict(q)
        np.testing.assert_allclose(curve.prediction[i], expected, rtol=0, atol=1e-8 * scale)
        variance = by_hand(kernel, x[:n], y[:n], q, ridge)[1]
        assert curve.variance[i] == pytest.approx(variance.mean(), rel=1e-6)
    assert np.all(np.diff(curve.variance) < 0), "more points, less variance"
    assert curve.variance[0] < kernel.diagonal(q).mean()


@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("kernel", STATIONARY, ids=str)
def test_posterior_variance_against_scikit_learn(kernel, ridge):
    x, y, q = task(31)
    their_kernel = in_scikit_learn(kernel, x.shape[1])
    for n in (5, 120):
        process = GaussianProcessRegressor(their_kernel, alpha=ridge, optimizer=None)
        _, deviation = process.fit(x[:n], y[:n, 0]).predict(q, return_std=True)
        curve = nested_curve(kernel, x, y, q, [n], ridge)
        assert curve.variance[0] == pytest.approx(np.mean(deviation**2), rel=1e-8)


def test_nested_curve_uses_only_the_points_it_needs():
    x, y, q = task(32)
    whole = nested_curve(Matern(1.5), x, y, q, [10, 60])
    part = nested_curve(Matern(1.5), x[:60], y[:60], q, [10, 60])
    np.testing.assert_array_equal(whole.prediction, part.prediction)
    np.testing.assert_array_equal(whole.variance, part.variance)
    more = nested_curve(Matern(1.5), x, y, q, np.arange(1, 121))
    np.testing.assert_allclose(more.prediction[[9, 59]], whole.prediction, rtol=0, atol=1e-11)
    np.testing.assert_allclose(more.variance[[9, 59]], whole.variance, rtol=1e-11)


def test_variance_at_training_points_is_what_the_ridge_leaves():
    x, y, _ = task(33, n=50)
    exact = nested_curve(Matern(1.5), x, y, x, [50])
    assert 0.0 <= exact.variance[0] < 1e-12
    np.testing.assert_allclose(exact.prediction[0], y, rtol=0, atol=1e-9)
    noisy = nested_curve(Matern(1.5), x, y, x, [50], 0.1)
    k = dense(Matern(1.5), x)
    left = np.trace(k - k @ np.linalg.solve(k + 0.1 * np.eye(50), k)) / 50
    assert noisy.variance[0] == pytest.approx(left, rel=1e-9)


# --- refusals


@pytest.mark.parametrize("work", ["one ridge", "several ridges", "curve"])
def test_memory_is_checked_before_the_work(monkeypatch, work):
    class Untouched(Matern):
        def __call__(self, x, y):
            raise AssertionError("the kernel was evaluated")

    x, y, q = task(34, n=1000)
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 20)
    kernel = Untouched()

    def run():
        if work == "curve":
            return nested_curve(kernel, x, y, q, [1000])
        if work == "several ridges":
            return KernelRegression(kernel, (0.1, 1.0)).fit(x, y)
        return KernelRegression(kernel, 1e-2).fit(x, y)

    with pytest.raises(ResourceError, match=r"[\d.]+ MiB of memory and 1 MiB are available") as e:
        run()
    need = float(re.search(r"needs ([\d.]+) MiB", str(e.value)).group(1)) * 2**20
    least = {"several ridges": 5.12e6, "curve": 8e3 * 1040}.get(work, 8e6)
    assert need == pytest.approx(least, rel=0.3)
    assert str(e.value).rstrip().endswith("."), "a remedy follows"


FIT = [
    ({}, (np.full((5, 2), np.nan), np.zeros(5)), "points has 10 non-finite"),
    ({}, (np.ones((5, 2)), [0, 1, np.inf, 2, 3]), "values has 1 non-finite"),
    ({}, (np.ones(5), np.zeros(5)), r"points must have 2 dimension.*\(5,\)"),
    ({}, (np.ones((5, 2)), np.zeros(4)), "values must have 5 rows; got 4"),
    ({}, (np.ones((5, 2)), np.zeros((5, 1, 1))), r"shape \(n,\) or \(n, n_outputs\)"),
    ({}, (np.ones((0, 2)), np.zeros(0)), r"neither 0; got \(0, 2\)"),
    ({}, (np.ones((5, 0)), np.zeros(5)), r"neither 0; got \(5, 0\)"),
    ({}, (np.array([["a", "b"]] * 5), np.zeros(5)), "points must be numeric"),
    ({"ridge": []}, None, "ridge must be a number or several; got none"),
    ({"ridge": -1.0}, None, r"ridge must be finite and in \[0, inf\]; got -1"),
    ({"ridge": (0.1, -2.0)}, None, "ridge must be .*-2"),
    ({"ridge": math.nan}, None, "ridge must be finite"),
    ({"ridge": math.inf}, None, "ridge must be finite"),
    ({"ridge": (0.1, 1.0), "validation": 1.5}, None, "validation must be"),
    ({"ridge": (0.1, 1.0), "validation": 0.0}, None, "validation must be"),
]


@pytest.mark.parametrize(("options", "data", "message"), FIT)
def test_bad_fits_are_refused(options, data, message):
    x, y = (normal(35, 20, 2), normal(36, 20)) if data is None else data
    with pytest.raises((ValueError, TypeError), match=message):
        KernelRegression(Matern(), **options).fit(x, y)


def test_one_point_cannot_choose_a_ridge():
    with pytest.raises(ValueError, match="too few to choose a ridge"):
        KernelRegression(ridge=(0.1, 1.0)).fit([[1.0]], [1.0])


def test_bad_queries_are_refused():
    x, y, q = task(37)
    fitted = KernelRegression().fit(x, y)
    with pytest.raises(ValueError, match="queries have 2 columns; the fit had 3"):
        fitted.predict(q[:, :2])
    with pytest.raises(ValueError, match=r"queries must have 2 dimension"):
        fitted.predict(q[0])
    with pytest.raises(ValueError, match="queries has 1 non-finite"):
        fitted.predict(np.where(q == q.max(), np.nan, q))


CURVE = [
    ({"sizes": [10, 10]}, "rise strictly"),
    ({"sizes": [20, 10]}, "rise strictly"),
    ({"sizes": [0, 10]}, "positive"),
    ({"sizes": []}, "sizes must be"),
    ({"sizes": [[1, 2]]}, "sizes must be"),
    ({"sizes": 5}, "sizes must be"),
    ({"sizes": [10, 121]}, "sizes up to 121 need as many points; got 120"),
    ({"ridge": -1.0}, "ridge must be"),
    ({"test": np.zeros((3, 2))}, "test points have 2 columns; training points 3"),
    ({"test": np.full((3, 3), np.nan)}, "test has 9 non-finite"),
    ({"values": np.zeros(7)}, "values must have 120 rows; got 7"),
    ({"points": np.full((120, 3), np.inf)}, "points has 360 non-finite"),
]


@pytest.mark.parametrize(("change", "message"), CURVE)
def test_bad_curves_are_refused(change, message):
    x, y, q = task(38)
    given = {"points": x, "values": y, "test": q, "sizes": [10, 100], "ridge": 0.0} | change
    with pytest.raises(ValueError, match=message):
        nested_curve(Matern(), **given)


def test_broken_sizes_are_refused():
    x, y, q = task(39)
    with pytest.raises((ValueError, TypeError)):
        nested_curve(Matern(), x, y, q, [2.5, 7.9])


def test_no_test_points_are_refused_or_empty():
    x, y, _ = task(40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            curve = nested_curve(Matern(), x, y, np.zeros((0, 3)), [5])
        except ValueError:
            return
    assert curve.prediction.shape == (1, 0, 3)


# --- kernel-scaling: what it plans and what it concludes


def test_settings_and_cells():
    e = KernelScaling()
    settings = e.settings()
    for one in settings:
        if isinstance(one, InfiniteCluster):
            assert one.dimension == 4.0
        elif isinstance(one, Cube):
            assert one.dimension == one.side_dim
        else:
            assert one == Manifold((("sphere", 2), ("cube", 1)))
            assert one.dimension == 3.0
    assert len(settings) == len(e.cluster_dims) + len(e.cube_dims) + 1
    cells = e.cells()
    assert len({tuple(sorted(c.items())) for c in cells}) == len(cells)
    assert len(cells) == e.n_seeds * (len(settings) + len(e.teacher_settings))
    sizes = e.sizes()
    assert (sizes[0], sizes[-1]) == (e.smallest, e.largest)
    assert np.all(np.diff(sizes) > 0)
    for given, message in (
        ({"teacher_settings": (Cube(44),)}, "unknown teacher_settings.*Did you mean 'cube 4'"),
        ({"largest": 200}, "largest"),
        ({"smoothness": (0.0,)}, "smoothness"),
        ({"n_seeds": 0}, "n_seeds"),
    ):
        with pytest.raises(ValueError, match=message):
            KernelScaling(**given)


def test_points_are_those_of_the_setting():
    from percolaw.rng import Streams

    e = KernelScaling(largest=300, n_test=100)
    for source, width in ((Cube(3), 3), (InfiniteCluster(8), 8), (Manifold(), 4)):
        train, test = e.points(source, Streams(1))
        assert train.shape == (300, width)
        assert test.shape == (100, width)
        both = np.concatenate([train, test])
        assert np.mean(np.sum(both**2, axis=1)) / width == pytest.approx(1.0, rel=1e-6)
        assert not {r.tobytes() for r in train} & {r.tobytes() for r in test}


def test_expected_losses_are_dense_posterior_variances():
    from percolaw.rng import Streams

    e = KernelScaling(
        largest=300,
        n_test=50,
        n_sizes=4,
        cube_dims=(2,),
        cluster_dims=(),
        teacher_settings=(Cube(2),),
        smoothness=(0.5, 1.5),
    )
    cell = {"kind": "expected", "points": "cube 2", "seed": 1}
    rows = e.measure(cell)
    assert [r["nu"] for r in rows] == [0.5, 1.5]
    train, test = e.points(Cube(2), Streams(1).child(*b"cube 2"))
    for row in rows:
        for n, loss in zip(e.sizes(), row["loss"], strict=True):
            x = train[:n]
            expected = by_hand(Matern(row["nu"]), x, np.zeros(n), test)[1].mean()
            assert loss == pytest.approx(expected, rel=1e-6)


def power_law(e, exponent, last=1e-6):
    n = e.sizes().astype(float)
    return (last * (n / n[-1]) ** -exponent).tolist()


def made_rows(e, factor=1.0, ratio=1.0):
    """Rows as `measure` returns them, every curve an exact power law times `factor` in exponent."""
    rows = []
    dimension = {one.word: one.dimension for one in e.settings()}
    for cell in e.cells():
        big_d = dimension[cell["points"]]
        if cell["kind"] == "expected":
            rows += [
                {**cell, "nu": nu, "loss": power_law(e, factor * 2 * nu / big_d), "jitter": 0.0}
                for nu in e.smoothness
            ]
            continue
        orders = {name: teacher.approximation_order for name, teacher in e.teachers().items()}
        for name, order in orders.items():
            order = 10.0 if math.isinf(order) else min(order, big_d + 2.0)
            loss = power_law(e, factor * order / big_d)
            rows.append({**cell, "teacher": name, "student": NETWORK, "loss": loss})
        for nu in e.smoothness:
            loss = (ratio * np.array(power_law(e, factor * 2 * nu / big_d))).tolist()
            name = MaternTeacher(nu).word
            rows.append({**cell, "teacher": name, "student": f"{name} kernel", "loss": loss})
    return rows


EVERYTHING = KernelScaling(n_seeds=3, teacher_settings=(InfiniteCluster(16), Cube(4), Cube(2)))


def test_exact_power_laws_agree():
    found = EVERYTHING.conclude(made_rows(EVERYTHING))
    names = [c.name for c in found.claims]
    assert len(set(names)) == len(names)
    n_network = 3 * (3 + 4)  # settings; ReLU and Matérn teachers
    assert len(names) == len(EVERYTHING.settings()) * 4 + n_network + 3 * 4
    assert {c.verdict for c in found.claims} == {"agrees"}
    for claim in found.claims:
        assert claim.measured == pytest.approx(claim.predicted, rel=1e-9)
        assert claim.interval == pytest.approx((claim.measured,) * 2, rel=1e-6)
    (exponents,) = (p for p in found.plots if p.id == "kernel-scaling-exponents")
    laws = {one.name: one for one in exponents.series}
    assert len(laws) == 2 * len(EVERYTHING.settings())
    for one in laws.values():
        if one.kind == "measured":
            assert one.y == pytest.approx(laws[one.prediction].y)
            assert laws[one.prediction].y == pytest.approx(np.array(one.x) * one.y[0])
    # At the edge of the data a tangent kernel gives at most D + 2, here 4 of the teacher's 5.
    capped = [c for c in found.claims if c.name.startswith("cube 2, Matérn 2.5, infinitely")]
    assert [c.predicted for c in capped] == [4.0 / 2.0]
    assert "exponent 4/D" in capped[0].name
    assert not [c for c in found.claims if "linear" in c.name or "Fourier" in c.name]


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_wrong_exponents_disagree(factor):
    found = EVERYTHING.conclude(made_rows(EVERYTHING, factor))
    for claim in found.claims:
        wrong = "exponent" in claim.name
        assert claim.verdict == ("disagrees" if wrong else "agrees"), claim.name
        if wrong:
            assert claim.measured == pytest.approx(factor * claim.predicted, rel=1e-9)
    close = EVERYTHING.conclude(made_rows(EVERYTHING, 1 + 0.08 * np.sign(factor - 1)))
    assert {c.verdict for c in close.claims} == {"agrees"}, "the tolerance is 10%"


@pytest.mark.parametrize(("ratio", "verdict"), [(1.03, "agrees"), (0.9, "disagrees")])
def test_losses_on_drawn_teachers_are_held_against_the_variance(ratio, verdict):
    claims = EVERYTHING.conclude(made_rows(EVERYTHING, ratio=ratio)).claims
    drawn = [c for c in claims if "loss over posterior variance" in c.name]
    assert len(drawn) == 12
    assert {c.verdict for c in drawn} == {verdict}
    assert [c.measured for c in drawn] == pytest.approx([ratio] * 12)


def test_conclude_is_pure_and_does_not_depend_on_the_order_of_rows():
    rows = made_rows(EVERYTHING)
    first = EVERYTHING.conclude(rows)
    assert EVERYTHING.conclude(rows).claims == first.claims
    again = EVERYTHING.conclude(rows[::-1])
    assert {c.name: c.verdict for c in again.claims} == {c.name: c.verdict for c in first.claims}


def curve_rows(losses, **more):
    return [{"loss": np.asarray(loss).tolist(), **more} for loss in losses]


def fitted(e, losses, **more):
    return last_decade(e.curve(curve_rows(losses, **more)))


def test_window_is_the_last_decade():
    e = KernelScaling()
    n = e.sizes().astype(float)
    low = n[n <= n[-1] / 10][-1]
    # Another slope before the window does not count; the same before and after it does.
    loss = np.where(n < low, low**-0.5 * (n / low) ** -2.0, n**-0.5)
    found = fitted(e, [loss, 2 * loss, 3 * loss])
    assert found.window == (low, n[-1])
    assert found.exponent == pytest.approx(0.5, abs=1e-12)
    one_more = n[np.flatnonzero(n == low)[0] + 1]
    bent = np.where(n < one_more, one_more**-0.5 * (n / one_more) ** -2.0, n**-0.5)
    assert fitted(e, [bent] * 3).exponent > 0.51


def test_losses_below_the_floor_are_left_out():
    e = KernelScaling(floor=1e-6)
    n = e.sizes().astype(float)
    for stop in range(12, n.size + 1):
        loss = 1e-5 * (n / n[stop - 1]) ** -1.5
        loss[stop:] = 1e-12  # rounding
        found = fitted(e, [loss] * 3)
        if n[stop - 1] < 10 * n[0]:
            assert found is None
            continue
        low = n[n <= n[stop - 1] / 10][-1]
        assert found.window == (low, n[stop - 1])
        assert found.exponent == pytest.approx(1.5, abs=1e-10)
        # A last size that is back above the floor does not bring the others back.
        loss[-1] = 1.0 if stop < n.size - 1 else loss[-1]
        assert fitted(e, [loss] * 3).window == found.window


def test_jitter_raises_the_floor():
    e = KernelScaling()
    n = e.sizes().astype(float)
    loss = 1e-6 * (n / n[-1]) ** -1.0
    assert fitted(e, [loss] * 3, jitter=0.0).window[1] == n[-1]
    rows = curve_rows([loss] * 3, jitter=0.0)
    rows[1]["jitter"] = 3e-9  # 1000 of it is above the last losses
    assert last_decade(e.curve(rows)).window[1] == n[loss > 3e-6][-1]


@pytest.mark.parametrize("above", [0, 1, 2, 5])
def test_less_than_a_decade_above_the_floor_is_inconclusive(above):
    e = KernelScaling(n_seeds=3, teacher_settings=())
    loss = np.full(e.sizes().size, 1e-15)
    loss[:above] = 1e-3
    rows = [row | {"loss": loss.tolist()} for row in made_rows(e)]
    for claim in e.conclude(rows).claims:
        assert claim.verdict == "inconclusive"
        assert "1e-09" in claim.note


def test_two_seeds_are_inconclusive():
    e = KernelScaling(n_seeds=2)
    found = e.conclude(made_rows(e))
    assert {c.verdict for c in found.claims} == {"inconclusive"}


def test_window_of_sizes_off_a_round_decade():
    e = KernelScaling(largest=10_009, n_sizes=54)
    assert 1001 in e.sizes()
    assert fitted(e, [power_law(e, 1.0)] * 3).exponent == pytest.approx(1.0)


def test_smoothness_of_many_digits():
    e = KernelScaling(n_seeds=3, smoothness=(1 / 3, 0.5))
    assert {c.verdict for c in e.conclude(made_rows(e)).claims} == {"agrees"}


# --- teachers: budget and conclusion


def brute_parameters(depth, width, dim):
    """Weights and biases of dim -> width -> ... -> width -> 1."""
    layers = [dim] + [width] * depth + [1]
    return sum((layers[i] + 1) * layers[i + 1] for i in range(depth + 1))


@pytest.mark.parametrize(("budget", "dim"), [(5000, 20), (40_000, 20), (900, 2), (1234, 7)])
def test_budget_width_is_the_largest_within_the_budget(budget, dim):
    e = Teachers(budget=budget, dim=dim, budget_depths=(1, 2, 3, 4, 8))
    for depth in e.budget_depths:
        width = 1
        while brute_parameters(depth, width + 1, dim) <= budget:
            width += 1
        assert e.budget_width(depth) == width
    with pytest.raises(ValueError, match="width within the budget"):
        Teachers(budget=50, dim=dim)


TEACHERS = Teachers(
    n_seeds=3, depths=(1, 4), widths=(10, 100), budget=5000, budget_depths=(1, 2, 4, 8)
)


def teacher_rows(linear=1.0, rays=1.0, ratio=1.0, slope=0.4, formula=0.4):
    rows = []
    for cell in TEACHERS.cells():
        row = {**cell, "score": 0.8, "standard_error": 0.01}
        if cell["family"] == "linear":
            row["score"] = linear
        shape = re.match(r"ReLU (\d+) x (\d+)(, no biases)?", cell["family"])
        if shape or cell["family"] == "Sharma-Kaplan":
            depth, width = (int(shape[1]), int(shape[2])) if shape else (2, 600)
            biased = bool(shape) and shape[3] is None
            expected = 1.0 + 40.0 * depth**formula
            pieces = 1.0 + ratio * (expected - 1.0)
            if biased and width == TEACHERS.budget_width(depth):
                pieces = 50.0 * depth**slope
                expected = 50.0 * depth**formula
            row |= {
                "depth": depth,
                "width": width,
                "biased": biased,
                "parameters": 5000,
                "pieces": pieces,
                "expected_pieces": expected,
                "ray_pieces": 9.0 if biased else rays,
            }
        rows.append(row)
    return rows


def test_conclusion_about_teachers():
    assert len({str(c) for c in TEACHERS.cells()}) == len(TEACHERS.cells())
    found = TEACHERS.conclude(teacher_rows())
    names = [c.name for c in found.claims]
    assert len(set(names)) == len(names) == 4
    assert {c.verdict for c in found.claims} == {"agrees"}
    linear, rays, pieces, budget = found.claims
    assert (linear.predicted, rays.predicted, pieces.predicted) == (1.0, 1.0, 1.0)
    assert budget.predicted == pytest.approx(0.4)
    assert budget.measured == pytest.approx(0.4)
    table = {t["family"]: t for t in found.tables["teachers"]}
    assert set(table) == set(TEACHERS.families())
    assert table["linear"]["passed"] == 0.0, "a linear teacher is above the threshold"
    assert table["ReLU 4 x 10"]["passed"] == 1.0
    widths = {d: TEACHERS.budget_width(d) for d in (1, 2, 4, 8)}
    shown = set(found.tables["shown"])
    assert {name for name in shown if name.startswith("ReLU")} == {
        f"ReLU {d} x {w}{end}" for d, w in widths.items() for end in ("", ", no biases")
    }
    plots = {p.id: p for p in found.plots}
    for one in plots["teachers-budget"].series:
        assert one.x == (1.0, 2.0, 4.0, 8.0)
    assert [one.name for one in plots["teachers-score"].series] == ["depth 1", "depth 4"]


@pytest.mark.parametrize(
    ("change", "index", "measured"),
    [
        ({"linear": 0.99}, 0, 0.99),
        ({"rays": 2.0}, 1, 2.0),
        ({"ratio": 1.5}, 2, None),
        ({"slope": 0.8}, 3, 0.8),
        ({"formula": 0.1}, 3, 0.4),
    ],
)
def test_other_teachers_disagree(change, index, measured):
    claim = TEACHERS.conclude(teacher_rows(**change)).claims[index]
    assert claim.verdict == "disagrees"
    if measured is not None:
        assert claim.measured == pytest.approx(measured)
