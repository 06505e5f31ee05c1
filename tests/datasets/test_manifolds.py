"""Manifolds: their laws, truths and products."""

import math

import numpy as np
import pytest
from scipy.stats import kstest
from statistical import P_FLOOR, assert_close, assert_far, mean_and_error

from percolaw.datasets.manifolds import MANIFOLDS, make_manifold


def points_of(name, n=20_000, d=2, **options):
    return make_manifold(name, n, d, rng=1, **options).X.astype(float)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_cube(d):
    x = points_of("cube", d=d)
    assert x.shape == (20_000, d)
    for column in x.T:
        assert kstest(column, "uniform").pvalue > P_FLOOR
        assert kstest(column**1.1, "uniform").pvalue < P_FLOOR
    _uncorrelated(x)


def _uncorrelated(x):
    if x.shape[1] > 1:
        correlation = np.corrcoef(x.T) - np.eye(x.shape[1])
        assert np.abs(correlation).max() * math.sqrt(len(x)) < 5


@pytest.mark.parametrize("d", [1, 2, 5])
def test_ball(d):
    x = points_of("ball", d=d)
    assert x.shape == (20_000, d)
    radius = np.linalg.norm(x, axis=1)
    assert radius.max() <= 1 + 1e-6
    assert kstest(radius**d, "uniform").pvalue > P_FLOOR
    assert kstest(radius ** (d + 1), "uniform").pvalue < P_FLOOR
    # E x_i^2 = 1/(d + 2) and no direction preferred.
    for column in x.T:
        assert_close(*_mean_against(column, 0.0))
        assert_close(*_mean_against(column**2, 1 / (d + 2)))
        assert_far(*_mean_against(column**2, 1 / (d + 1)))
    _uncorrelated(x)


def _mean_against(sample, truth):
    mean, error = mean_and_error(sample)
    return mean, truth, error


@pytest.mark.parametrize("d", [1, 2, 6])
def test_sphere(d):
    x = points_of("sphere", d=d)
    assert x.shape == (20_000, d + 1)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    for column in x.T:
        assert_close(*_mean_against(column, 0.0))
        assert kstest(column**2, "beta", args=(0.5, d / 2)).pvalue > P_FLOOR
        assert kstest(column**2, "beta", args=(0.5, (d + 1) / 2)).pvalue < P_FLOOR
    _uncorrelated(x)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_torus(d):
    x = points_of("torus", d=d)
    assert x.shape == (20_000, 2 * d)
    np.testing.assert_allclose(x[:, :d] ** 2 + x[:, d:] ** 2, 1, atol=1e-6)
    angle = np.arctan2(x[:, d:], x[:, :d]) / (2 * math.pi) + 0.5
    for column in angle.T:
        assert kstest(column, "uniform").pvalue > P_FLOOR
        assert kstest(column**1.1, "uniform").pvalue < P_FLOOR
    _uncorrelated(angle)


def test_swiss_roll():
    x = points_of("swiss-roll")
    t = np.hypot(x[:, 0], x[:, 2])
    np.testing.assert_allclose(x[:, 0], t * np.cos(t), atol=2e-5)
    np.testing.assert_allclose(x[:, 2], t * np.sin(t), atol=2e-5)
    assert kstest(x[:, 1] / 21, "uniform").pvalue > P_FLOOR

    def arc(t):
        return 0.5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t))

    low, high = arc(1.5 * math.pi), arc(4.5 * math.pi)
    assert kstest((arc(t) - low) / (high - low), "uniform").pvalue > P_FLOOR
    # Control: scikit-learn's roll is uniform in the angle, hence not on the surface.
    assert kstest((t / math.pi - 1.5) / 3, "uniform").pvalue < P_FLOOR
    assert abs(np.corrcoef(t, x[:, 1])[0, 1]) * math.sqrt(len(x)) < 5


@pytest.mark.parametrize("name", sorted(MANIFOLDS))
def test_manifolds_carry_their_truth_and_rotate_isometrically(name):
    plain = make_manifold(name, 300, 2, rng=4)
    turned = make_manifold(name, 300, 2, 12, rng=4)
    assert plain.truth["dimension"] == turned.truth["dimension"] == 2
    assert turned.X.shape == (300, 12)
    scale = np.abs(plain.X).max()
    x, y = plain.X.astype(float), turned.X.astype(float)
    np.testing.assert_allclose(y @ y.T, x @ x.T, atol=1e-5 * scale**2)
    assert np.linalg.matrix_rank(y, tol=1e-3) == x.shape[1]
    assert np.abs(y).min(axis=0).max() < scale  # and really turned: no column is left empty
    assert (y.std(axis=0) > 0).all()
    for data in (plain, turned):
        assert data.y.std() == pytest.approx(1)
        design = np.column_stack([data.X.astype(float), np.ones(300)])
        assert np.linalg.lstsq(design, data.y, rcond=None)[1].sum() < 1e-8
    again = make_manifold(name, 300, 2, 12, rng=4)
    np.testing.assert_array_equal(again.X, turned.X)
    assert not np.array_equal(make_manifold(name, 300, 2, 12, rng=5).X, turned.X)


def test_product_manifolds():
    data = make_manifold((("sphere", 2), ("cube", 3), ("torus", 1), ("sphere", 2)), 4000, rng=2)
    assert data.truth["dimension"] == 8
    assert data.X.shape == (4000, 3 + 3 + 2 + 3)
    x = data.X.astype(float)
    np.testing.assert_allclose(np.linalg.norm(x[:, :3], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(x[:, 6:8], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(x[:, 8:], axis=1), 1, atol=1e-6)
    _uncorrelated(x)  # equal factors are drawn apart
    assert data.provenance["factors"] == [["sphere", 2], ["cube", 3], ["torus", 1], ["sphere", 2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubes", 10), "unknown manifold 'cubes'.*Did you mean 'cube'"),
        (("cube", 1), "n_samples must be in"),
        (("cube", 10, 0), "intrinsic_dim must be in"),
        (("cube", 10, 5, 4), r"dim must be in \[5, inf\]; got 4"),
        (("sphere", 10, 5, 5), r"dim must be in \[6, inf\]; got 5"),
        (("swiss-roll", 10, 3), "the swiss roll has dimension 2; got 3"),
    ],
)
def test_what_make_manifold_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_manifold(*arguments)
