"""Thresholds and exponents of Z^d: where they are known exactly, and how they hang together."""

import numpy as np
import pytest
from hypercubic_cases import KINDS

from percolaw.clusters.hypercubic.box import HypercubicLattice
from percolaw.laws import hypercubic as literature


def test_thresholds_and_exponents():
    assert HypercubicLattice(3, 4, "site").critical_probability == 0.31160768
    assert literature.hypercubic_threshold(2) == 0.5
    for kind in KINDS:
        values = [literature.hypercubic_threshold(d, kind) for d in range(1, 9)]
        assert values[0] == 1.0
        assert np.all(np.diff(values) < 0)
        # Above the Bethe lattice's 1/(2d - 1), and closer to it the higher d.
        excess = [p * (2 * d - 1) - 1 for d, p in enumerate(values, start=1)]
        assert min(excess[1:]) > 0
        assert np.all(np.diff(excess[1:]) < 0)
    assert all(
        literature.hypercubic_threshold(d, "site") > literature.hypercubic_threshold(d)
        for d in range(2, 9)
    )
    assert "Kesten" in literature.threshold_source(2)
    for d in range(2, 6):
        e = literature.critical_exponents(d)
        # Hyperscaling, to the digits given.
        assert e.fisher_exponent == pytest.approx(1 + d / e.fractal_dimension, abs=2e-4)
        product_ = e.cutoff_exponent * e.correlation_exponent * e.fractal_dimension
        assert product_ == pytest.approx(1.0, abs=2e-3)
        assert e.spectral_dimension == pytest.approx(
            1.33, abs=0.04
        )  # Alexander and Orbach: 4/3, nearly
    for d in (6, 7, 20):
        e = literature.critical_exponents(d)
        assert (e.rank_exponent, e.spectral_dimension, e.free_field_exponent) == (1.0, 4 / 3, 0.5)
        assert e.cluster_exponent() == 0.5
        assert e.dimension == d
    with pytest.raises(ValueError, match=r"dimension must be in \[1, 8\]; got 9"):
        literature.hypercubic_threshold(9)
    with pytest.raises(ValueError, match=r"unknown kind 'bonds'.*Did you mean 'bond'"):
        literature.hypercubic_threshold(2, "bonds")
    with pytest.raises(ValueError, match=r"dimension must be in \[2, inf\]; got 1"):
        literature.critical_exponents(1)


def test_exponents_of_the_literature_hang_together():
    """Relations that they must obey, to the digits given."""
    every = [literature.critical_exponents(d) for d in range(2, 9)]
    for e in every[:5]:
        assert e.fisher_exponent == pytest.approx(1 + e.dimension / e.fractal_dimension, abs=2e-4)
        assert e.cutoff_exponent == pytest.approx(
            1 / (e.correlation_exponent * e.fractal_dimension), rel=2e-3
        )
    for e in every:
        assert e.rank_exponent == pytest.approx(
            (3 - e.fisher_exponent) / (e.fisher_exponent - 2), rel=1e-12
        )
        assert abs(e.spectral_dimension - 4 / 3) < 0.025
        assert e.free_field_exponent == pytest.approx(2 / e.spectral_dimension - 1, rel=1e-12)
        assert e.cluster_exponent(2.0) == 2 / e.fractal_dimension
        assert e.cluster_exponent(1.0) == 1 / e.fractal_dimension
        # No way is shorter than straight or has more resistance than length.
        assert e.shortest_path_dimension > 1.0
        assert e.resistance_exponent <= e.shortest_path_dimension
        assert e.fractal_dimension < e.dimension
        assert e.source
    for name, sign in (
        *(("fisher_exponent", 1), ("fractal_dimension", 1), ("cutoff_exponent", 1)),
        *(("correlation_exponent", -1), ("shortest_path_dimension", 1)),
        *(("resistance_exponent", 1), ("rank_exponent", -1), ("free_field_exponent", -1)),
    ):
        steps = sign * np.diff([getattr(e, name) for e in every])
        assert np.all(steps >= -0.005 if name == "free_field_exponent" else steps >= 0.0), name
        assert np.all(steps[4:] == 0.0), "mean field from 6 dimensions on"
    assert every[0].rank_exponent == pytest.approx(86 / 5, rel=1e-9)


def test_thresholds_near_their_expansion():
    """Gaunt and Ruskin's series in 1/(2d - 1), whose terms left out are less than a percent."""
    for d in (6, 7, 8):
        s = 1.0 / (2 * d - 1)
        bond = s + 2.5 * s**3 + 7.5 * s**4 + 57 * s**5
        site = s + 1.5 * s**2 + 3.75 * s**3 + 20.75 * s**4
        assert literature.hypercubic_threshold(d) == pytest.approx(bond, rel=0.006)
        assert literature.hypercubic_threshold(d, "site") == pytest.approx(site, rel=0.015)
        assert literature.hypercubic_threshold(d) > s
    for d in range(2, 9):
        assert 1 / (2 * d - 1) < literature.hypercubic_threshold(d) <= 0.5
        assert (
            literature.hypercubic_threshold(d) < literature.hypercubic_threshold(d, "site") < 0.68
        )


@pytest.mark.parametrize("d", [0, 9, -1])
def test_dimensions_without_a_threshold_are_refused(d):
    with pytest.raises(ValueError, match=rf"dimension must be in \[1, 8\]; got {d}"):
        literature.hypercubic_threshold(d)
    with pytest.raises(ValueError, match=rf"dimension must be in \[1, 8\]; got {d}"):
        literature.threshold_source(d)
    if d < 2:
        with pytest.raises(ValueError, match=r"dimension must be in \[2, inf\]"):
            literature.critical_exponents(d)
    else:
        assert literature.critical_exponents(d).fractal_dimension == 4.0
