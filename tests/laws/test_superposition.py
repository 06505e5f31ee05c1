"""Losses of superposed features against simulated toys, and their limits."""

import numpy as np
import pytest

from percolaw.laws.superposition import (
    paired_loss,
    random_directions_loss,
    superposition_exponents,
    unrepresented_loss,
    welch_bound,
)

ACTIVITY = np.arange(1, 31) ** -1.3 / np.sum(np.arange(1, 31) ** -1.3)


def toy_loss(weight, bias, activity, rng, n=200_000):
    """Mean loss of y = max(W W' x + b, 0), and its standard error."""
    x = np.where(
        rng.random((n, activity.size)) < activity, rng.uniform(0, 2, (n, activity.size)), 0
    )
    loss = np.sum((np.maximum(x @ weight @ weight.T + bias, 0.0) - x) ** 2, axis=1)
    return loss.mean(), loss.std() / np.sqrt(n)


@pytest.mark.parametrize("m", [3, 12])
def test_features_left_out_cost_their_variance(m):
    bias = np.where(np.arange(30) < m, 0.0, ACTIVITY)
    loss, error = toy_loss(np.eye(30, m), bias, ACTIVITY, np.random.default_rng(0))
    assert abs(loss - unrepresented_loss(ACTIVITY, m)) < 4 * error
    assert abs(loss - unrepresented_loss(ACTIVITY, m + 1)) > 4 * error
    assert unrepresented_loss(ACTIVITY[::-1], m) == unrepresented_loss(ACTIVITY, m)


@pytest.mark.parametrize("m", [3, 20])
def test_two_features_in_one_dimension(m):
    """Opposite directions, the most frequent with the rarest that is represented."""
    weight = np.eye(30, m)
    for k in range(m, min(2 * m, 30)):
        weight[k, 2 * m - 1 - k if 2 * m <= 30 else m - 1 - (k - m)] = -1.0
    bias = np.where(np.arange(30) < 2 * m, 0.0, ACTIVITY)
    loss, error = toy_loss(weight, bias, ACTIVITY, np.random.default_rng(1))
    assert abs(loss - paired_loss(ACTIVITY, m)) < 4 * error
    few = paired_loss([0.5, 0.3, 0.1, 0.05], 2)
    assert few == pytest.approx(4 / 3 * (0.5 * 0.05 + 0.3 * 0.1))
    assert paired_loss(ACTIVITY, m) < unrepresented_loss(ACTIVITY, m) - 4 * error


def test_random_directions_against_drawn_ones():
    """The best bias of each feature, over many draws of directions."""
    rng, biases, m = np.random.default_rng(2), np.linspace(0.0, 2.0, 41), 10
    table = np.zeros((40, biases.size, 30))
    for draw in table:
        w = rng.standard_normal((30, m))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        x = np.where(rng.random((1500, 30)) < ACTIVITY, rng.uniform(0, 2, (1500, 30)), 0.0)
        z = x @ w @ w.T
        draw[:] = [np.mean((np.maximum(z - c, 0.0) - x) ** 2, axis=0) for c in biases]
    best = table.mean(axis=0).argmin(axis=0)
    losses = np.minimum(table[:, best, np.arange(30)], 4 / 3 * ACTIVITY - ACTIVITY**2).sum(axis=1)
    error = losses.std(ddof=1) / np.sqrt(40)
    law = random_directions_loss(ACTIVITY, m)
    assert abs(losses.mean() - law) < 4 * error
    assert abs(losses.mean() - random_directions_loss(ACTIVITY, 8)) > 4 * error


def test_random_directions_fall_as_one_over_dimensions():
    """Whatever the frequencies, for many dimensions; and never above all features left out."""
    wide = np.full(4000, 1 / 4000)
    steep = np.arange(1, 4001) ** -2.0
    for p in (wide, steep / steep.sum()):
        losses = [random_directions_loss(p, m) for m in (1000, 2000)]
        assert np.log2(losses[0] / losses[1]) == pytest.approx(1.0, abs=0.03)
        assert random_directions_loss(p, 2) <= unrepresented_loss(p, 0)


def test_welch():
    angle = 2 * np.pi * np.arange(5) / 5
    even = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    overlap = (np.sum((even @ even.T) ** 2) - 5) / 20
    assert welch_bound(5, 2) == pytest.approx(overlap)
    assert welch_bound(7, 7) == 0.0


def test_weak_exponent_against_the_sum():
    for a in (2.0, 3.0):
        p = np.arange(1, 400_001) ** -a
        loss = [unrepresented_loss(p / p.sum(), m) for m in (500, 1000)]
        assert np.log2(loss[0] / loss[1]) == pytest.approx(superposition_exponents(a)[0], abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_loss(ACTIVITY, 31), "nothing is superposed"),
        (lambda: random_directions_loss(ACTIVITY, 31), "nothing is superposed"),
        (lambda: random_directions_loss(ACTIVITY, 1), "n_hidden"),
        (lambda: random_directions_loss(np.full(9, 0.5), 3), "sparse"),
        (lambda: unrepresented_loss([0.5, 1.2], 1), "probabilities"),
        (lambda: unrepresented_loss([], 0), "probabilities"),
        (lambda: unrepresented_loss([0.5], 2), "n_represented"),
        (lambda: welch_bound(3, 4), "n_hidden"),
        (lambda: superposition_exponents(1.0), "above 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
