"""Covariance functions against Bessel functions, scikit-learn, series and random finite networks."""

import math

import numpy as np
import pytest
from kernel_cases import normal
from scipy.linalg import lapack
from scipy.spatial.distance import cdist
from scipy.special import gamma, kv
from sklearn.gaussian_process import kernels as sklearn_kernels

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.numerics.covariance import (
    JITTERS,
    Gaussian,
    Matern,
    NetworkGaussianProcess,
    NeuralTangent,
    cholesky,
    gram,
    row_blocks,
    squared_distances,
)
from percolaw.numerics.matern import TABLE_HIGH, TABLE_LOW, matern

KERNELS = [
    Matern(0.5),
    Matern(1.5, 0.3),
    Matern(2.5, 2.0),
    Matern(0.3),
    Matern(0.85, 0.7),
    Matern(4.2, 0.5),
    Gaussian(0.5),
    NetworkGaussianProcess(),
    NetworkGaussianProcess(3, 1.2, 0.1),
    NetworkGaussianProcess(1, 1.0, 0.0),
    NeuralTangent(),
    NeuralTangent(3, 1.2, 0.1),
    NeuralTangent(1, 1.0, 0.0),
]
ids = pytest.mark.parametrize("kernel", KERNELS, ids=str)


# --- Matérn and Gaussian


def value_at(s, nu):
    return matern(np.array(s, dtype=float), nu)


def by_bessel(s, nu):
    return 2.0 ** (1.0 - nu) / gamma(nu) * s**nu * kv(nu, s)


def by_series(s, nu, terms=80):
    """The part of the power series without s^(2 nu): all of it to rounding if s << 1 << nu."""
    total = term = 1.0
    for k in range(1, terms):
        term *= (s / 2.0) ** 2 / (k * (k - nu))
        total += term
    return total


def by_polynomial(s, p):
    """Closed form for nu = p + 1/2 (Rasmussen and Williams 2006, eq. 4.16), in exact integers."""
    total = sum(
        math.factorial(p + i) // math.factorial(i) / math.factorial(p - i) * (2.0 * s) ** (p - i)
        for i in range(p + 1)
    )
    return math.exp(-s) * total * math.factorial(p) / math.factorial(2 * p)


@pytest.mark.parametrize(
    "nu", [0.001, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0, 1.3, 1.5, 2.5, 3.7, 10.3, 30]
)
def test_matern_is_the_bessel_function(nu):
    s = np.geomspace(1e-9, 650.0, 500)
    with np.errstate(all="ignore"):
        truth = by_bessel(s, nu)
    usable = np.isfinite(truth)
    assert usable.sum() > 250
    found = value_at(s, nu)
    np.testing.assert_allclose(found[usable], truth[usable], rtol=0, atol=2e-12)
    # Control: 1% off in nu shows.
    assert np.abs(found[usable] - by_bessel(s[usable], 1.01 * nu)).max() > 1e-4
    # In the far tail values stay small, positive and decrease.
    tail = value_at(np.array([700.0, 790.0, 801.0, 1e5, 1e100]), nu)
    assert np.all(np.diff(tail) <= 0)
    assert 0 <= tail[-1] <= tail[0] < 1e-200
    assert value_at([0.0], nu)[0] == 1.0


@pytest.mark.parametrize("p", [0, 1, 2, 3, 7, 20, 40])
def test_matern_at_half_integers_is_a_polynomial_times_exponential(p):
    s = np.geomspace(0.01, 300.0, 200)
    truth = np.array([by_polynomial(x, p) for x in s])
    np.testing.assert_allclose(value_at(s, p + 0.5), truth, rtol=0, atol=2e-12)


@pytest.mark.parametrize("nu", [0.001, 0.05, 0.3, 0.5, 0.75, 0.95])
def test_matern_at_tiny_distances_keeps_its_power(nu):
    # 1 - M = Gamma(1 - nu)/Gamma(1 + nu) (s/2)^(2 nu), across the lower end of the table (1e-10).
    s = np.array([1e-300, 1e-30, 1e-14, 9e-11, 1.1e-10, 1e-9, 1e-8])
    lost = gamma(1 - nu) / gamma(1 + nu) * (s / 2) ** (2 * nu)
    np.testing.assert_allclose(1 - value_at(s, nu), lost, rtol=1e-5, atol=1e-12)
    if nu < 0.4:
        wrong = gamma(1 - nu) / gamma(1 + nu) * (s / 2) ** nu
        assert np.abs(1 - value_at(s, nu) - wrong).max() > 1e-4


def test_matern_is_smooth_across_the_ends_of_its_table():
    for nu in (0.2, 0.8, 1.7, 6.0):
        s = TABLE_LOW * np.array([1 - 1e-9, 1 + 1e-9])
        assert abs(np.diff(value_at(s, nu))[0]) < 1e-12
        assert value_at([TABLE_HIGH * (1 - 1e-9)], nu)[0] < 1e-250


@pytest.mark.parametrize("nu", [20.3, 40.3])
def test_large_smoothness_at_small_distances(nu):
    s = np.geomspace(1e-6, 3.0, 60)
    truth = [by_series(x, nu) for x in s]
    np.testing.assert_allclose(value_at(s, nu), truth, rtol=0, atol=2e-12)


@pytest.mark.parametrize("nu", [60.3, 80.3, 99.7])
def test_very_large_smoothness_at_small_distances(nu):
    s = np.geomspace(1e-6, 3.0, 60)
    truth = [by_series(x, nu) for x in s]
    np.testing.assert_allclose(value_at(s, nu), truth, rtol=0, atol=2e-12)


def test_matern_keeps_shapes_and_does_not_need_contiguous_input():
    s = np.linspace(0, 5, 60).reshape(5, 12)
    for nu in (0.5, 1.5, 2.5, 0.8):
        flat = value_at(s.ravel(), nu)
        np.testing.assert_array_equal(value_at(s, nu).ravel(), flat)
        strided = matern(np.asfortranarray(s), nu)
        np.testing.assert_array_equal(strided, flat.reshape(5, 12))


@pytest.mark.parametrize("nu", [0.2, 0.5, 1.0, 1.5, 1.9, 2.5, 7.5])
@pytest.mark.parametrize("length_scale", [0.2, 1.0, 3.0])
def test_matern_against_scikit_learn_in_units_of_root_dimension(nu, length_scale):
    x, y = normal(0, 40, 7), normal(1, 23, 7)
    found = Matern(nu, length_scale)(x, y)
    assert found.shape == (40, 23)
    truth = sklearn_kernels.Matern(length_scale=length_scale * math.sqrt(7), nu=nu)(x, y)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-11)
    wrong_unit = sklearn_kernels.Matern(length_scale=length_scale, nu=nu)(x, y)
    assert np.abs(found - wrong_unit).max() > 1e-2
    wrong_nu = sklearn_kernels.Matern(length_scale=length_scale * math.sqrt(7), nu=nu + 0.1)(x, y)
    assert np.abs(found - wrong_nu).max() > 1e-5


@pytest.mark.parametrize("length_scale", [0.1, 1.0, 4.0])
def test_gaussian_against_scikit_learn(length_scale):
    x, y = normal(2, 30, 5), normal(3, 20, 5)
    found = Gaussian(length_scale)(x, y)
    truth = sklearn_kernels.RBF(length_scale * math.sqrt(5))(x, y)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)
    if length_scale != 0.1:
        assert np.abs(found - sklearn_kernels.RBF(length_scale)(x, y)).max() > 1e-2


def test_matern_tends_to_the_gaussian():
    x = normal(4, 30, 3)
    gap = [np.abs(Matern(nu, 0.8)(x, x) - Gaussian(0.8)(x, x)).max() for nu in (10, 30, 90)]
    assert gap[2] < 0.005
    assert 2.3 < gap[0] / gap[1] < 3.7  # error is O(1/nu)
    assert 2.3 < gap[1] / gap[2] < 3.7


def test_only_distance_counts_and_inputs_stay_as_they_are():
    x, y = normal(5, 20, 4), normal(6, 30, 4)
    keep = x.copy(), y.copy()
    turn = np.linalg.qr(normal(7, 4, 4))[0]
    for kernel in (Matern(0.5), Matern(0.9), Gaussian()):
        before = kernel(x, y)
        np.testing.assert_allclose(kernel(x @ turn + 3.0, y @ turn + 3.0), before, atol=1e-11)
        np.testing.assert_allclose(kernel(y, x).T, before, atol=1e-12)
    for kernel in (NetworkGaussianProcess(), NeuralTangent()):
        before = kernel(x, y)
        np.testing.assert_allclose(kernel(x @ turn, y @ turn), before, rtol=1e-9)
        np.testing.assert_allclose(kernel(y, x).T, before, rtol=1e-12)
        assert np.abs(kernel(x + 3.0, y + 3.0) - before).max() > 0.1  # not stationary
    np.testing.assert_array_equal(x, keep[0])
    np.testing.assert_array_equal(y, keep[1])


# --- distances


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_squared_distances_of_uncentred_data(offset, scale):
    rng = np.random.default_rng(0)
    x = offset + scale * rng.standard_normal((70, 6))
    y = offset + scale * rng.standard_normal((50, 6))
    found = squared_distances(x, y)
    np.testing.assert_allclose(found, cdist(x, y, "sqeuclidean"), rtol=1e-10)
    assert squared_distances(x, x).min() >= 0.0
    np.testing.assert_allclose(np.diag(squared_distances(x, x)), 0.0, atol=1e-12 * scale**2)
    if offset == -1e6 and scale == 1e-3:  # control: the textbook formula without centring
        naive = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
        assert np.abs(naive - cdist(x, y, "sqeuclidean")).max() > 1e-6 * found.max()


# --- positive definite, gram, Cholesky


@ids
@pytest.mark.parametrize("d", [1, 3, 12])
def test_positive_definite_on_random_points(kernel, d):
    x = normal(d, 120, d)
    matrix = kernel(x, x)
    # The diagonal is right to what a distance of rounding size (1e-8) does at this smoothness.
    rough = 1e-8 ** min(1.0, 2 * getattr(kernel, "smoothness", 1.0))
    np.testing.assert_allclose(np.diag(matrix), kernel.diagonal(x), rtol=1e-6 + 3 * rough)
    np.fill_diagonal(matrix, kernel.diagonal(x))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-7)
    eigenvalue = np.linalg.eigvalsh(matrix)
    assert eigenvalue[0] > -1e-7 * eigenvalue[-1]


def test_positive_definite_control():
    x = normal(1, 120, 1)
    r = cdist(x, x)
    assert np.linalg.eigvalsh(np.exp(-(r**4)))[0] < -0.1  # no covariance beyond exponent 2
    x = normal(1, 120, 3)
    triangle = np.maximum(1 - cdist(x, x) / 2, 0)  # positive definite in one dimension only
    assert np.linalg.eigvalsh(triangle)[0] < -0.1


@ids
def test_gram_is_the_lower_triangle_with_an_exact_diagonal(kernel):
    n = 701  # several blocks
    x = normal(3, n, 4)
    matrix = gram(kernel, x)
    assert matrix.flags.f_contiguous
    lower = np.tril_indices(n, -1)
    np.testing.assert_allclose(matrix[lower], kernel(x, x)[lower], rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(np.diag(matrix), kernel.diagonal(x))
    out = np.full((n, n), 7.0, order="F")
    assert gram(kernel, x, out) is out
    np.testing.assert_array_equal(np.tril(out), np.tril(matrix))


def test_the_diagonal_of_a_rough_kernel_is_exact():
    x = 3.0 + normal(0, 400, 20)
    kernel = Matern(0.1)
    np.testing.assert_array_equal(np.diag(kernel(x, x)), 1.0)
    np.testing.assert_array_equal(np.diag(gram(kernel, x)), 1.0)


@ids
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_cholesky_factor_gives_the_covariance_back(kernel, ridge):
    x = normal(4, 150, 5)
    factor, jitter = cholesky(kernel, x, ridge)
    truth = np.tril(gram(kernel, x))
    truth += np.tril(truth, -1).T + (ridge + jitter) * np.eye(150)
    np.testing.assert_array_equal(np.triu(factor, 1), 0.0)
    assert np.diag(factor).min() > 0
    np.testing.assert_allclose(factor @ factor.T, truth, rtol=1e-10, atol=1e-11)
    assert jitter == 0.0
    if ridge:
        assert np.abs(factor @ factor.T - truth + ridge * np.eye(150)).max() > 0.2


class Scaled:
    def __init__(self, kernel, factor):
        self.kernel, self.factor = kernel, factor

    def __call__(self, x, y):
        return self.factor * self.kernel(x, y)

    def diagonal(self, x):
        return self.factor * self.kernel.diagonal(x)


def works(kernel, x, added):
    matrix = gram(kernel, x)
    matrix[np.diag_indices(x.shape[0])] += added
    return lapack.dpotrf(matrix, lower=1)[1] == 0


@pytest.mark.parametrize(
    ("kernel", "n"), [(Gaussian(1.0), 60), (Matern(4.5), 300), (Gaussian(3.0), 200)], ids=str
)
def test_jitter_is_the_least_that_works(kernel, n):
    x = np.sort(np.random.default_rng(0).uniform(-1.7, 1.7, (n, 1)), axis=0)
    for scaled, variance in ((kernel, 1.0), (Scaled(kernel, 64.0), 64.0)):
        factor, jitter = cholesky(scaled, x)
        assert jitter / variance in JITTERS[1:]
        for less in JITTERS[: JITTERS.index(jitter / variance)]:
            assert not works(scaled, x, less * variance)
        assert works(scaled, x, jitter)
        truth = np.tril(gram(scaled, x))
        truth += np.tril(truth, -1).T + jitter * np.eye(n)
        np.testing.assert_allclose(factor @ factor.T, truth, atol=1e-11 * variance)


def test_duplicates_take_a_jitter_or_a_ridge():
    x = normal(5, 120, 3)
    x[60:] = x[:60]
    for kernel in (Matern(1.5), Matern(2.5), Gaussian(0.3), NetworkGaussianProcess()):
        factor, jitter = cholesky(kernel, x)
        assert 0 <= jitter <= 1e-8 * kernel.diagonal(x).mean() * (1 + 1e-12)
        truth = kernel(x, x)
        np.testing.assert_allclose(factor @ factor.T, truth, atol=2e-7 * truth.max())
        assert cholesky(kernel, x, 1e-3)[1] == 0.0


class Indefinite:
    def __call__(self, x, y):
        return np.ones((x.shape[0], y.shape[0]))

    def diagonal(self, x):
        return np.full(x.shape[0], 0.5)


def test_singular_beyond_the_largest_jitter_is_an_error_with_a_remedy():
    x = normal(0, 10, 2)
    with pytest.raises(
        ValueError, match=r"10 points is singular.*1e-08.*duplicate.*ridge.*shorter"
    ):
        cholesky(Indefinite(), x)
    factor, jitter = cholesky(Indefinite(), x, ridge=1.0)
    assert jitter == 0.0
    np.testing.assert_allclose(factor @ factor.T, np.ones((10, 10)) + 0.5 * np.eye(10))


def test_cholesky_refuses_more_than_memory_holds(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match=r"covariance of 12 points.*Use fewer points"):
        cholesky(Matern(), normal(0, 12, 2))
    cholesky(Matern(), normal(0, 11, 2))


def test_row_blocks_cover_all_rows_once():
    for n, m in ((1, 1), (1000, 1000), (10, 1 << 20), (5, 0), (0, 3)):
        rows = np.concatenate([[], *(np.arange(n)[part] for part in row_blocks(n, m))])
        np.testing.assert_array_equal(rows, np.arange(n))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matern(0.0), "smoothness must be finite and in"),
        (lambda: Matern(101.0), r"smoothness .* \[0.001, 100\]; got 101"),
        (lambda: Matern(float("nan")), "smoothness"),
        (lambda: Matern(1.0, 0.0), "length_scale"),
        (lambda: Gaussian(-1.0), "length_scale"),
        (lambda: NetworkGaussianProcess(0), "depth"),
        (lambda: NeuralTangent(2, -1.0), "weight_scale"),
        (lambda: NeuralTangent(2, 1.0, -1.0), "bias_scale"),
        (lambda: NeuralTangent(2, 1.0, math.inf), "bias_scale"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_depth_may_be_a_whole_float():
    NetworkGaussianProcess(2.0)(normal(0, 2, 2), normal(0, 2, 2))
