"""Losses of clusters of known weights, at small and at large sizes, and samples of the clusters."""

import numpy as np

from percolaw.analysis.prediction import mean_losses, predictors

SMALL, LARGE = np.array([30, 60, 120, 240, 480, 960, 2000]), np.array([4000, 8000, 16_000])
SHARE = np.concatenate([[0.4], np.full(30, 0.02)])


def zipf(n_clusters, power):
    share = np.arange(1.0, n_clusters + 1) ** -power
    return share / share.sum()


def losses(share, size, scale, exponent):
    return np.maximum(np.outer(size, share) / scale, 1.0) ** -exponent @ share


def predicted(evidence, curve, sizes):
    """Each form at larger sizes, from the mean losses of a curve."""
    forms = predictors(evidence, curve.size.astype(float), np.asarray(sizes, dtype=float))
    return {name: form(mean_losses(curve.loss)[0]) for name, form in forms.items()}


def sample(share, n, seed=0):
    return np.random.default_rng(seed).choice(share.size, n, p=share)
