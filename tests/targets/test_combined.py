"""Sums and products of teachers are those of their members."""

import numpy as np
from teacher_cases import normal

from percolaw.rng import Streams
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher


def test_sums_and_products_of_their_members():
    x = normal(6, 20, 5)
    streams = Streams(8)
    members = (LinearTeacher(2), FourierTeacher(6, n_outputs=2))
    one, two = (m.sample(5, streams.child(i))(x) for i, m in enumerate(members))
    found = SumTeacher(members, weights=(2.0, -0.5)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, 2 * one - 0.5 * two, rtol=1e-12)
    np.testing.assert_allclose(SumTeacher(members).sample(5, rng=8)(x), one + two, rtol=1e-12)
    found = ProductTeacher(members).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, one * two, rtol=1e-12)
    left = members[0].sample(2, streams.child(0))(x[:, :2])
    right = members[1].sample(3, streams.child(1))(x[:, 2:])
    found = ProductTeacher(members, groups=(2, 3)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, left * right, rtol=1e-12)
    found = SumTeacher(members, groups=(2, 3)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, left + right, rtol=1e-12)
    twice = SumTeacher((LinearTeacher(), LinearTeacher()), weights=(1.0, -1.0)).sample(5, rng=8)
    assert np.abs(twice(x)).max() > 0.1  # equal members are drawn independently
