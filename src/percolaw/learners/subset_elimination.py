"""The exact learner of sparse parities: it keeps every subset of bits that agrees with all samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.bits import binary, packed
from percolaw.short import short_repr

IntArray = npt.NDArray[np.int64]

#: Subsets that are tried at most; a billion takes about 10 s.
MOST_SUBSETS = 10**10


@dataclass(frozen=True, eq=False)
class Elimination:
    """What samples of one parity leave of all subsets of bits.

    Attributes
    ----------
    consistent : array of int64, shape (n_samples + 1,)
        Subsets that agree with the first m samples, m = 0, 1, ...
    subset : array of int64
        The one that is left, or one of those that are.
    """

    consistent: IntArray
    subset: IntArray

    __repr__ = short_repr

    @property
    def n_needed(self) -> int | None:
        """Samples after which one subset is left; None if several are."""
        if self.consistent[-1] != 1:
            return None
        return int(np.argmax(self.consistent == 1))


def eliminate(bits: npt.ArrayLike, label: npt.ArrayLike, subset_size: int) -> Elimination:
    """Try every subset of bits against samples of one task; no learner needs fewer samples.

    Parameters
    ----------
    bits : array of 0 and 1, shape (n_samples, n_bits)
    label : array of 0 and 1, shape (n_samples,)
    subset_size : int
        Bits that the label is the parity of.

    Returns
    -------
    Elimination

    Raises
    ------
    ValueError
        If all subsets disagree with some sample, and for more than 10^10 subsets.

    Notes
    -----
    About 5 ns a subset: a wrong one differs within two samples on average, and 64 are compared at once.

    Examples
    --------
    >>> bits = np.random.default_rng(0).integers(0, 2, (30, 12))
    >>> result = eliminate(bits, bits[:, [1, 4]].sum(axis=1) % 2, 2)
    >>> result.consistent[[0, 3, 30]], result.subset, result.n_needed
    (array([66, 13,  1]), array([1, 4]), 10)
    """
    from percolaw.kernels import parity

    rows, labels = binary("bits", bits, 2), binary("label", label, 1)
    if labels.size != rows.shape[0]:
        raise ValueError(f"label must be of {rows.shape[0]} samples; got {labels.size}.")
    n, n_bits = rows.shape
    size = checks.integer("subset_size", subset_size, minimum=1, maximum=n_bits)
    if math.comb(n_bits, size) > MOST_SUBSETS:
        raise ValueError(
            f"there are {math.comb(n_bits, size):.2g} subsets of {size} of {n_bits} bits; at most "
            f"{MOST_SUBSETS:.0e} are tried. Take fewer bits."
        )
    count, survivor = np.zeros(n + 1, dtype=np.int64), np.full(size, -1)
    parity.eliminate(packed(rows.T), packed(labels[None])[0], size, n, count, survivor)
    if count[-1] == 0:
        raise ValueError(
            f"no subset of {size} bits has these labels: they are no parity of {size} bits, or noisy."
        )
    left = np.append(math.comb(n_bits, size), math.comb(n_bits, size) - np.cumsum(count[:-1]))
    return Elimination(left, survivor)
