"""What a record keeps of a curve."""

import math

import pytest

from percolaw.experiments import claims
from percolaw.experiments.series import Stored, widenings


def test_what_is_not_known_of_a_claim_is_none():
    unknown = Stored.of(claims.exponent("c", "", 1.0, None, 0.01, rough=2.0))
    assert unknown.interval == (None, None)
    assert unknown.window is None


def test_intervals_over_few_seeds_are_widened_by_student():
    """sqrt(n/(n-1)) t_(n-1)/z at 97.5%: t_2 = 4.3027, t_4 = 2.7764, z = 1.9600."""
    factors = widenings(5)
    assert factors[:2] == (0.0, 0.0)
    assert factors[3] == pytest.approx(math.sqrt(3 / 2) * 4.30265 / 1.95996, rel=1e-5)
    assert factors[5] == pytest.approx(math.sqrt(5 / 4) * 2.77645 / 1.95996, rel=1e-5)
