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
    with pytest.raises(ValueError, match=r"unknown kind 'bonds'; .*Did you mean 'bond'"):
        literature.hypercubic_threshold(2, "bonds")
    with pytest.raises(ValueError, match=r"dimension must be in \[2, inf\]; got 1"):
        literature.critical_exponents(1)
