"""Losses on one cluster: closed forms, Poisson mixtures, published factors."""

import math
from fractions import Fraction

import numpy as np
import pytest
from curve_cases import local_exponent
from scipy.integrate import quad

from percolaw.laws import single_cluster
from percolaw.laws.single_cluster import (
    ASYMPTOTIC_SCALE_FACTOR,
    finite_rate_factor,
    mean_nearest_distance,
    mean_nearest_distance_at_rate,
    nearest_distance_survival,
    nearest_neighbor_loss,
    offspring_variance,
    posterior_constant,
    single_cluster_loss,
)

# ---- one cluster


def test_single_cluster_loss():
    n = np.array([0.0, 0.5, 1.0, 4.0, 100.0])
    np.testing.assert_allclose(single_cluster_loss(n, 0.5), [1, 1, 1, 0.5, 0.1], rtol=1e-14)
    np.testing.assert_allclose(single_cluster_loss(n, 0.5, 4.0), [1, 1, 1, 1, 0.2], rtol=1e-14)
    np.testing.assert_allclose(single_cluster_loss(16.0, 2.0, [1.0, 4.0]), [1 / 256, 1 / 16])
    with pytest.raises(ValueError, match=r"cluster_exponent must be finite and in \[0, inf\]"):
        single_cluster_loss(n, -0.5)
    with pytest.raises(ValueError, match="degrees_of_freedom has 1 non-finite"):
        single_cluster_loss([1.0, np.nan], 0.5)


def test_mean_nearest_distance_closed_form():
    m = np.array([1, 2, 3, 5, 20, 60])
    exact = [
        math.sqrt(2 * math.pi) * float(Fraction(math.comb(2 * k, k), 4**k)) for k in m.tolist()
    ]
    np.testing.assert_allclose(mean_nearest_distance(m), exact, rtol=1e-13)
    # m = 1: the Rayleigh mean, integral of exp(-x^2/2).
    rayleigh = quad(lambda x: math.exp(-x * x / 2), 0, np.inf)[0]
    assert float(mean_nearest_distance(1)) == pytest.approx(rayleigh, rel=1e-10)
    # Large m: sqrt(2/m) (1 - 1/(8 m)).
    np.testing.assert_allclose(
        mean_nearest_distance(1e4), math.sqrt(2e-4) * (1 - 1 / 8e4), rtol=1e-9
    )
    assert abs(float(mean_nearest_distance(2)) / math.sqrt(2 / 2) - 1) > 0.05
    with pytest.raises(ValueError, match="n_observed must be at least 1"):
        mean_nearest_distance(0)


def test_nearest_neighbor_loss_is_the_poisson_mixture():
    # Loss 1 with nothing observed, mean distance over mean variance sqrt(pi/8) with m >= 1.
    for n in (0.01, 0.3, 1.0, 4.0, 30.0):
        m = np.arange(1, 200)
        log_poisson = m * math.log(n) - n - np.cumsum(np.log(m))
        mixture = math.exp(-n) + np.sum(np.exp(log_poisson) * mean_nearest_distance(m)) / math.sqrt(
            math.pi / 8
        )
        assert float(nearest_neighbor_loss(n)) == pytest.approx(mixture, rel=1e-10)
    assert float(nearest_neighbor_loss(0.0)) == 1.0
    assert (float(nearest_neighbor_loss(1e-6)) - 1) / 1e-6 == pytest.approx(1.0, abs=1e-4)
    n = np.linspace(0, 4, 4001)
    top = n[np.argmax(nearest_neighbor_loss(n))]
    assert top == pytest.approx(1.364, abs=2e-3)  # worse than predicting 0 until n = 5.6
    assert float(nearest_neighbor_loss(1.364)) == pytest.approx(1.4976, abs=1e-4)
    assert float(nearest_neighbor_loss(5.4)) > 1 > float(nearest_neighbor_loss(5.8))
    with pytest.raises(ValueError, match="mean_observed must be >= 0"):
        nearest_neighbor_loss([-1.0])


def test_tail_of_the_nearest_neighbor_loss():
    n = np.array([1e2, 1e3, 1e4, 1e8])
    tail = 4 / np.sqrt(math.pi * n)
    gap = nearest_neighbor_loss(n) / tail - 1
    np.testing.assert_allclose(gap[:3] * n[:3], 0.25, rtol=0.02)  # I_0: relative 1/(4 n)
    assert abs(gap[3]) < 1e-8
    np.testing.assert_allclose((n / ASYMPTOTIC_SCALE_FACTOR) ** -0.5, tail, rtol=1e-12)
    assert pytest.approx(5.093, abs=1e-3) == ASYMPTOTIC_SCALE_FACTOR
    # Controls: neither another constant nor another power fits.
    assert np.all(np.abs(nearest_neighbor_loss(n) / (4 / np.sqrt(n)) - 1) > 0.4)
    assert local_exponent(nearest_neighbor_loss, 1e4) == pytest.approx(0.5, abs=1e-4)


def test_survival_by_hand():
    for z in (3, 6, 200, math.inf):
        for rate in (0.0, 0.1, 0.7, 1.0):
            law = nearest_distance_survival(rate, 1, z)
            neighbours = (
                math.exp(-rate) if math.isinf(z) else (1 - rate / (z - 1)) ** (z - 1)
            )  # children; the parent is one more site
            np.testing.assert_allclose(law, [1 - rate, (1 - rate) ** 2 * neighbours], rtol=1e-12)
    # Poisson, r = 2: children and grandchildren, parent, its other children, grandparent.
    rate = 0.2
    q1 = (1 - rate) * math.exp(-rate)
    two = (1 - rate) * math.exp(-(1 - q1)) * q1 * (1 - rate)
    assert nearest_distance_survival(rate, 2)[2] == pytest.approx(two, rel=1e-12)
    law = nearest_distance_survival(0.01, 60, 6)
    assert np.all(np.diff(law) < 0)
    np.testing.assert_array_equal(law[:11], nearest_distance_survival(0.01, 10, 6))


def test_many_neighbours_tend_to_the_poisson_limit():
    r = 40
    limit = nearest_distance_survival(0.01, r)
    gaps = [np.abs(nearest_distance_survival(0.01, r, z) - limit).max() for z in (100, 1000, 10**4)]
    np.testing.assert_allclose(np.array(gaps[1:]) / gaps[:-1], 0.1, rtol=0.1)
    assert gaps[0] < 0.01
    assert [offspring_variance(z) for z in (3, 6, math.inf)] == [0.5, 0.8, 1.0]


def test_mean_distance_is_the_sum_of_the_survival():
    for z in (3, math.inf):
        law = nearest_distance_survival(0.02, 3000, z)
        assert law[-1] < 1e-15
        got = mean_nearest_distance_at_rate([0.02, 1.0], z)
        np.testing.assert_allclose(got, [law.sum(), 0.0], rtol=1e-12)
    assert np.shape(mean_nearest_distance_at_rate(0.5)) == ()
    for rate in (0.0, -0.1, 1.5):
        with pytest.raises(ValueError, match=r"rate must lie in \(0, 1\]"):
            mean_nearest_distance_at_rate(rate)
    with pytest.raises(ValueError, match="coordination_number must be an integer >= 3"):
        nearest_distance_survival(0.1, 5, 2)
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\]"):
        nearest_distance_survival(1.2, 5)


THEORY_TABLE = [
    (1e-5, 0.9976),
    (1e-4, 0.9919),
    (1e-3, 0.9751),
    (0.0098, 0.9264),
    (0.031, 0.8787),
    (0.098, 0.8101),
]


@pytest.mark.parametrize(("rate", "published"), THEORY_TABLE)
def test_theory_table_is_the_mean_given_an_unobserved_test_site(rate, published):
    factor = float(finite_rate_factor(rate))
    # Rates are rounded to two digits there: at 0.098 the factor moves by 0.0011 over +-0.0005.
    assert factor / (1 - rate) == pytest.approx(published, abs=5e-4)
    if rate > 1e-3:
        assert abs(factor - published) > 5e-3  # control: without the condition it is not


def test_finite_rate_factor_limits():
    for z in (3, 6, math.inf):
        factor = finite_rate_factor([1e-3, 1e-5, 1e-7], z)
        gap = 1 - factor
        np.testing.assert_allclose(gap[1:] / gap[:-1], 0.1, rtol=0.05)  # 1 - O(sqrt(rate))
        assert float(finite_rate_factor(1.0, z)) == 0.0
        assert np.all(np.diff(finite_rate_factor(np.geomspace(1e-4, 1, 30), z)) < 0)


@pytest.mark.parametrize("z", [3, math.inf])
def test_the_expansion_at_tiny_rates_is_the_sum(z, monkeypatch):
    rate = np.array([3e-7, 1e-6, 3e-6])
    exact = finite_rate_factor(rate, z)
    monkeypatch.setattr(single_cluster, "_SMALL_RATE", 1e-5)
    np.testing.assert_allclose(1 - finite_rate_factor(rate, z), 1 - exact, rtol=0.01)


def test_posterior_constant():
    assert posterior_constant() == pytest.approx(0.7636, abs=5e-5)
    assert posterior_constant() is posterior_constant()  # computed once
