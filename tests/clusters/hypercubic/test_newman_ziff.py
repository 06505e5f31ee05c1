"""Sweeps over tori against a search of the unwrapped torus and the enumeration of all configurations."""

import numpy as np
import pytest
from hypercubic_cases import KINDS, components, enumeration, exact, lattice_bonds, winding
from scipy.stats import binom
from statistical import assert_close, assert_far, mean_and_error

from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.laws import hypercubic as literature
from percolaw.rng import Streams


def ordered(lattice, seed):
    """The order in which a sweep opens bonds (by rank among all) or sites."""
    total = lattice.n_bonds if lattice.kind == "bond" else lattice.n_sites
    order = np.arange(total, dtype=np.int32)
    Streams(seed).generator("clusters").shuffle(order)
    return order


# ---- sweeps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dimension", "length", "seeds"),
    [(1, 5, 20), (2, 3, 20), (2, 4, 15), (3, 3, 4), (4, 3, 1), (6, 3, 1), (8, 3, 1)],
)
def test_sweeps_equal_a_search_of_the_unwrapped_torus(dimension, length, seeds, kind):
    lattice = HypercubicLattice(dimension, length, kind, periodic=True)
    n = lattice.n_sites
    bonds = lattice_bonds(dimension, length, True)
    total = lattice.n_bonds if kind == "bond" else n
    np.testing.assert_array_equal(bonds[:, 0], np.arange(lattice.n_bonds))
    if dimension < 4:
        at = np.arange(0, total + 1, 1 if dimension < 3 else 4)
    else:  # where the first clusters wind
        p_wind = {"bond": {4: 0.22, 6: 0.12, 8: 0.075}, "site": {4: 0.25, 6: 0.13, 8: 0.085}}
        p = p_wind[kind][dimension]
        at = np.array([p, 1.3 * p]) * total if dimension < 8 else np.array([p * total])
        at = at.astype(int)
    partly = 0
    for seed in range(seeds):
        order = ordered(lattice, seed)
        got = sweep(lattice, rng=seed, n_open=at)
        for record, m in enumerate(at):
            here = np.full(n, kind == "bond")
            if kind == "bond":
                kept = bonds[order[:m]]
            else:
                here[order[:m]] = True
                kept = bonds[here[bonds[:, 1]] & here[bonds[:, 2]]]
            _, size = components(n, kept, here)
            assert got.largest[record] == size.max(initial=0)
            assert got.square[record] == (size**2).sum()
            assert got.loops[record] == len(kept) - here.sum() + size.size
            winds = winding(n, kept, length, dimension)
            np.testing.assert_array_equal(got.wrapped[record], winds)
            partly += 0 < winds.sum() < dimension
    assert partly > 0 or dimension in (1, 4, 6, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_record_is_everything_open(kind):
    for dimension, length in ((1, 9), (2, 30), (3, 8), (5, 4)):
        lattice = HypercubicLattice(dimension, length, kind, periodic=True)
        n = lattice.n_sites
        got = sweep(lattice, rng=1)
        total = lattice.n_bonds if kind == "bond" else n
        assert (got.n_open[0], got.n_open[-1]) == (0, total)
        assert got.n_open.size == min(1001, total + 1)
        assert got.largest[-1] == n
        assert got.square[-1] == n**2
        assert got.loops[-1] == lattice.n_bonds - n + 1
        assert got.wrapped[-1].all()
        assert got.largest[0] == (kind == "bond")
        assert got.square[0] == (n if kind == "bond" else 0)
        assert not got.wrapped[0].any()
        for rising in (got.largest, got.square, got.loops, *got.wrapped.T.astype(int)):
            assert np.all(np.diff(rising) >= 0)
        # Without wrapping, and with fewer records, the rest is the same.
        some = got.n_open[1::7]
        other = sweep(lattice, rng=1, n_open=some, wrapping=False)
        np.testing.assert_array_equal(other.n_open, some)
        np.testing.assert_array_equal(other.largest, got.largest[1::7])
        np.testing.assert_array_equal(other.square, got.square[1::7])
        np.testing.assert_array_equal(other.loops, got.loops[1::7])
        assert not other.wrapped.any()


@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_at_a_probability_equal_the_enumeration(kind):
    # A ring of three has as few as eight configurations, the site torus of 3 x 3 has 512.
    dimension = 1 if kind == "bond" else 2
    lattice = HypercubicLattice(dimension, 3, kind, periodic=True)
    sums = enumeration(dimension, 3, kind, True, wraps=True)
    everything = np.arange(len(sums))
    p = np.array([0.0, 0.3, 0.6, 1.0])
    found = [sweep(lattice, rng=seed, n_open=everything).at(p) for seed in range(2000)]
    names = ("loops", "susceptibility", "largest_share")
    for k, name in enumerate(names, start=1):
        for j in (1, 2):
            truth, wrong = (exact(sums, q)[k] / lattice.n_sites for q in (p[j], p[j] + 0.03))
            sample = np.array([f[name][j] for f in found])
            if sample.std() < 1e-12:  # on the ring the number open says everything
                np.testing.assert_allclose(sample, truth)
                continue
            mean, error = mean_and_error(sample)
            assert_close(mean, truth, error)
            assert_far(mean, wrong, error)
        for j, q in ((0, 0.0), (3, 1.0)):
            assert found[0][name][j] == pytest.approx(exact(sums, q)[k] / lattice.n_sites)
    winds = np.array([f["wrapped"][:, 0] for f in found])
    for j in (1, 2):
        truth = exact(sums, p[j])[4]
        if winds[:, j].std() < 1e-12:
            np.testing.assert_allclose(winds[:, j], truth)
            continue
        mean, error = mean_and_error(winds[:, j])
        assert_close(mean, truth, error)
        assert_far(mean, exact(sums, p[j] + 0.03)[4], error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "length", "p"), [(2, 8, 0.45), (3, 5, 0.25)])
def test_sweeps_at_a_probability_equal_percolation(dimension, length, p, kind):
    p = 1.25 * p if kind == "site" else p
    lattice = HypercubicLattice(dimension, length, kind, periodic=True)
    total = lattice.n_bonds if kind == "bond" else lattice.n_sites
    everything = np.arange(total + 1)
    swept = [sweep(lattice, rng=seed, n_open=everything).at([p, p + 0.05]) for seed in range(400)]
    found = [percolate(lattice, p, rng=seed) for seed in range(1000)]
    for name, values in (
        ("largest_share", [f.largest_share for f in found]),
        ("susceptibility", [f.susceptibility() for f in found]),
        ("loops", [f.n_loops / lattice.n_sites for f in found]),
    ):
        mean, error = mean_and_error(values)
        got, other = mean_and_error([s[name][0] for s in swept])
        assert_close(got, mean, np.hypot(error, other))
        wrong, other = mean_and_error([s[name][1] for s in swept])
        assert_far(wrong, mean, np.hypot(error, other))


def test_few_records_stand_for_their_surroundings():
    lattice = HypercubicLattice(2, 20, periodic=True)
    full = sweep(lattice, rng=2, n_open=np.arange(801))
    few = sweep(lattice, rng=2, n_open=np.arange(0, 801, 4))
    p = np.linspace(0.0, 1.0, 11)
    for name in ("largest_share", "susceptibility", "loops"):
        a, b = full.at(p)[name], few.at(p)[name]
        assert a.shape == (11,)
        np.testing.assert_allclose(a, b, atol=0.02 * a.max())
    assert full.at(0.5)["wrapped"].shape == (1, 2)
    # The weights are the binomial law of the number open.
    weighted = binom.pmf(np.arange(801), 800, 0.47) @ full.loops / 400
    assert full.at(0.47)["loops"][0] == pytest.approx(weighted)


def test_wrapping_of_the_critical_square_torus():
    lattice = HypercubicLattice(2, 32, periodic=True)

    def wrapped(p, n):
        number = np.random.default_rng(1).binomial(lattice.n_bonds, p, n)
        return np.array(
            [sweep(lattice, rng=k, n_open=[m]).wrapped[0] for k, m in enumerate(number)]
        )

    at, below = wrapped(0.5, 2500), wrapped(0.48, 1000)
    for truth, of in (
        (literature.WRAPPING_ALONG_AXIS, lambda w: w[:, 0]),
        (literature.WRAPPING_ALONG_AXIS, lambda w: w[:, 1]),
        (literature.WRAPPING_EITHER, lambda w: w.any(axis=1)),
        (literature.WRAPPING_BOTH, lambda w: w.all(axis=1)),
    ):
        mean, error = mean_and_error(of(at))
        # Corrections to the infinite torus are below 0.003 at this length (Newman and Ziff 2001).
        assert_close(mean, truth, error, bias=0.003)
        mean, error = mean_and_error(of(below))
        assert_far(mean, truth, error)
    either, both = literature.WRAPPING_EITHER, literature.WRAPPING_BOTH
    assert either + both == pytest.approx(2 * literature.WRAPPING_ALONG_AXIS, abs=1e-12)


# ---- wrong input


def test_wrong_sweeps_are_refused():
    torus = HypercubicLattice(2, 4, periodic=True)
    with pytest.raises(ValueError, match=r"a sweep needs periodic edges: .*periodic=True"):
        sweep(HypercubicLattice(2, 4))
    for n_open in ([3, 3], [3, 2], []):
        with pytest.raises(ValueError, match="n_open must hold numbers that rise strictly"):
            sweep(torus, n_open=n_open)
    for n_open in ([-1], [33]):
        with pytest.raises(ValueError, match=r"n_open must lie in \[0, 32\]; got ids from"):
            sweep(torus, n_open=n_open)
    with pytest.raises(TypeError, match="n_open must be integer site ids; got dtype float64"):
        sweep(torus, n_open=[1.5])
    with pytest.raises(
        ValueError, match=r"opens at most 2\^31 - 1 .*; got 2251799813685248. Lower"
    ):
        sweep(HypercubicLattice(8, 64, periodic=True))
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
        sweep(torus).at([0.5, 1.2])
    with pytest.raises(ValueError, match="non-finite"):
        sweep(torus).at(float("nan"))
