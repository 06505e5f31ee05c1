"""Planes through data and through the origin, and their images."""

import numpy as np
import pytest
from statistical import assert_close, mean_and_error
from teacher_cases import normal

import percolaw
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.relu import (
    ReluTeacher,
)
from percolaw.targets.slices import data_slice, origin_slice


def frame(s):
    """Centre and unit vectors of a slice, from its corner points alone."""
    n = s.axis.size
    width = s.axis[-1] - s.axis[0]
    e1 = (s.points[n - 1] - s.points[0]) / width
    e2 = (s.points[n * (n - 1)] - s.points[0]) / width
    return (s.points[0] + s.points[-1]) / 2, e1, e2


@pytest.mark.parametrize("d", [2, 3, 30])
@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
def test_plane_goes_through_its_three_points(d, margin):
    data = 4.0 + normal(d, 3, d) * 2.0
    s = data_slice(data, n_pixels=33, margin=margin)
    assert s.points.shape == (33 * 33, d)
    centre, e1, e2 = frame(s)
    np.testing.assert_allclose([e1 @ e1, e2 @ e2, e1 @ e2], [1, 1, 0], atol=1e-10)
    np.testing.assert_allclose(centre + s.marks @ np.stack([e1, e2]), data, atol=1e-10)
    wrong = centre + s.marks[:, ::-1] @ np.stack([e1, e2])
    assert np.abs(wrong - data).max() > 0.1
    side = np.ptp(s.marks, axis=0).max()
    np.testing.assert_allclose(s.axis[-1], side * (0.5 + margin))
    np.testing.assert_allclose(s.axis, -s.axis[::-1])
    middle = (s.marks.max(axis=0) + s.marks.min(axis=0)) / 2
    np.testing.assert_allclose(middle, 0.0, atol=1e-10)


def test_collinear_points_are_refused():
    a, v = normal(0, 2, 7)
    for points in (
        [a, a + v, a + 3 * v],
        [a, a, a + v],
        [a, a + v, a],
        [a, a, a],
        [a + v, a, a - 1e3 * v],
    ):
        with pytest.raises(ValueError, match="lie on one line; choose others"):
            data_slice(np.array(points))
    bent = data_slice(np.array([a, a + v, a + 3 * v + 1e-3 * normal(1, 1, 7)[0]]))
    assert np.all(np.isfinite(bent.points))
    with pytest.raises(ValueError, match="points must have 3 rows; got 4"):
        data_slice(normal(0, 4, 3))
    with pytest.raises(ValueError, match="dim must be in"):
        data_slice(np.array([[0.0], [1.0], [2.0]]))
    with pytest.raises(ValueError, match="non-finite"):
        data_slice(np.array([[0.0, 1], [1, 2], [np.nan, 3]]))


def test_slice_through_the_origin():
    s = origin_slice(9, half_width=2.5, n_pixels=21, rng=3)
    centre, e1, e2 = frame(s)
    np.testing.assert_allclose(centre, 0.0, atol=1e-14)
    np.testing.assert_allclose(s.points[10 * 21 + 10], 0.0, atol=1e-14)
    np.testing.assert_allclose([e1 @ e1, e2 @ e2, e1 @ e2], [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(s.axis, np.linspace(-2.5, 2.5, 21))
    assert s.marks.shape == (0, 2)
    np.testing.assert_array_equal(origin_slice(9, 2.5, 21, rng=3).points, s.points)
    assert np.abs(origin_slice(9, 2.5, 21, rng=4).points - s.points).max() > 0.1
    # A direction at random: its mean square along each axis is 1/d.
    square = [frame(origin_slice(4, n_pixels=2, rng=i))[1][0] ** 2 for i in range(600)]
    mean, error = mean_and_error(square)
    assert_close(mean, 1 / 4, error)
    for bad in ({"dim": 1}, {"dim": 3, "half_width": 0.0}, {"dim": 3, "n_pixels": 1}):
        with pytest.raises(ValueError, match="must be"):
            origin_slice(**bad)


def test_image_has_rows_up_and_columns_right():
    s = data_slice(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), n_pixels=11)
    image = s.image(lambda x: 10 * x[:, 1] + x[:, 0])
    assert image.shape == (11, 11)
    across = 0.5 + s.axis  # the middle of the marks is (1/2, 1/2)
    np.testing.assert_allclose(image, 10 * across[:, None] + across[None, :], atol=1e-12)
    assert np.abs(image.T - image).max() > 1  # control: transposed is wrong
    teacher = ReluTeacher(1, 10).sample(2)
    np.testing.assert_array_equal(s.image(teacher).ravel(), teacher(s.points))
    learner = percolaw.NearestNeighbors().fit(normal(0, 30, 2), normal(1, 30, 1)[:, 0])
    assert s.image(learner.predict).shape == (11, 11)


def test_image_refuses_wrong_functions():
    s = origin_slice(3, n_pixels=5)
    two = LinearTeacher(2).sample(3)
    with pytest.raises(ValueError, match=r"one number a point, shape \(25,\); got \(25, 2\).*Pick"):
        s.image(two)
    assert s.image(lambda x: two(x)[:, 0]).shape == (5, 5)
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        s.image(lambda x: x[0])
    with pytest.raises(ValueError, match="NaN or infinity on the slice"):
        s.image(lambda x: np.full(25, np.inf))
    with pytest.raises(ValueError, match=r"takes points of shape \(n, 4\)"):
        s.image(LinearTeacher().sample(4))
