"""Curves of many clusters against their defining integrals and sums, limits and local exponents."""

import math

import numpy as np
import pytest
from curve_cases import local_exponent
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import zeta

from percolaw.laws.ensembles import ensemble_nearest_neighbor_loss
from percolaw.laws.scaling_laws import (
    allocation_shape,
    data_exponent,
    data_scaling_loss,
    manifold_exponents,
    model_break_rank,
    model_exponent,
    model_scaling_loss,
    optimal_break_capacity,
    quanta_exponents,
    zipf_weights,
)
from percolaw.laws.single_cluster import (
    single_cluster_loss,
)

PAIRS = [(1.0, 0.5), (0.5, 0.5), (1.0, 1.0), (2.0, 0.3), (0.4, 2.0), (3.0, 0.75), (0.2, 0.1)]


# ---- many clusters: integral convention against quadrature, written from the definitions


def quadrature_model_loss(total, alpha, gamma, n_br):
    """Minimiser n(k) = n_br (k/K)^(b-1) on 1..K, K from the budget, loss by quadrature in log k."""
    b = 1 - (alpha + 1) / (gamma + 1)

    def spent(log_top):
        def integrand(x):  # n(k) dk with k = exp(x)
            return n_br * math.exp((b - 1) * (x - log_top) + x)

        return quad(integrand, 0, log_top, epsabs=0, epsrel=1e-11, limit=200)[0]

    log_top = brentq(lambda t: spent(t) - total, 1e-9, 60, xtol=1e-13, rtol=1e-13)

    def lost(x):
        n = n_br * math.exp((b - 1) * (x - log_top))
        return alpha * math.exp(-alpha * x) * n**-gamma

    served = quad(lost, 0, log_top, epsabs=0, epsrel=1e-11, limit=200)[0]
    return served + math.exp(-alpha * log_top), math.exp(log_top)


@pytest.mark.parametrize(("alpha", "gamma"), PAIRS)
def test_model_integral_against_quadrature(alpha, gamma):
    for n_br in (1.0, optimal_break_capacity(gamma)):
        for total in (0.3, 1.0, 20.0, 1e4):
            loss, rank = quadrature_model_loss(total, alpha, gamma, n_br)
            got = model_scaling_loss(total, alpha, gamma, break_capacity=n_br, normalized=False)
            assert float(got) == pytest.approx(loss, rel=1e-7)
            found = float(model_break_rank(total, alpha, gamma, n_br))
            assert found == pytest.approx(rank, rel=1e-7)
    # Control: quadrature with the wrong shape b of the allocation is not matched.
    wrong, _ = quadrature_model_loss(100.0, alpha * 1.1, gamma, 1.0)
    right = float(model_scaling_loss(100.0, alpha, gamma, normalized=False))
    assert abs(wrong / right - 1) > 1e-3


@pytest.mark.parametrize(("alpha", "gamma"), PAIRS)
def test_model_law_is_the_published_formula(alpha, gamma):
    n = np.geomspace(0.5, 1e6, 15)
    k = model_break_rank(n, alpha, gamma)
    b = allocation_shape(alpha, gamma)
    budget = k * (1 - k**-b) / b if b != 0 else k * np.log(k)
    np.testing.assert_allclose(budget, n, rtol=1e-9)
    one = float(model_break_rank(1.0, alpha, gamma))
    published = (n / k + 1 / alpha) * k**-alpha / ((1 / one + 1 / alpha) * one**-alpha)
    np.testing.assert_allclose(model_scaling_loss(n, alpha, gamma), published, rtol=1e-10)


@pytest.mark.parametrize(("alpha", "gamma"), PAIRS)
def test_data_integral_against_quadrature(alpha, gamma):
    for t in (0.01, 1.0, 7.0, 300.0, 1e6):
        split = max(math.log(alpha * t) / (1 + alpha), 0.0)

        def lost(x, t=t):
            weight = alpha * math.exp(-(1 + alpha) * x)
            return max(weight * t, 1.0) ** -gamma * weight * math.exp(x)

        loss = math.exp(-alpha * split)
        if split:
            loss += quad(lost, 0, split, epsabs=0, epsrel=1e-11, limit=200)[0]
        got = float(data_scaling_loss(t, alpha, gamma, normalized=False))
        assert got == pytest.approx(loss, rel=1e-8)
        if t > 10:
            wrong = float(data_scaling_loss(t, alpha, 1.2 * gamma, normalized=False))
            assert abs(wrong / loss - 1) > 1e-3  # control


def test_data_law_is_the_published_formula():
    t = np.geomspace(10, 1e6, 8)
    for alpha, gamma in PAIRS:
        aa = alpha / (1 + alpha)
        if gamma != aa:
            published = (
                alpha ** -(aa + 1) / (1 - aa / gamma) * t**-aa
                + alpha ** -(gamma + 1) / (1 - gamma / aa) * t**-gamma
            )
        else:
            published = (
                alpha ** -(gamma + 1)
                * (1 + gamma * math.log(alpha) + gamma * np.log(t))
                * t**-gamma
            )
        got = data_scaling_loss(t, alpha, gamma, normalized=False)
        np.testing.assert_allclose(got / got[0], published / published[0], rtol=1e-9)


def test_boundary_case_has_its_logarithm():
    t = np.array([1.0, 30.0, 3e4, 3e9])
    np.testing.assert_allclose(
        data_scaling_loss(t, 1.0, 0.5), (1 + np.log(t) / 2) / np.sqrt(t), rtol=1e-13
    )
    published = {30: 0.315, 300: 0.370, 3e3: 0.400, 3e4: 0.419, 3e6: 0.441}
    for size, exponent in published.items():
        got = local_exponent(lambda s: data_scaling_loss(s, 1.0, 0.5), size)
        assert got == pytest.approx(exponent, abs=5.1e-4)  # three digits given
        assert abs(got - 0.5) > 0.05  # the asymptotic exponent is never seen
    model = {11: 0.25, 100: 0.37, 1.1e3: 0.43, 7.6e3: 0.46}
    for size, exponent in model.items():
        got = local_exponent(lambda s: model_scaling_loss(s, 1.0, 0.5), size)
        assert got == pytest.approx(exponent, abs=6e-3)  # two digits given


def test_continuous_through_equal_exponents():
    t = np.array([2.0, 100.0, 1e6, 1e12])
    for alpha in (0.5, 1.0, 3.0):
        aa = alpha / (1 + alpha)
        at = data_scaling_loss(t, alpha, aa)
        for shift in (1e-3, 1e-5, 1e-8, 1e-12):
            for sign in (1, -1):
                near = data_scaling_loss(t, alpha, aa + sign * shift)
                # d log L / d gamma is at most log T = 28.
                np.testing.assert_allclose(near, at, rtol=30 * shift + 1e-12)
        assert np.all(np.diff(at) < 0)


def test_continuous_through_b_zero():
    n = np.array([2.0, 100.0, 1e6, 1e12])
    for exponent in (0.5, 1.0, 2.0):
        assert allocation_shape(exponent, exponent) == 0.0
        at = model_scaling_loss(n, exponent, exponent)
        rank = model_break_rank(n, exponent, exponent)
        for shift in (1e-3, 1e-5, 1e-8, 1e-12):
            for sign in (1, -1):
                near = model_scaling_loss(n, exponent, exponent + sign * shift)
                np.testing.assert_allclose(near, at, rtol=30 * shift + 1e-9)
                near = model_break_rank(n, exponent, exponent + sign * shift)
                np.testing.assert_allclose(near, rank, rtol=100 * shift + 1e-9)


@pytest.mark.parametrize("convention", ["integral", "discrete"])
def test_normalised_to_one_at_one(convention):
    for alpha, gamma in PAIRS:
        for law in (model_scaling_loss, data_scaling_loss):
            assert float(law(1.0, alpha, gamma, convention=convention)) == 1.0
            raw = law([1.0, 50.0], alpha, gamma, convention=convention, normalized=False)
            scaled = law([1.0, 50.0], alpha, gamma, convention=convention)
            np.testing.assert_allclose(scaled, raw / raw[0], rtol=1e-12)


def test_break_rank_limits():
    assert float(model_break_rank(0.0, 1.0, 0.5)) == 1.0
    assert float(model_scaling_loss(0.0, 1.0, 0.5, normalized=False)) == 1.0
    with pytest.raises(ValueError, match="degrees_of_freedom must be >= 0"):
        model_break_rank(-1.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("alpha", "gamma"), [(1.0, 0.2), (0.3, 2.0), (2.0, 0.5), (0.5, 3.0), (1.0, 0.5)]
)
def test_asymptotic_exponents(alpha, gamma):
    assert model_exponent(alpha, gamma) == min(alpha, gamma)
    assert data_exponent(alpha, gamma) == min(alpha / (1 + alpha), gamma)
    size = 1e40  # corrections fall like size^-(difference of exponents)
    model = local_exponent(lambda s: model_scaling_loss(s, alpha, gamma), size)
    assert model == pytest.approx(min(alpha, gamma), abs=2e-3)
    if (alpha, gamma) == (1.0, 0.5):
        data = local_exponent(lambda s: data_scaling_loss(s, alpha, gamma), size)
        assert data == pytest.approx(0.5 - 0.5 / (1 + math.log(size) / 2), abs=1e-6)
        return
    data = local_exponent(lambda s: data_scaling_loss(s, alpha, gamma), size)
    assert data == pytest.approx(min(alpha / (1 + alpha), gamma), abs=2e-3)
    assert abs(data - max(alpha / (1 + alpha), gamma)) > 0.03  # control: not the larger one


def test_quanta_and_manifold_limits():
    assert quanta_exponents(0.5) == (0.5, pytest.approx(1 / 3))
    assert manifold_exponents(4.0) == (0.5, 0.5)
    assert manifold_exponents(8.0, 1.0) == (0.125, 0.125)
    # Quanta: gamma large, every cluster is learned at once.
    for law, exponent in zip(
        (model_scaling_loss, data_scaling_loss), quanta_exponents(0.5), strict=True
    ):
        got = local_exponent(lambda s, law=law: law(s, 0.5, 50.0), 1e8)
        assert got == pytest.approx(exponent, abs=2e-3)
    # Manifold: alpha large, one cluster holds everything.
    for law, exponent in zip(
        (model_scaling_loss, data_scaling_loss), manifold_exponents(4.0), strict=True
    ):
        got = local_exponent(lambda s, law=law: law(s, 60.0, 0.5), 1e8)
        assert got == pytest.approx(exponent, abs=2e-3)
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="rank_exponent must be"):
            quanta_exponents(bad)


# ---- discrete convention against direct sums


def direct_data_loss(t, alpha, gamma, n_ranks=400_000):
    k = np.arange(1, n_ranks + 1.0)
    p = k ** -(1 + alpha) / zeta(1 + alpha)
    tail = zeta(1 + alpha, n_ranks + 1) / zeta(1 + alpha)
    return np.sum(p * np.maximum(p * t, 1.0) ** -gamma) + tail


def direct_model_loss(total, alpha, gamma, n_br=1.0, n_ranks=4000):
    """Share N in proportion to k^(b-1) over m clusters, m the most that leaves each n_br."""
    k = np.arange(1, n_ranks + 1.0)
    p = k ** -(1 + alpha) / zeta(1 + alpha)
    shape = k ** -((alpha + 1) / (gamma + 1))
    m = 0
    while m < n_ranks and total * shape[m] / shape[: m + 1].sum() >= n_br * (1 - 1e-12):
        m += 1
    loss = np.ones(n_ranks)
    if m:
        loss[:m] = (total * shape[:m] / shape[:m].sum()) ** -gamma
    return np.sum(p * loss) + zeta(1 + alpha, n_ranks + 1) / zeta(1 + alpha)


@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 0.5), (0.6, 2.0), (2.0, 0.3), (1.0, 1.0)])
def test_discrete_against_direct_sums(alpha, gamma):
    size = np.array([1.0, 3.0, 10.0, 250.0, 2000.0])
    data = data_scaling_loss(size, alpha, gamma, convention="discrete", normalized=False)
    model = model_scaling_loss(size, alpha, gamma, convention="discrete", normalized=False)
    direct = [direct_data_loss(t, alpha, gamma) for t in size]
    np.testing.assert_allclose(data, direct, rtol=1e-9)
    direct = [direct_model_loss(n, alpha, gamma) for n in size]
    np.testing.assert_allclose(model, direct, rtol=1e-9)
    n_br = optimal_break_capacity(gamma)
    model = model_scaling_loss(
        size, alpha, gamma, convention="discrete", normalized=False, break_capacity=n_br
    )
    direct = [direct_model_loss(n, alpha, gamma, n_br) for n in size]
    np.testing.assert_allclose(model, direct, rtol=1e-9)


def test_which_way_discrete_and_integral_differ():
    """34-48% is the discrete sum of *unnormalised* weights k^-2 over the integral form.

    With weights that sum to 1 (zeta-normalised), the discrete sum lies 10-18% below.
    """
    n = np.array([10.0, 100.0, 1e3, 1e4])
    integral = model_scaling_loss(n, 1.0, 0.5, normalized=False)
    discrete = np.array([direct_model_loss(x, 1.0, 0.5) for x in n])
    np.testing.assert_allclose(discrete / integral, [0.899, 0.857, 0.830, 0.816], atol=6e-4)
    unnormalised = zeta(2.0) * discrete / integral  # weights k^-2, total 1.645
    np.testing.assert_allclose(unnormalised, [1.479, 1.410, 1.365, 1.342], atol=6e-4)
    both_one_at_one = discrete / (integral / model_scaling_loss(1.0, 1.0, 0.5, normalized=False))
    np.testing.assert_allclose(both_one_at_one, [0.835, 0.796, 0.770, 0.758], atol=6e-4)
    # Same exponent in the end: the ratio settles.
    ratio = model_scaling_loss(1e5, 1.0, 0.5, convention="discrete", normalized=False) / (
        model_scaling_loss(1e5, 1.0, 0.5, normalized=False)
    )
    assert 0.80 < float(ratio) < 0.816


def test_discrete_refuses_too_many_ranks():
    with pytest.raises(ValueError, match="serves more than 131072 clusters; use the integral"):
        model_scaling_loss(1e12, 1.0, 0.5, convention="discrete")
    with pytest.raises(ValueError, match="more than 131072 clusters; use the integral"):
        data_scaling_loss(1e15, 1.0, 0.5, convention="discrete")


def test_wrong_convention_and_exponents():
    for law in (model_scaling_loss, data_scaling_loss):
        with pytest.raises(ValueError, match=r"unknown convention 'discret'.*'discrete'"):
            law(10.0, 1.0, 0.5, convention="discret")
        with pytest.raises(ValueError, match="rank_exponent must be positive; got 0"):
            law(10.0, 0.0, 0.5)
        with pytest.raises(ValueError, match="cluster_exponent must be"):
            law(10.0, 1.0, -1.0)
        with pytest.raises(TypeError, match="rank_exponent must be a number"):
            law(10.0, "one", 0.5)


def test_no_training_points_means_loss_one():
    assert float(data_scaling_loss(0.0, 1.0, 0.5, normalized=False)) == 1.0
    assert float(data_scaling_loss(0.0, 1.0, 0.5, convention="discrete")) == 1.0


@pytest.mark.parametrize(
    ("law", "convention"),
    [
        (data_scaling_loss, "integral"),
        (data_scaling_loss, "discrete"),
        (model_scaling_loss, "discrete"),
    ],
)
def test_negative_sizes_are_refused(law, convention):
    with pytest.raises(ValueError, match="must be"):
        law([-5.0, 10.0], 1.0, 0.5, convention=convention)


def test_negative_capacity_is_refused_by_the_integral_model_law():
    with pytest.raises(ValueError, match="degrees_of_freedom must be >= 0"):
        model_scaling_loss([-5.0, 10.0], 1.0, 0.5)


@pytest.mark.parametrize("exponent", [model_exponent, data_exponent])
def test_negative_cluster_exponent_is_refused(exponent):
    with pytest.raises(ValueError, match="cluster_exponent"):
        exponent(1.0, -0.5)


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_scale_factor_must_be_positive(factor):
    with pytest.raises(ValueError, match="scale_factor"), np.errstate(divide="ignore"):
        single_cluster_loss([1.0, 10.0], 0.5, factor)


@pytest.mark.parametrize("rate", [-0.5, 2.0])
def test_ensemble_rates_are_probabilities(rate):
    with pytest.raises(ValueError, match="rate"):
        ensemble_nearest_neighbor_loss([[rate, 0.5]], [10, 10])


@pytest.mark.parametrize("rate", [[[0.1, 0.5, 0.2]], [0.1], [[[0.1, 0.5]]]])
def test_ensemble_rates_have_a_column_for_each_cluster(rate):
    with pytest.raises(
        ValueError, match=r"rate must have a column for each of 2 clusters; got shape"
    ):
        ensemble_nearest_neighbor_loss(rate, [10, 10])


def test_zipf_weights():
    weight = zipf_weights(1.0, 3)
    np.testing.assert_allclose(weight, np.array([1, 1 / 4, 1 / 9]) * 36 / 49, rtol=1e-14)
    assert zipf_weights(0.3, 1000).sum() == pytest.approx(1.0, rel=1e-13)
    with pytest.raises(ValueError, match="n_ranks must be in"):
        zipf_weights(1.0, 0)


def test_optimal_break_capacity_is_the_tangent_from_zero():
    for gamma in (0.1, 0.5, 1.0, 3.0):
        n = optimal_break_capacity(gamma)
        chord = (n**-gamma - 1) / n
        assert chord == pytest.approx(-gamma * n ** (-gamma - 1), rel=1e-12)
        grid = np.linspace(1e-3, 20 * n, 20_001)
        assert np.all(np.maximum(grid, 1) ** -gamma >= 1 + chord * grid - 1e-12)
        # Control: any shallower line from (0, 1) is crossed, so the tangent point is elsewhere.
        assert np.any(np.maximum(grid, 1) ** -gamma < 1 + 0.98 * chord * grid)


def test_optimal_break_capacity_minimises_the_integral_loss():
    for alpha, gamma in PAIRS:
        best = optimal_break_capacity(gamma)
        factors = np.geomspace(0.5, 2, 41)
        factors = factors[best * factors >= 1.0]  # with less than 1 a cluster has loss 1
        loss = [
            float(
                model_scaling_loss(200.0, alpha, gamma, break_capacity=best * f, normalized=False)
            )
            for f in factors
        ]
        assert factors[np.argmin(loss)] == pytest.approx(1.0)
