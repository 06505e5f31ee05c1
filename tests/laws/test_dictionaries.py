"""Losses of dictionaries against optimisation, Monte Carlo and the exact split of atoms."""

import numpy as np
import pytest
from scipy.optimize import nnls

from percolaw.laws.allocation import shared_curve_allocation
from percolaw.laws.dictionaries import (
    circle_sparse_loss,
    circle_top_loss,
    dictionary_exponents,
    sphere_top_loss,
)


@pytest.mark.parametrize(("n", "penalty"), [(3, 0.0), (3, 0.3), (5, 0.2), (8, 0.1), (8, 0.85)])
def test_sparse_codes_on_the_circle(n, penalty):
    """Against non-negative least squares, point by point: the penalty is a shift of the target."""
    angle = 2 * np.pi * np.arange(n) / n
    atoms = np.stack([np.cos(angle), np.sin(angle)])
    losses = []
    for a in (np.arange(200) + 0.5) * np.pi / (200 * n):
        x = np.array([np.cos(a), np.sin(a)])
        # |x - A c|^2/2 + penalty sum(c) as one least-squares problem with a row of its own
        weight = 1e-4
        rows = np.vstack([atoms, np.full(n, weight)])
        code = nnls(rows, np.append(x, -penalty / weight), maxiter=10_000)[0]
        losses.append(0.5 * np.sum((x - atoms @ code) ** 2) + penalty * code.sum())
    assert circle_sparse_loss(n, penalty) == pytest.approx(np.mean(losses), abs=2e-5)


def test_excess_on_the_circle_falls_as_the_square():
    loss = np.array([circle_sparse_loss(n, 0.1) for n in (40, 80, 10**6)])
    assert np.log2((loss[0] - loss[2]) / (loss[1] - loss[2])) == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(("n", "dim"), [(1, 2), (4, 2), (5, 3), (300, 3), (50, 8)])
def test_one_atom_on_the_sphere(n, dim):
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(60):
        atoms, x = (rng.standard_normal((m, dim)) for m in (n, 300))
        atoms, x = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (atoms, x))
        errors.append(np.mean(1 - np.maximum((x @ atoms.T).max(axis=1), 0) ** 2))
    error = np.std(errors, ddof=1) / np.sqrt(60)
    assert abs(np.mean(errors) - sphere_top_loss(n, dim)) < 4.5 * error + 1e-12


def test_even_atoms_beat_random_ones():
    assert np.all(circle_top_loss([3, 8, 100]) < [sphere_top_loss(n, 2) for n in (3, 8, 100)])
    ratio = sphere_top_loss(4000, 3) / sphere_top_loss(8000, 3)
    assert np.log2(ratio) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (0.5, 1.0), (2.0, 1.0)])
def test_exponents_against_the_exact_split(alpha, beta):
    """The local exponents approach the formulas from one side as N grows."""
    ends = np.unique(np.geomspace(1, 1e8, 2500).round())
    count = np.diff(ends)
    weight = np.sqrt(ends[:-1] * (ends[1:] - 1)) ** -(1 + alpha)  # bins of like weight
    size = np.unique(np.geomspace(1, 1e6, 300).round())
    curve = np.append(1.0, size**-beta)
    loss, features = dictionary_exponents(alpha, beta)
    budgets = [1e4, 1e5, 1e6]
    split = [
        shared_curve_allocation(n, weight, np.append(0.0, size), curve, count) for n in budgets
    ]
    number = [count[s.degrees_of_freedom > 0].sum() for s in split]
    local_features = np.diff(np.log10(number))
    assert local_features[-1] == pytest.approx(features, abs=0.06)
    local_loss = -np.diff(np.log10([s.loss for s in split]))
    assert local_loss[-1] == pytest.approx(loss, abs=0.12)
    wrong = dictionary_exponents(beta, alpha)[1]
    assert alpha == beta or abs(local_features[-1] - wrong) > 0.1


def test_numbers_out_of_range_are_refused():
    for call in (
        lambda: circle_sparse_loss(2, 0.1),
        lambda: circle_sparse_loss(3, 0.6),
        lambda: circle_top_loss([1]),
        lambda: sphere_top_loss(0, 3),
        lambda: dictionary_exponents(0.0, 1.0),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
