"""Samples that tell a parity: linear algebra as oracle, and the law of many tasks by drawing."""

import math

import numpy as np
import pytest
from scipy.stats import poisson
from statistical import assert_close, assert_far

from percolaw.laws.quanta import sample_loss
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.laws.sparse_parity import elimination_loss, parity_samples, unknown_parity


def test_the_mean_is_the_sum_of_tails():
    """log2(C - 1) + Euler/log 2 + 1/2, up to a ripple of 1e-5."""
    for subsets in (100, 2024, 161_700):
        expected = math.log2(subsets - 1) + np.euler_gamma / math.log(2) + 0.5
        assert parity_samples(subsets) == pytest.approx(expected, abs=1e-2)
    assert parity_samples(1) == pytest.approx(0.0, abs=1e-9)


def test_many_tasks_by_their_sum():
    """Task by task, without nodes between which anything is interpolated."""
    weight, subsets, m = zipf_weights(0.3, 60), 2024, np.arange(200)
    for d in (0.0, 100.0, 2000.0, 1e5):
        each = poisson.pmf(m, d * weight[:, None]) @ unknown_parity(m, subsets)
        assert elimination_loss(d, 0.3, 60, subsets) == pytest.approx(weight @ each, abs=1e-7)


def test_it_lies_between_sharp_thresholds():
    d = np.geomspace(1e3, 1e5, 5)
    law = elimination_loss(d, 0.4, 500, 161_700)
    assert np.all(sample_loss(d, 0.4, 17, 500) < law)
    assert np.all(law < sample_loss(d, 0.4, 21, 500))


def test_many_tasks_by_drawing():
    rng, weight, d = np.random.default_rng(0), zipf_weights(0.4, 40), 600
    counts = rng.multinomial(d, weight, 4000)
    unknown = rng.random(counts.shape) < unknown_parity(counts, 220)
    loss = (unknown * weight).sum(axis=1)
    law = float(elimination_loss(d, 0.4, 40, 220))
    assert_close(loss.mean(), law, loss.std() / math.sqrt(4000), bias=2e-4)
    assert_far(loss.mean(), float(elimination_loss(d, 0.4, 40, 440)), loss.std() / math.sqrt(4000))


def test_numbers_out_of_range_are_refused():
    for call in (
        lambda: unknown_parity(-1, 10),
        lambda: unknown_parity(1, 0),
        lambda: elimination_loss(-1.0, 0.4, 5, 10),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
