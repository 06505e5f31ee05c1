"""Elimination against brute force in plain Python, and against the law of the samples it needs."""

import itertools
import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.laws.sparse_parity import parity_samples, unknown_parity
from percolaw.learners.subset_elimination import eliminate


def brute_force(bits, label, size):
    subsets = list(itertools.combinations(range(bits.shape[1]), size))
    left = [len(subsets)]
    for m in range(len(label)):
        subsets = [s for s in subsets if bits[m, list(s)].sum() % 2 == label[m]]
        left.append(len(subsets))
    return left, subsets


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("n", [5, 40, 130])
def test_brute_force(size, n):
    """Few samples leave many; the number of samples crosses words."""
    rng = np.random.default_rng(n + size)
    bits = rng.integers(0, 2, (n, 12))
    label = bits[:, rng.choice(12, size, replace=False)].sum(axis=1) % 2
    left, subsets = brute_force(bits, label, size)
    result = eliminate(bits, label, size)
    assert result.consistent.tolist() == left
    assert tuple(result.subset) in subsets
    assert result.n_needed == (left.index(1) if left[-1] == 1 else None)


def test_a_bit_that_a_later_word_decides():
    """Two columns that differ in sample 100 alone."""
    bits = np.random.default_rng(0).integers(0, 2, (120, 6))
    bits[:, 5] = bits[:, 0]
    bits[100, 5] ^= 1
    result = eliminate(bits, bits[:, [0, 1]].sum(axis=1) % 2, 2)
    assert result.n_needed == 101


def test_the_law_of_the_samples_needed():
    """Their mean, and the share of tasks not known after m; a learner with half the subsets fails it."""
    rng, n_subsets = np.random.default_rng(1), math.comb(14, 3)
    needed = []
    for _ in range(400):
        bits = rng.integers(0, 2, (60, 14))
        needed.append(eliminate(bits, bits[:, :3].sum(axis=1) % 2, 3).n_needed)
    mean, error = mean_and_error(needed)
    assert_close(mean, parity_samples(n_subsets), error)
    assert_far(mean, parity_samples(n_subsets / 4), error)
    unknown = unknown_parity(np.arange(30), n_subsets)
    for m in (8, 10, 12):
        share = np.mean(np.array(needed) > m)
        assert_close(share, unknown[m], math.sqrt(unknown[m] * (1 - unknown[m]) / 400))


def test_mistakes_are_refused():
    bits = np.eye(4)
    for call, match in (
        (lambda: eliminate(2 * bits, np.zeros(4), 2), "0 and 1"),
        (lambda: eliminate(bits, np.zeros(3), 2), "label"),
        (lambda: eliminate(bits, np.zeros(4), 5), "subset_size"),
        (lambda: eliminate(bits, [1, 1, 1, 1], 2), "noisy"),
        (lambda: eliminate(np.zeros((2, 1000)), [0, 0], 6), "fewer bits"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
