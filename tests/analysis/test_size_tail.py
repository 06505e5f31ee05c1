"""Tails of cluster sizes: exact laws, the recipe's rates, another implementation."""

import numpy as np
import pytest
from scipy.special import gammaln, zeta
from scipy.stats import zipf
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.analysis.size_tail import (
    LEVEL,
    _against_lognormal,
    _exponents,
    _fit,
    _power_law,
    size_tail,
)


def borel_tanner(n, rng):
    """Sizes of critical Poisson clusters, by cluster: P(s) ~ e^-s s^(s - 2)/s! -> s^-5/2."""
    return np.searchsorted(_BOREL_TANNER, rng.random(n)) + 1


_SIZES = np.arange(1.0, 200_000.0)
_BOREL_TANNER = np.exp(-_SIZES + (_SIZES - 2) * np.log(_SIZES) - gammaln(_SIZES + 1)).cumsum()
_BOREL_TANNER /= _BOREL_TANNER[-1]


@pytest.mark.parametrize(("tau", "smallest"), [(2.5, 1), (2.19, 4), (3.5, 2)])
def test_exponents_are_the_maximum_of_the_likelihood(tau, smallest):
    mean_log = -np.diff(np.log(zeta([tau - 1e-5, tau + 1e-5], smallest)))[0] / 2e-5
    assert _exponents(np.array([mean_log]), np.array([float(smallest)]))[0] == pytest.approx(
        tau, abs=1e-4
    )


def test_samples_of_the_law_have_its_probabilities():
    places = 3 + np.arange(10)
    survival = zeta(2.2, places.astype(float)) / zeta(2.2, 3.0)
    drawn = _power_law(np.random.default_rng(0).random(200_000), 2.2, places, survival)
    law = np.arange(3.0, 400.0) ** -2.2 / zeta(2.2, 3.0)  # beyond the table of ten too
    counts = np.bincount(drawn[drawn < 400], minlength=400)[3:]
    assert (
        chi_squared_p(np.append(counts, np.sum(drawn >= 400)), np.append(law, 1 - law.sum()))
        > P_FLOOR
    )
    assert chi_squared_p(counts, np.arange(3.0, 400.0) ** -2.3 / zeta(2.3, 3.0)) < P_FLOOR


def test_power_laws_are_recovered_at_the_stated_rates():
    """90% intervals, 10% refused; measured over 100 samples: 89% and 7%."""
    rng = np.random.default_rng(3)
    fits = [
        size_tail(zipf.rvs(2.5, size=300, random_state=rng), i, n_bootstrap=19) for i in range(40)
    ]
    assert all(fit.enough for fit in fits)
    covered = np.mean([fit.interval[0] <= 2.5 <= fit.interval[1] for fit in fits])
    assert covered > 0.9 - 5 * np.sqrt(0.09 / 30)
    assert np.mean([fit.interval[0] <= 2.9 <= fit.interval[1] for fit in fits]) < 0.2
    bad = np.mean([fit.p_value < LEVEL or fit.beaten_by_lognormal for fit in fits])
    assert bad < 0.1 + 5 * np.sqrt(0.09 / 30)


def test_log_normals_and_exponential_sizes_are_refused_or_beaten():
    rng = np.random.default_rng(4)
    sizes = [np.maximum(1, np.rint(rng.lognormal(0.0, 1.5, 2000))).astype(int) for _ in range(8)]
    sizes += [rng.geometric(0.1, 2000) for _ in range(8)]
    fits = [size_tail(s, i, n_bootstrap=19) for i, s in enumerate(sizes)]
    # Measured over 60: 92% and 100%.
    assert sum(fit.p_value < LEVEL or fit.beaten_by_lognormal for fit in fits) >= 12


def test_critical_clusters_have_five_halves():
    """From size 8 on: below, e^-s s^(s - 2)/s! is less than its power law by 1/(12 s)."""
    rng = np.random.default_rng(5)
    taus = []
    for _ in range(30):
        sizes = borel_tanner(20_000, rng)
        tail = sizes[sizes >= 8]
        taus.append(_exponents(np.array([np.log(tail).mean()]), np.array([8.0]))[0])
    mean, error = mean_and_error(taus)
    assert_close(mean, 2.5, error, bias=1 / 96)
    assert_far(mean, 2.19, error)
    whole = size_tail(borel_tanner(20_000, rng), n_bootstrap=0)
    assert whole.exponent == pytest.approx(2.5, abs=0.1)


def test_against_the_package_powerlaw():
    powerlaw = pytest.importorskip("powerlaw")
    sizes = zipf.rvs(2.3, size=2000, random_state=6)
    size, count = np.unique(sizes[sizes >= 3], return_counts=True)
    theirs = powerlaw.Fit(sizes, discrete=True, xmin=3, verbose=False)
    mine = _exponents(np.array([np.average(np.log(size), weights=count)]), np.array([3.0]))[0]
    assert mine == pytest.approx(theirs.power_law.alpha, abs=2e-3)
    ratio, _ = _against_lognormal(size, count, mine)
    assert ratio == pytest.approx(theirs.distribution_compare("power_law", "lognormal")[0], abs=0.5)


def test_the_cut_is_where_the_law_begins():
    rng = np.random.default_rng(7)
    tail = zipf.rvs(2.5, size=60_000, random_state=rng)
    sizes = np.concatenate([tail[tail >= 5], rng.integers(1, 5, 3000)])
    fit = size_tail(sizes, n_bootstrap=0)
    assert 5 <= fit.smallest <= 9
    assert fit.decades == pytest.approx(np.log10(sizes.max() / fit.smallest))


@pytest.mark.parametrize("sizes", [[], [1] * 1000, [1, 100], np.arange(1, 10).repeat(50)])
def test_too_little_for_a_tail_is_said(sizes):
    fit = size_tail(np.array(sizes, int))
    assert not fit.enough
    assert not fit.beaten_by_lognormal
    assert np.isnan(fit.exponent)


def test_bad_input():
    with pytest.raises(ValueError, match="at least 1"):
        size_tail([0, 3])
    with pytest.raises(ValueError, match="integers"):
        size_tail([1.5])


def test_distance_counts_sizes_that_are_not_in_the_data():
    """Sizes 1 and 100 alone: between them the law goes on and the data stand still."""
    _, smallest, distance = _fit(np.array([1, 100]), np.array([80, 60]))
    assert smallest == 1
    tau = _exponents(np.array([60 / 140 * np.log(100)]), np.array([1.0]))[0]
    law = zeta(tau, 1 + np.arange(101.0)) / zeta(tau, 1.0)
    seen = np.where(np.arange(101) < 1, 1.0, np.where(np.arange(101) < 100, 60 / 140, 0.0))
    assert distance == pytest.approx(np.abs(law - seen).max())
