"""Exact laws of the Bethe lattice against integers, sums, closed forms and samples."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from statistical import assert_close

from percolaw.clusters.ensembles import size_law
from percolaw.laws.bethe import (
    BetheLattice,
    bethe_threshold,
)
from percolaw.laws.hypercubic import critical_exponents
from percolaw.laws.size_law import yule_size_law

POISSON = math.inf
FAMILIES = [3, 6, 200, POISSON]
SIZES = np.arange(1, 1_000_001)


def summed(lattice, power=0):
    """Sum of P_s s^-power over a million sizes, plus at p_c the tail A s^-1.5 (1 + c/s).

    The next term of the tail is below 1e-14.
    """
    p = np.exp(lattice.log_site_cluster_size(SIZES))
    total = float((p / np.power(SIZES, float(power))).sum())
    if lattice.regime == "critical":
        last = float(SIZES[-1])
        whole, half = p[-1] * last**1.5, p[SIZES.size // 2 - 1] * (last / 2) ** 1.5
        edge, j = last + 0.5, power + 0.5
        total += (2 * whole - half) * edge**-j / j
        total += (half - whole) * last * edge ** -(j + 1) / (j + 1)
    return total


def exact_probability(z, p, s):
    """P_s in exact integers."""
    ways = Fraction(
        z * math.factorial((z - 1) * s), math.factorial(s - 1) * math.factorial((z - 2) * s + 2)
    )
    return ways * p ** (s - 1) * (1 - p) ** ((z - 2) * s + 2)


def log_fraction(x):
    return math.log(x.numerator) - math.log(x.denominator)


# ---- P_s


@pytest.mark.parametrize("z", [3, 4, 6, 200])
@pytest.mark.parametrize("ratio", [Fraction(1, 2), Fraction(1), Fraction(3, 2)])
def test_size_law_equals_the_factorial_formula(z, ratio):
    p = ratio / (z - 1)
    lattice = BetheLattice(z, mean_offspring=float(ratio))
    sizes = [1, 2, 3, 4, 5, 10, 31, 32, 33, 40] + ([1000] if z < 7 else [])
    exact = [log_fraction(exact_probability(z, p, s)) for s in sizes]
    got = lattice.log_site_cluster_size(sizes)
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-10)
    np.testing.assert_allclose(lattice.log_cluster_number(sizes), exact - np.log(sizes), atol=1e-10)
    # Control: p off by one part in a million shows.
    wrong = BetheLattice(z, float(p) * 0.999_999).log_site_cluster_size(sizes)
    assert np.abs(wrong - exact).max() > 1e-6


@pytest.mark.parametrize("mean", [Fraction(1, 2), Fraction(1), Fraction(3, 2)])
def test_poisson_limit_is_the_borel_law_and_the_limit_of_large_z(mean):
    lattice = BetheLattice(POISSON, mean_offspring=float(mean))
    for s in (1, 2, 3, 10, 40, 200):
        borel = -float(mean) * s + (s - 1) * math.log(float(mean * s)) - math.log(math.factorial(s))
        assert lattice.log_site_cluster_size(s) == pytest.approx(borel, abs=1e-10)
        close = BetheLattice(10_000_000, mean_offspring=float(mean)).log_site_cluster_size(s)
        assert close == pytest.approx(borel, abs=2e-3 if s > 40 else 1e-4)
        assert BetheLattice(6, mean_offspring=float(mean)).log_site_cluster_size(s) != (
            pytest.approx(borel, abs=1e-3)
        )


def decimal_log_gamma(x):
    """log Gamma(x + 1) by Stirling's series in 60 digits, for x >= 1000 (error below 1e-29)."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    series = 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5) - 1 / (1680 * x**7)
    return x * x.ln() - x + (2 * pi * x).ln() / 2 + series + 1 / (1188 * x**9)


@pytest.mark.parametrize("z", FAMILIES)
@pytest.mark.parametrize("mean", [1.0, 1.0 - 2.0**-10, 1.0 + 2.0**-12])
def test_large_sizes_are_right_to_1e_minus_8(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    with localcontext() as context:
        context.prec = 60
        for s in (10**4, 10**6, 10**9):
            n, m = Decimal(s), Decimal(mean)
            if z == POISSON:
                exact = -m * n + (n - 1) * (m * n).ln() - decimal_log_gamma(n)
            else:
                p, places = m / (int(z) - 1), Decimal(int(z) - 2)
                top, rest = (places + 1) * n, places * n + 2
                exact = (
                    Decimal(z).ln()
                    + decimal_log_gamma(top)
                    - (decimal_log_gamma(n) - n.ln())
                    - decimal_log_gamma(rest)
                    + (n - 1) * p.ln()
                    + rest * (1 - p).ln()
                )
            got = float(lattice.log_site_cluster_size(s))
            assert math.isfinite(got)
            # Off criticality s_cut^-1 s reaches 477; its rounding adds relative 1e-13.
            assert got == pytest.approx(float(exact), abs=1e-8, rel=1e-12)


@pytest.mark.parametrize("z", FAMILIES)
def test_size_law_sums_to_one_at_criticality(z):
    lattice = BetheLattice(z)
    assert lattice.survival(1) == pytest.approx(1.0, abs=1e-9)
    assert summed(lattice) == pytest.approx(1.0, abs=1e-9)
    # Control: one part in a thousand above, finite clusters no longer have everything.
    above = BetheLattice(z, mean_offspring=1.001)
    assert 1.0 - above.survival(1) > 1e-3


@pytest.mark.parametrize("z", FAMILIES)
@pytest.mark.parametrize("mean", [0.2, 0.95])
def test_below_criticality(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    assert lattice.regime == "subcritical"
    assert lattice.survival(1) == pytest.approx(1.0, abs=1e-12)
    assert summed(lattice) == pytest.approx(1.0, abs=1e-12)
    p = 0.0 if z == POISSON else mean / (z - 1)
    moment = float((np.exp(lattice.log_site_cluster_size(SIZES)) * SIZES).sum())
    assert moment == pytest.approx((1 + p) / (1 - mean), rel=1e-10)
    assert lattice.mean_site_cluster_size == pytest.approx((1 + p) / (1 - mean), rel=1e-12)
    assert (lattice.extinction_probability, lattice.percolation_probability) == (1.0, 0.0)
    # Control: the mean offspring enters the mean size.
    assert moment != pytest.approx((1 + p) / (1 - 1.01 * mean), rel=1e-4)


def test_mean_size_diverges_from_criticality_on():
    assert BetheLattice(6).mean_site_cluster_size == math.inf
    assert BetheLattice(6, 0.3).mean_site_cluster_size == math.inf


@pytest.mark.parametrize("z", FAMILIES)
@pytest.mark.parametrize("mean", [0.3, 1.0, 1.7])
def test_clusters_per_site_is_the_sum_of_cluster_numbers(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    total = summed(lattice, power=1)
    assert lattice.clusters_per_site == pytest.approx(total, abs=1e-9)
    bonds = mean if z == POISSON else z * mean / (z - 1)
    if mean <= 1.0:
        assert total == pytest.approx(1.0 - bonds / 2.0, abs=1e-9)
    else:
        assert total > 1.0 - bonds / 2.0 + 1e-4
    law = lattice.cluster_size_law()
    # Given finiteness the number law is normalised.
    assert law.window_probability(1, math.inf) == pytest.approx(1.0, abs=1e-9)


# ---- tail


def test_check_value_of_the_published_run():
    survival = BetheLattice(200).survival(300)
    assert survival == pytest.approx(0.046448, abs=5e-7)
    # 316 of 6664 clusters were kept.
    assert_close(316 / 6664, survival, math.sqrt(survival * (1 - survival) / 6664))
    assert BetheLattice(200, 1.02 / 199).survival(300) != pytest.approx(0.046448, abs=5e-4)
    assert BetheLattice(6).survival(300) != pytest.approx(0.046448, abs=5e-4)


@pytest.mark.parametrize("z", FAMILIES)
@pytest.mark.parametrize("mean", [0.9, 1.0, 1.25])
def test_tail_amplitude_and_cutoff(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    sizes = np.array([1e3, 1e4, 1e5, 1e6, 1e9] if mean == 1.0 else [300.0, 1e3, 1e4])
    rate = 0.0 if mean == 1.0 else 1.0 / lattice.cutoff_size
    ratio = lattice.log_site_cluster_size(sizes) - (
        math.log(lattice.tail_amplitude) - 1.5 * np.log(sizes) - sizes * rate
    )
    # The next term is c/s with c of order one.
    assert np.all(np.abs(ratio) * sizes < 5.0 + 1e-8 * sizes)
    assert abs(ratio[0] * sizes[0]) > 1e-3
    if mean == 1.0:
        assert lattice.cutoff_size == math.inf
        factor = 1.0 if z == POISSON else z / (z - 1)
        variance = 1.0 if z == POISSON else (z - 2) / (z - 1)
        expected = factor / math.sqrt(2 * math.pi * variance)
        assert lattice.tail_amplitude == pytest.approx(expected, rel=1e-12)
        assert lattice.offspring_variance == pytest.approx(variance, rel=1e-12)
    elif z != POISSON:
        p = mean / (z - 1)
        # (z-1)^(z-1) / (z-2)^(z-2) p (1-p)^(z-2), the large powers as logarithms.
        decay = math.exp((z - 1) * math.log(z - 1) - (z - 2) * math.log(z - 2))
        decay *= p * (1 - p) ** (z - 2)
        assert math.exp(-rate) == pytest.approx(decay, rel=1e-10)


@pytest.mark.parametrize("z", FAMILIES)
def test_cutoff_grows_as_the_inverse_square_of_the_distance(z):
    for distance in (1e-3, -1e-3, 1e-5, -1e-5):
        lattice = BetheLattice(z, mean_offspring=1.0 + distance)
        scaled = lattice.cutoff_size * distance**2 / (2 * BetheLattice(z).offspring_variance)
        assert scaled == pytest.approx(1.0, rel=3 * abs(distance))


@pytest.mark.parametrize("z", FAMILIES)
def test_survival_of_huge_sizes_follows_the_tail(z):
    lattice = BetheLattice(z)
    for s in (10**6, 10**9):
        expected = 2 * lattice.tail_amplitude / math.sqrt(s - 0.5)
        assert lattice.survival(s) == pytest.approx(expected, rel=10 / s + 1e-8)
    assert lattice.site_size_law().window_probability(10, 9) == 0.0
    for a, b in ((1, 40_000), (500, 10**6)):
        direct = float(np.exp(lattice.log_site_cluster_size(np.arange(a, b + 1))).sum())
        assert lattice.site_size_law().window_probability(a, b) == pytest.approx(direct, rel=1e-9)
        rest = lattice.survival(a) - lattice.survival(b + 1)
        assert lattice.site_size_law().window_probability(a, b) == pytest.approx(rest, rel=1e-7)


# ---- above criticality


@pytest.mark.parametrize("p", [0.51, 0.6, 0.9])
def test_three_neighbours_above_criticality_in_closed_form(p):
    lattice = BetheLattice(3, p)
    assert lattice.regime == "supercritical"
    assert lattice.extinction_probability == pytest.approx(((1 - p) / p) ** 2, rel=1e-10)
    assert lattice.finite_probability == pytest.approx(((1 - p) / p) ** 3, rel=1e-10)
    assert lattice.percolation_probability == pytest.approx(1 - ((1 - p) / p) ** 3, abs=1e-10)


@pytest.mark.parametrize("z", FAMILIES)
@pytest.mark.parametrize("mean", [1.001, 1.05, 1.3, 1.9])
def test_finite_clusters_above_are_a_subcritical_dual(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    q = lattice.extinction_probability
    assert 0.0 < q < 1.0
    p = lattice.p
    image = math.exp(mean * (q - 1)) if z == POISSON else (1 - p + p * q) ** (z - 1)
    assert image == pytest.approx(q, abs=1e-12)
    assert lattice.survival(1) == pytest.approx(lattice.finite_probability, abs=1e-9)
    total = lattice.percolation_probability + lattice.finite_probability
    assert total == pytest.approx(1.0, abs=1e-15)
    # A child given that its branch ends: p q / (1 - p + p q).
    dual = BetheLattice(
        z, mean_offspring=mean * q if z == POISSON else (z - 1) * p * q / (1 - p + p * q)
    )
    assert dual.regime == "subcritical"
    sizes = np.array([1, 2, 3, 10, 100, 1000])
    shifted = dual.log_site_cluster_size(sizes) + math.log(lattice.finite_probability)
    np.testing.assert_allclose(lattice.log_site_cluster_size(sizes), shifted, atol=1e-8)
    assert dual.cutoff_size == pytest.approx(lattice.cutoff_size, rel=1e-6)


@pytest.mark.parametrize("z", FAMILIES)
def test_percolation_probability_rises_linearly_above_criticality(z):
    # theta = 2 e (z/(z-1)) / s2 to first order: a child more or less at the root.
    factor = 1.0 if z == POISSON else z / (z - 1)
    lattice = BetheLattice(z)
    for e in (1e-3, 1e-5):
        theta = BetheLattice(z, mean_offspring=1 + e).percolation_probability
        expected = 2 * e * factor / lattice.offspring_variance
        assert theta == pytest.approx(expected, rel=5 * e + 1e-4)


@pytest.mark.parametrize("z", FAMILIES)
def test_percolation_probability_very_near_criticality(z):
    e = 1e-9
    factor = 1.0 if z == POISSON else z / (z - 1)
    theta = BetheLattice(z, mean_offspring=1 + e).percolation_probability
    expected = 2 * e * factor / BetheLattice(z).offspring_variance
    assert theta == pytest.approx(expected, rel=1e-2)


def test_edges_of_the_probability():
    for lattice in (BetheLattice(3, 0.0), BetheLattice(POISSON, mean_offspring=0.0)):
        assert lattice.log_site_cluster_size([1, 2]).tolist() == [0.0, -math.inf]
        assert lattice.mean_site_cluster_size == 1.0
        assert lattice.clusters_per_site == 1.0
    full = BetheLattice(3, 1.0)
    assert full.percolation_probability == 1.0
    assert np.all(full.log_site_cluster_size([1, 50]) == -math.inf)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_survival_at_the_edges_of_the_probability(p, expected):
    with np.errstate(invalid="ignore"):
        assert BetheLattice(3, p).survival(1) == expected


# ---- other laws


def test_yule_law_values_and_mean():
    law = yule_size_law()
    np.testing.assert_allclose(law.probability([1, 2, 3, 4]), [0.6, 6 / 35, 8 / 105, 16 / 385])
    assert law.probability([1, 2, 3, 4]).round(4).tolist() == [0.6, 0.1714, 0.0762, 0.0416]
    assert law.window_probability(1, math.inf) == pytest.approx(1.0, abs=1e-9)
    p = law.probability(SIZES)
    last = float(SIZES[-1])
    mean = (p * SIZES).sum() + 2 * p[-1] * last**2.5 / math.sqrt(last + 0.5)
    assert mean == pytest.approx(3.0, abs=1e-8)
    # A fraction a of all sites founds a cluster, so the mean is 1/a; control: a = 0.3.
    p = yule_size_law(0.5).probability(SIZES)
    assert (p * SIZES).sum() == pytest.approx(2.0, abs=1e-5)
    assert yule_size_law(0.3).probability(1) != pytest.approx(0.6, abs=1e-3)
    # Far out the law stays accurate: P(s) s^2.5 -> 1.5 Gamma(5/2).
    far = law.probability([1e9]) * 1e9**2.5 / (1.5 * math.gamma(2.5))
    assert far == pytest.approx(1.0, abs=1e-6)


def test_number_law_of_the_bethe_lattice_is_not_the_yule_law():
    law = BetheLattice(200).cluster_size_law()
    p = law.probability(SIZES)
    assert p[:3].round(3).tolist() == [0.734, 0.136, 0.050]
    assert p[3] == pytest.approx(0.0246, abs=5e-5)
    last = float(SIZES[-1])
    mean = (p * SIZES).sum() + 2 * p[-1] * last**2.5 / math.sqrt(last + 0.5)
    assert mean == pytest.approx(2.010, abs=5e-4)
    assert mean == pytest.approx(1.0 / BetheLattice(200).clusters_per_site, abs=1e-8)
    # One tail exponent, other amplitudes.
    yule = yule_size_law()
    assert law.tail_exponent == yule.tail_exponent == 2.5
    assert abs(p[0] - yule.probability(1)) > 0.1


# ---- exponents by dimension

#: Rounding of the tabulated tau and D, as it enters tau - 1 - d/D.
PRECISION = {2: 1e-12, 3: 3e-5, 4: 1e-4, 5: 7e-4, 6: 1e-12}


@pytest.mark.parametrize("dimension", PRECISION)
def test_exponents_satisfy_hyperscaling(dimension):
    e = critical_exponents(dimension)
    allowed = PRECISION[dimension]
    assert e.fisher_exponent == pytest.approx(1 + dimension / e.fractal_dimension, abs=allowed)
    # Controls: another dimension's D, and 1% off.
    other = critical_exponents(dimension + 1 if dimension < 6 else 5).fractal_dimension
    assert abs(e.fisher_exponent - 1 - dimension / other) > 10 * allowed
    assert abs(e.fisher_exponent - 1 - dimension / (1.01 * e.fractal_dimension)) > 5 * allowed


def test_exponents_that_are_exact():
    two = critical_exponents(2)
    beta = (two.fisher_exponent - 2) / two.cutoff_exponent
    nu = 1 / (two.cutoff_exponent * two.fractal_dimension)
    assert (beta, nu) == pytest.approx((5 / 36, 4 / 3))
    for d in (6, 7, 8, 20):
        e = critical_exponents(d)
        assert e.dimension == d
        assert (e.fisher_exponent, e.fractal_dimension, e.cutoff_exponent) == (2.5, 4.0, 0.5)
        assert e.rank_exponent == 1.0
        assert e.cluster_exponent() == 0.5
        assert e.cluster_exponent(1.0) == 0.25
    # Hyperscaling ends at six dimensions.
    assert abs(2.5 - 1 - 7 / 4) > 0.2


def test_exponents_move_monotonically_towards_mean_field():
    rows = [critical_exponents(d) for d in range(2, 7)]
    for name in ("fisher_exponent", "fractal_dimension", "cutoff_exponent"):
        assert np.all(np.diff([getattr(e, name) for e in rows]) > 0), name
    assert np.all(np.diff([e.rank_exponent for e in rows]) < 0)
    # Within the rounding of THEORY 5 (tau to four digits, D to two).
    for e, tau, dim in zip(rows[1:4], (2.1892, 2.3138, 2.418), (2.53, 3.04, 3.53), strict=True):
        assert e.fisher_exponent == pytest.approx(tau, abs=2e-4)
        assert e.fractal_dimension == pytest.approx(dim, rel=1e-2)
        assert e.source


# ---- the lattice itself


def test_critical_point():
    assert bethe_threshold(3) == 0.5
    assert bethe_threshold(200) == 1 / 199
    assert bethe_threshold(POISSON) == 0.0
    for z in (3, 6, 7, 50, 200):
        for lattice in (
            BetheLattice(z),
            BetheLattice(z, 1 / (z - 1)),
            BetheLattice(z, bethe_threshold(z)),
            BetheLattice(z, mean_offspring=1.0),
        ):
            assert lattice.regime == "critical"
            assert lattice.p == lattice.critical_probability == 1 / (z - 1)
            assert lattice.cutoff_size == math.inf
    assert BetheLattice(6, 0.19).regime == "subcritical"
    assert BetheLattice(6, 0.21).regime == "supercritical"
    assert BetheLattice(6, 0.1).branching == pytest.approx(0.5)
    assert BetheLattice(6, 0.1).offspring_variance == pytest.approx(0.45)


@pytest.mark.parametrize("z", [2, 0, -3, 3.5, math.nan, -math.inf, True])
def test_bad_coordination_number(z):
    with pytest.raises(ValueError, match=r"coordination_number must be an integer >= 3, or math"):
        BetheLattice(z)


@pytest.mark.parametrize("z", ["200", "many", None])
def test_coordination_number_of_another_type(z):
    with pytest.raises((TypeError, ValueError), match="coordination_number must be"):
        BetheLattice(z)


def test_error_messages():
    with pytest.raises(ValueError, match=r"bond_probability must lie in \[0, 1\]; got 1\.5"):
        BetheLattice(3, 1.5)
    with pytest.raises(ValueError, match="bond_probability must be a finite number; got nan"):
        BetheLattice(3, math.nan)
    with pytest.raises(TypeError, match=r"bond_probability must be a number; got 'x' \(str\)"):
        BetheLattice(3, "x")
    with pytest.raises(ValueError, match="bond_probability or mean_offspring, not both"):
        BetheLattice(3, 0.5, 1.0)
    with pytest.raises(ValueError, match="Poisson limit bond_probability is 0; give mean_"):
        BetheLattice(POISSON, 0.1)
    with pytest.raises(ValueError, match=r"mean_offspring / \(z - 1\) must lie in"):
        BetheLattice(3, mean_offspring=2.5)
    with pytest.raises(ValueError, match=r"mean_offspring must be finite and in \[0, inf\]"):
        BetheLattice(POISSON, mean_offspring=-0.1)
    for bad in (0, [1, -2], 2.5, math.nan):
        with pytest.raises(ValueError, match="size must hold integers >= 1"):
            BetheLattice(3).log_site_cluster_size(bad)
    with pytest.raises(ValueError, match=r"min_size must be in \[1, inf\]; got 0"):
        BetheLattice(3).survival(0)
    for bad in (0.0, 1.0):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            yule_size_law(bad)
    with pytest.raises(ValueError, match=r"dimension must be in \[2, inf\]; got 1"):
        critical_exponents(1)
    with pytest.raises(ValueError, match=r"unknown ensemble 'sites'.*Did you mean 'site'"):
        size_law("sites")


def test_number_law_without_finite_clusters_says_so():
    with pytest.raises(ValueError, match="finite"):
        BetheLattice(3, 1.0).cluster_size_law()


def test_yule_law_refuses_bad_sizes():
    with pytest.raises(ValueError, match="size must hold integers >= 1"):
        yule_size_law().probability([0, 1.5])
