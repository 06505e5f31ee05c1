"""Matérn fields: covariances, reported errors against dense computations, nesting, neighbours."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from statistical import assert_close, assert_far, mean_and_error
from teacher_cases import normal

from percolaw.numerics.covariance import Matern, cholesky
from percolaw.rng import Streams
from percolaw.targets.matern import MaternTeacher, earlier_neighbors

# --- what every teacher does


def test_number_of_matern_features_may_be_a_whole_float():
    MaternTeacher(n_features=1e2).sample(3)


def covariance_of(values, i, j):
    """Mean of products over independent fields, and its error."""
    return mean_and_error(values[i] * values[j])


# --- Matérn fields


@pytest.mark.parametrize("method", ["cholesky", "neighbors"])
@pytest.mark.parametrize("nu", [0.3, 0.5, 1.5, 2.2])
def test_covariance_of_fields(nu, method):
    x = normal(0, 12, 3)
    field = MaternTeacher(nu, 0.8, n_outputs=8000).on_points(x, 4, method=method, n_neighbors=11)
    assert field.method == method
    assert field.value.shape == (12, 8000)
    truth, wrong_nu, wrong_unit = (
        Matern(*args)(x, x) for args in ((nu, 0.8), (0.3 * nu, 0.8), (nu, 0.8 * math.sqrt(3)))
    )
    np.fill_diagonal(truth, 1.0)
    for i in range(12):
        for j in range(i + 1):
            mean, error = covariance_of(field.value, i, j)
            assert_close(mean, truth[i, j], error)
    near = np.unravel_index(np.argmax(np.abs(truth - wrong_nu)), truth.shape)
    mean, error = covariance_of(field.value, *near)
    assert_far(mean, wrong_nu[near], error)
    near = np.unravel_index(np.argmax(np.abs(truth - wrong_unit)), truth.shape)
    mean, error = covariance_of(field.value, *near)
    assert_far(mean, wrong_unit[near], error)
    across, error = mean_and_error(field.value[0, 1:] * field.value[0, :-1])
    assert_close(across, 0.0, error)


def test_covariance_of_fields_over_seeds():
    x = normal(1, 4, 2)
    values = np.array([MaternTeacher(0.5).on_points(x, s).value for s in range(1500)]).T
    truth = Matern(0.5)(x, x)
    for i in range(4):
        mean, error = mean_and_error(values[i])
        assert_close(mean, 0.0, error)
        for j in range(i):
            mean, error = covariance_of(values, i, j)
            assert_close(mean, truth[i, j], error)
            assert_far(mean, truth[i, j] ** 2, error)


@pytest.mark.parametrize(
    "nu", [0.3, 6.0, *(pytest.param(nu, marks=pytest.mark.slow) for nu in (0.5, 1.5))]
)
def test_covariance_of_sampled_functions(nu):
    # Exact in the mean over draws, whatever the number of waves.
    x = np.array([[0.0, 0.0, 0.0], [0.05, 0.0, 0.1], [0.5, -0.2, 0.1], [1.0, 1.0, -2.0]])
    values = MaternTeacher(nu, 0.7, n_features=8, n_outputs=6000).sample(3, rng=2)(x)
    truth = Matern(nu, 0.7)(x, x)
    for i in range(4):
        for j in range(i + 1):
            mean, error = covariance_of(values, i, j)
            assert_close(mean, truth[i, j], error)
    wrong_unit = Matern(nu, 0.7 * math.sqrt(3))(x, x)
    mean, error = covariance_of(values, 0, 3)
    assert_far(mean, wrong_unit[0, 3], error)
    seeds = [MaternTeacher(nu, 0.7, n_features=8).sample(3, rng=s)(x) for s in range(200)]
    mean, error = covariance_of(np.array(seeds).T, 0, 2)
    assert_close(mean, truth[0, 2], error)


@pytest.mark.parametrize("nu", [0.25, 0.5, 0.75])
def test_increments_scale_with_twice_the_smoothness(nu):
    base = 1e-6 * np.array([0.0, 1.0, 8.0])
    x = np.stack([base, np.zeros(3)], axis=1)
    values = MaternTeacher(nu, n_outputs=20_000).on_points(x, 0).value
    small, large = (values[i] - values[0] for i in (1, 2))
    ratio = np.log(np.mean(large**2) / np.mean(small**2)) / math.log(8.0)
    error = math.sqrt(2 * 2 / 20_000) / math.log(8.0)
    assert_close(ratio, 2 * nu, error, bias=0.002)
    assert_far(ratio, 2 * nu + 0.1, error)
    assert_far(ratio, 2.0, error)  # differentiable
    smooth = MaternTeacher(1.5, n_outputs=20_000).on_points(1e4 * x, 0).value
    ratio = np.log(np.var(smooth[2] - smooth[0]) / np.var(smooth[1] - smooth[0])) / math.log(8.0)
    assert_close(ratio, 2.0, error, bias=0.05)  # control: nu > 1 gives 2, not 3
    assert_far(ratio, 3.0, error)


@pytest.mark.parametrize("nu", [0.3, 0.5, 1.5])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_all_neighbors_are_the_cholesky_factor(nu, n_outputs):
    x = normal(2, 90, 3)
    family = MaternTeacher(nu, 0.6, n_outputs=n_outputs)
    exact = family.on_points(x, 5, method="cholesky")
    for k in (89, 90, 200):
        found = family.on_points(x, 5, method="neighbors", n_neighbors=k)
        np.testing.assert_allclose(found.value, exact.value, rtol=0, atol=1e-8)
        assert found.covariance_error < 1e-7
        assert abs(found.increment_error) < 1e-5
    few = family.on_points(x, 5, method="neighbors", n_neighbors=3)
    assert np.abs(few.value - exact.value).max() > 1e-3
    factor = np.linalg.cholesky(Matern(nu, 0.6)(x, x) + 1e-13 * np.eye(90))
    inverse = np.linalg.solve(factor, exact.value.reshape(90, -1))
    assert abs(np.mean(inverse**2) - 1) < 5 * math.sqrt(2 / (90 * n_outputs))


def dense_vecchia(kernel, x, k):
    """Covariance of the field by nearest earlier points, and those points, written out."""
    n = x.shape[0]
    truth = kernel(x, x)
    np.fill_diagonal(truth, 1.0)
    operator, variance, first = np.eye(n), np.ones(n), np.zeros(n, dtype=int)
    for i in range(1, n):
        near = np.argsort(np.sum((x[:i] - x[i]) ** 2, axis=1), kind="stable")[:k]
        weight = np.linalg.solve(truth[np.ix_(near, near)], truth[near, i])
        operator[i, near] = -weight
        variance[i] = 1 - weight @ truth[near, i]
        first[i] = near[0]
    root = np.linalg.solve(operator, np.diag(np.sqrt(variance)))
    return root, truth, first


@pytest.mark.parametrize(("nu", "k"), [(0.5, 5), (1.5, 8), (0.3, 2), (1.1, 12)])
def test_reported_errors_against_a_dense_computation(nu, k):
    n = 160
    x = normal(3, n, 3)
    kernel = Matern(nu, 0.9)
    field = MaternTeacher(nu, 0.9).on_points(x, 1, method="neighbors", n_neighbors=k)
    root, truth, first = dense_vecchia(kernel, x, k)
    found = root @ root.T
    noise = np.linalg.solve(
        cholesky(kernel, x)[0], MaternTeacher(nu, 0.9).on_points(x, 1, method="cholesky").value
    )
    np.testing.assert_allclose(field.value, root @ noise, atol=1e-9)
    probes = np.unique(np.linspace(1, n - 1, 16).astype(int))
    gap = found[:, probes] - truth[:, probes]
    assert field.covariance_error == pytest.approx(np.sqrt(np.mean(gap**2)), rel=1e-6)
    everywhere = np.sqrt(np.mean((found - truth) ** 2))
    assert 0.5 < field.covariance_error / everywhere < 2.0  # 16 probes stand for all
    i, j = probes, first[probes]
    got = found[i, i] + found[j, j] - 2 * found[i, j]
    wanted = truth[i, i] + truth[j, j] - 2 * truth[i, j]
    assert field.increment_error == pytest.approx(np.mean(got / wanted) - 1, rel=1e-4, abs=1e-7)
    # Control: another kernel's error is another.
    other = Matern(nu, 1.1)(x, x[probes])
    assert np.sqrt(np.mean((found[:, probes] - other) ** 2)) > 1.2 * field.covariance_error


@pytest.mark.parametrize("nu", [0.5, 1.5])
def test_errors_shrink_with_the_number_of_neighbors(nu):
    x = normal(4, 700, 3)
    family = MaternTeacher(nu)
    error = [
        family.on_points(x, 0, method="neighbors", n_neighbors=k).covariance_error
        for k in (2, 10, 50)
    ]
    assert error[0] > 2 * error[1] > 4 * error[2] > 0


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_fields_are_nested(n_outputs):
    x = normal(5, 400, 3)
    family = MaternTeacher(0.5, n_outputs=n_outputs)
    for n in (1, 2, 40, 41, 333):
        whole, part = (family.on_points(p, 7, method="neighbors").value for p in (x, x[:n]))
        np.testing.assert_array_equal(whole[:n], part)
        # LAPACK blocks by size, so here equal to rounding.
        whole, part = (family.on_points(p, 7, method="cholesky").value for p in (x, x[:n]))
        np.testing.assert_allclose(whole[:n], part, rtol=0, atol=1e-11)
    other = family.on_points(x, 8).value
    assert np.abs(other - whole).max() > 0.1


def test_methods_and_outputs_of_fields(monkeypatch):
    from percolaw.targets import matern as module

    x = normal(6, 50, 2)
    auto = MaternTeacher().on_points(x, 0)
    assert (auto.method, auto.covariance_error, auto.increment_error) == ("cholesky", 0.0, 0.0)
    assert auto.value.shape == (50,)
    assert MaternTeacher(n_outputs=2).on_points(x, 0).value.shape == (50, 2)
    monkeypatch.setattr(module, "CHOLESKY_LIMIT", 49)
    assert MaternTeacher().on_points(x, 0).method == "neighbors"
    assert MaternTeacher().on_points(x[:49], 0).method == "cholesky"
    one = MaternTeacher().on_points(x[:1], 0, method="neighbors")
    assert one.value[0] == MaternTeacher().on_points(x[:1], 0).value[0]


@pytest.mark.parametrize("d", [1, 3, 10])
def test_earlier_neighbors_against_brute_force(d):
    x = normal(7, 500, d)
    for k in (1, 7, 40):
        found = earlier_neighbors(x, k)
        distance = cdist(x, x)
        for i in range(500):
            truth = np.argsort(distance[i, :i], kind="stable")[:k]
            np.testing.assert_array_equal(found[i, : truth.size], truth)
            np.testing.assert_array_equal(found[i, truth.size :], -1)


def test_ordered_points_are_as_right_as_shuffled_ones():
    x = np.sort(normal(8, 400, 1), axis=0)
    found = MaternTeacher(0.5).on_points(x, 0, method="neighbors", n_neighbors=3)
    assert found.covariance_error < 1e-9  # Markov on the line: one neighbour is all


def feature_error(family, x, seed):
    """Errors of the covariance of one draw given its waves: root mean square, and of increments."""
    waves, phases = family._waves(x.shape[1], Streams(seed).generator("target", 0))
    phi = math.sqrt(2.0 / family.n_features) * np.cos(x @ waves + phases)
    exact = family.covariance(x, x)
    near = np.argsort(cdist(x, x), axis=1)[:, 1]
    increment = np.sum((phi - phi[near]) ** 2, axis=1)
    wanted = 2.0 * (1.0 - exact[np.arange(len(x)), near])
    return math.sqrt(np.mean((phi @ phi.T - exact) ** 2)), np.mean(increment / wanted) - 1.0


def test_the_waves_have_the_covariance():
    x = normal(9, 400, 3)
    few, many = (MaternTeacher(0.5, n_features=m) for m in (64, 1024))
    rms = [np.mean([feature_error(f, x, s)[0] for s in range(4)]) for f in (few, many)]
    assert 3 < rms[0] / rms[1] < 5  # 4 = sqrt(1024 / 64)
    relative = [feature_error(MaternTeacher(1.5, n_features=256), x, s)[1] for s in range(30)]
    mean, error = mean_and_error(relative)
    assert_close(mean, 0.0, error)


def test_wrong_points_of_fields():
    family = MaternTeacher()
    for bad in (np.zeros((0, 2)), np.zeros((3, 0))):
        with pytest.raises(ValueError, match=r"shape \(n, d\), neither 0; got"):
            family.on_points(bad)
    with pytest.raises(ValueError, match="2 dimension"):
        family.on_points(np.zeros(3))
    with pytest.raises(ValueError, match=r"1 non-finite value.*Remove or impute"):
        family.on_points([[0.0], [math.nan]])
    with pytest.raises(ValueError, match=r"unknown method 'choleski'.*Did you mean 'cholesky'"):
        family.on_points(np.zeros((3, 1)), method="choleski")
    with pytest.raises(ValueError, match="n_neighbors must be in"):
        family.on_points(normal(0, 3, 1), method="neighbors", n_neighbors=0)
    with pytest.raises(ValueError, match="n_outputs must be in"):
        MaternTeacher(n_outputs=0).on_points(normal(0, 3, 1))


@pytest.mark.parametrize("method", ["cholesky", "neighbors"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_field_has_one_value_at_equal_points(method, n_outputs):
    family = MaternTeacher(0.5, n_outputs=n_outputs)
    x = normal(0, 100, 3)
    x[50:] = x[:50][::-1]
    field = family.on_points(x, 0, method=method)
    assert field.jitter == 0.0
    np.testing.assert_array_equal(field.value[50:], field.value[:50][::-1])
    alone = family.on_points(x[:50], 0, method=method)
    np.testing.assert_allclose(field.value[:50], alone.value, rtol=1e-12)


@pytest.mark.parametrize("case", ["smooth line", "smooth plane"])
def test_neighbors_survive_singular_covariances_or_refuse_them(case):
    if case == "smooth line":
        x, nu = normal(0, 600, 1), 2.5
    else:
        x, nu = normal(3, 3000, 2), 4.5
    try:
        with np.errstate(all="ignore"):
            field = MaternTeacher(nu).on_points(x, 1, method="neighbors")
    except ValueError:
        return
    assert np.all(np.isfinite(field.value))
    assert np.abs(field.value).max() < 10
    assert field.covariance_error < 0.1
