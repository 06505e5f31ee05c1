"""Kernel regression against scikit-learn, dense algebra and processes solved by hand."""

import itertools
import math
import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from kernel_cases import by_hand, dense, normal
from scipy.integrate import quad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as sklearn_kernels
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from statistical import assert_close, assert_far, mean_and_error
from threadpoolctl import threadpool_limits

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.numerics.covariance import (
    JITTERS,
    Gaussian,
    Matern,
    NetworkGaussianProcess,
    NeuralTangent,
)
from percolaw.targets.linear import LinearTeacher

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


def task(seed=0, n=120, d=3, m=40):
    """Training points, their values of three outputs with noise, and test points."""
    x, q = normal(seed, n, d), normal(seed + 1000, m, d)
    y = np.stack([np.sin(2 * x[:, 0]), x.sum(axis=1), normal(seed + 2000, n)], axis=1)
    return x, y + 0.1 * normal(seed + 3000, n, 3), q


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


STATIONARY = [Matern(0.5), Matern(1.5, 0.7), Matern(0.8, 0.6), Matern(2.5, 0.4), Gaussian(0.3)]


# --- the fit, against scikit-learn and dense algebra


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("kernel", STATIONARY, ids=str)
def test_against_scikit_learn(kernel, ridge):
    x, y, q = task(1)
    ours = KernelRegression(kernel, ridge).fit(x, y)
    assert ours.jitter_ == 0.0
    their_kernel = in_scikit_learn(kernel, x.shape[1])
    process = GaussianProcessRegressor(their_kernel, alpha=ridge, optimizer=None).fit(x, y)
    scale = np.abs(ours.weights_).max()
    np.testing.assert_allclose(ours.predict(q), process.predict(q), rtol=0, atol=1e-11 * scale)
    if ridge:
        theirs = KernelRidge(alpha=ridge, kernel="precomputed").fit(their_kernel(x), y)
        np.testing.assert_allclose(
            ours.predict(q), theirs.predict(their_kernel(q, x)), rtol=0, atol=1e-11 * scale
        )
        np.testing.assert_allclose(ours.weights_, theirs.dual_coef_, rtol=1e-7, atol=1e-8 * scale)
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
    scale = max(1.0, float(np.abs(fitted.weights_).max()))
    np.testing.assert_allclose(fitted.predict(q), expected, rtol=0, atol=1e-8 * scale)
    assert (fitted.ridge_, fitted.validation_) == (ridge, ())
    assert fitted.weights_.shape == y.shape


@ids
def test_interpolates_without_a_ridge(kernel):
    x, y, _ = task(3)
    fitted = KernelRegression(kernel).fit(x, y)
    # A diagonal made from rounded distances is off by 1e-8, for kernels with a kink at 0.
    scale = np.abs(fitted.weights_).max()
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
    scale = max(1.0, np.abs(one.weights_).max())
    np.testing.assert_allclose(one.predict(q), other.predict(q), rtol=0, atol=1e-7 * scale)


def test_threads_change_nothing_beyond_rounding():
    x, y, q = task(7, n=200)
    for kernel in (Matern(1.5), NeuralTangent(2)):
        found = []
        for n_threads in (1, 2):
            with threadpool_limits(n_threads, user_api="blas"):
                curve = nested_curve(kernel, x, y, q, [50, 200])
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
    for seed in range(150):
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
    scale = np.abs(fitted.weights_).max()
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
    assert fitted.jitter_ in JITTERS[1:]
    assert nested_curve(Gaussian(1.0), x, y, x[:5] + 0.01, [10, 60]).jitter == fitted.jitter_
    assert np.abs(fitted.predict(x + 0.003) - np.sin(x[:, 0] + 0.003)).max() < 1e-4
    assert KernelRegression(Gaussian(1.0), 1e-3).fit(x, y).jitter_ == 0.0, "the ridge is enough"
    assert KernelRegression(Gaussian(0.02)).fit(x, y).jitter_ == 0.0


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
    assert twice.jitter_ > 0
    once = KernelRegression(Matern(1.5)).fit(x, y)
    np.testing.assert_allclose(twice.predict(q), once.predict(q), rtol=0, atol=1e-3)


def test_duplicates_that_contradict_each_other_are_refused_or_averaged():
    x, y, q = task(17, n=30)
    other, twice = normal(18, 30, 3), np.concatenate([x, x])
    kernel, both = Matern(1.5), np.concatenate([y, other])
    for ridge in (0.0, 1e-12):
        with pytest.raises(ValueError, match=r"30 point.*Give one of at least 1e-09"):
            KernelRegression(kernel, ridge).fit(twice, both)
        with pytest.raises(ValueError, match="coincide with another one of a different value"):
            nested_curve(kernel, twice, both, q, [60], ridge)
    mean = KernelRegression(kernel, 5e-10).fit(x, (y + other) / 2).predict(q)
    averaged = KernelRegression(kernel, 1e-9).fit(twice, both).predict(q)
    np.testing.assert_allclose(
        averaged, mean, rtol=0, atol=1e-3
    )  # rounding 1e-16 / 1e-9, 60 weights


# --- the choice of a ridge


def test_ridge_is_the_best_on_points_held_out(monkeypatch):
    x, y, q = task(19, n=150)
    ridges = (1e-4, 1e-2, 1.0, 100.0)
    solved = []
    plain = KernelRegression._solve

    def spy(self, points, values, ridge):
        solved.append((points.copy(), values.copy(), ridge))
        return plain(self, points, values, ridge)

    monkeypatch.setattr(KernelRegression, "_solve", spy)
    model = KernelRegression(Matern(0.5), ridges, validation=0.3, rng=4)
    fitted = model.fit(x, y)
    assert [s[2] for s in solved[:-1]] == list(ridges)
    assert [r for r, _ in fitted.validation_] == list(ridges)
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
    np.testing.assert_allclose([e for _, e in fitted.validation_], errors, rtol=1e-6)
    assert fitted.ridge_ == ridges[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < 3, "the task has a best ridge inside"
    np.testing.assert_array_equal(solved[-1][0], x)
    np.testing.assert_allclose(
        fitted.predict(q), by_hand(Matern(0.5), x, y, q, fitted.ridge_)[0], rtol=0, atol=1e-6
    )


def test_split_follows_the_seed():
    x, y, _ = task(20)
    found = [
        KernelRegression(ridge=(0.1, 1.0), rng=seed).fit(x, y).validation_ for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    backwards = KernelRegression(ridge=(1.0, 0.1), rng=1).fit(x, y)
    assert backwards.validation_ == found[0][::-1]
    one = KernelRegression(ridge=[0.1]).fit(x, y)
    assert (one.ridge_, one.validation_) == (0.1, ())


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
        scale = max(1.0, np.abs(fitted.weights_).max())
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
    ({}, (np.full((5, 2), np.nan), np.zeros(5)), "X has 10 non-finite"),
    ({}, (np.ones((5, 2)), [0, 1, np.inf, 2, 3]), "y has 1 non-finite"),
    ({}, (np.ones(5), np.zeros(5)), r"X must have 2 dimension.*\(5,\)"),
    ({}, (np.ones((5, 2)), np.zeros(4)), "y must have 5 rows; got 4"),
    ({}, (np.ones((5, 2)), np.zeros((5, 1, 1))), r"shape \(n,\) or \(n, n_outputs\)"),
    ({}, (np.ones((0, 2)), np.zeros(0)), r"neither 0; got \(0, 2\)"),
    ({}, (np.ones((5, 0)), np.zeros(5)), r"neither 0; got \(5, 0\)"),
    ({}, (np.array([["a", "b"]] * 5), np.zeros(5)), "X must be numeric"),
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
    with pytest.raises(ValueError, match="X has 2 features, but KernelRegression is expecting 3"):
        fitted.predict(q[:, :2])
    with pytest.raises(ValueError, match=r"X must have 2 dimension"):
        fitted.predict(q[0])
    with pytest.raises(ValueError, match="X has 1 non-finite"):
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
