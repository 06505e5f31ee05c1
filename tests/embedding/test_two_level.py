"""The published two-level scheme: radii, shapes, grafts."""

import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.embedding.two_level import two_level_cloud


def mean_distance(n):
    """Mean distance of two iid sites of a uniform tree: the first repeat of n birthdays."""
    return float(np.cumprod(1 - np.arange(1, n + 1) / n).sum())


def squares(n_coarse, n_fine, size, repeats, **options):
    """Mean square of radii, and of distances from the first graft to others, of clouds in d = 6."""
    radius, distance = [], []
    for seed in range(repeats):
        cloud = two_level_cloud(n_coarse, n_fine, size, 6, seed, **options)
        x = cloud.points.astype(float)
        radius.append((x**2).sum(axis=1).mean())
        first = x.reshape(n_coarse, n_fine, -1)[:, 0]
        distance.append(((first[1:] - first[0]) ** 2).sum(axis=1).mean())
    return radius, distance


def test_two_level_radius():
    # Each level contributes the mean distance of a random site from the root, a random site too:
    # sqrt(pi N/2), so that E |x|^2 = 2 sqrt(pi N/2) without rescaling, not the sqrt(pi/2) N of
    # one tree of N^2 sites; rescaled the coarse level alone has that.
    size = 400
    level = mean_distance(size)
    assert level == pytest.approx(math.sqrt(math.pi * size / 2) - 4 / 3, rel=1e-3)
    radius, distance = squares(6, 4, size, 90)
    mean, error = mean_and_error(radius)
    assert_close(mean, 2 * level, error)
    assert_far(mean, level, error)
    assert_far(mean, mean_distance(size**2), error)
    # Points of two grafts are as far apart as the grafts' sites, and each as far again from its own.
    mean, error = mean_and_error(distance)
    assert_close(mean, 3 * level, error)
    assert_far(mean, 2 * level, error)
    radius, _ = squares(6, 4, size, 90, rescaled=True)
    mean, error = mean_and_error(radius)
    assert_close(mean, (1 + math.sqrt(size)) * level, error)
    assert_far(mean, 2 * level, error)
    assert mean == pytest.approx(mean_distance(size**2), rel=0.25)


def test_two_level_cloud_of_single_points_is_spread():
    # One point a fine tree: each is still a random distance away from where its tree was grafted.
    cloud = two_level_cloud(1, 1, 100, 6, 0)
    assert cloud.points.any()


def test_two_level_shapes_and_grafts():
    cloud = two_level_cloud(7, 5, 300, 3, 1)
    assert cloud.points.shape == (35, 3)
    assert cloud.points.dtype == np.float32
    np.testing.assert_array_equal(cloud.graft, np.repeat(np.arange(7), 5))
    again = two_level_cloud(7, 5, 300, 3, 1)
    np.testing.assert_array_equal(cloud.points, again.points)
    stretched = two_level_cloud(7, 5, 10_000, 3, 1, rescaled=True)
    centres = stretched.points.reshape(7, 5, 3).mean(axis=1)
    within = stretched.points.reshape(7, 5, 3).std(axis=1).mean()
    assert centres.std() > 3 * within  # the coarse level is 10 times wider


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 10, 3), "n_coarse_points must be in"),
        ((1, 0, 10, 3), "n_fine_points must be in"),
        ((1, 1, 0, 3), "level_size must be in"),
        ((1, 1, 10, 0), "dim must be in"),
    ],
)
def test_what_the_two_level_scheme_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_level_cloud(*arguments)
