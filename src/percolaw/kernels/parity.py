"""Parities of a few of many bits: samples of tasks, and the subsets of bits that agree with them.

Bits are packed, 64 in a word: bit j of a sample is bit j % 64 of its word j // 64.
"""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, uniform

_ONE = np.uint64(1)


@compiled(nogil=True)
def draw_tasks(key, first, cumulative, task):
    """Fill `task` (n,) with those of samples number `first` on, by the frequencies' sums (K,)."""
    last = cumulative.size - 1
    for i in range(task.size):
        u = uniform(key, np.uint64(first + i)) * cumulative[last]
        task[i] = min(np.searchsorted(cumulative, u, side="right"), last)


@compiled(nogil=True)
def draw_bits(key, first, existing, words):
    """Fill `words` (n, m) with fair bits of samples number `first` on where `existing` (m,) has 1."""
    n, m = words.shape
    for i in range(n):
        for j in range(m):
            index = np.uint64(first + i) * np.uint64(m) + np.uint64(j)
            words[i, j] = bits(key, index) & existing[j]


@compiled(nogil=True)
def parities(words, mask, task, parity):
    """Fill `parity` (n,) with that of the bits that the mask (K, m) of each sample's task chooses."""
    for i in range(task.size):
        word = np.uint64(0)
        for j in range(words.shape[1]):
            word ^= words[i, j] & mask[task[i], j]
        for shift in (32, 16, 8, 4, 2, 1):
            word ^= word >> np.uint64(shift)
        parity[i] = np.int64(word & _ONE)


@compiled(nogil=True)
def eliminate(column, label, size, n_samples, eliminated, survivor):
    """Count the subsets of `size` bits by the first sample whose parity they get wrong.

    column (n_bits, w) and label (w,) hold the samples, 64 in a word. eliminated (n_samples + 1,) has
    zeros; its last entry counts the subsets that get none wrong, of which survivor (size,) is the last.
    """
    n_bits, n_words = column.shape
    chosen = np.arange(size)
    while True:
        first = n_samples
        for w in range(n_words):
            wrong = label[w]
            for c in chosen:
                wrong ^= column[c, w]
            if wrong:
                first = 64 * w
                while not wrong & _ONE:
                    wrong >>= _ONE
                    first += 1
                break
        eliminated[first] += 1
        if first == n_samples:
            survivor[:] = chosen
        place = size - 1
        while place >= 0 and chosen[place] == n_bits - size + place:
            place -= 1
        if place < 0:
            return
        chosen[place] += 1
        for later in range(place + 1, size):
            chosen[later] = chosen[later - 1] + 1
