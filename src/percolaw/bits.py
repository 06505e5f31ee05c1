"""Rows of bits, packed 64 in a word."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks

Words: TypeAlias = npt.NDArray[np.uint64]


def packed(bits: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> Words:
    """Return rows of 0 and 1 as words of 64 bits, the first in the lowest place: uint64, (n, n_words)."""
    n, width = bits.shape
    full = np.zeros((n, 8 * -(-width // 64)), dtype=np.uint8)
    by_byte = np.packbits(bits, axis=1, bitorder="little")
    full[:, : by_byte.shape[1]] = by_byte
    return full.view("<u8").astype(np.uint64)


def unpacked(words: Words, n_bits: int) -> npt.NDArray[np.uint8]:
    """Return the bits of words one by one, as `packed` took them.

    Parameters
    ----------
    words : array of uint64, shape (n, n_words)
    n_bits : int

    Returns
    -------
    array of uint8, shape (n, n_bits)
    """
    by_byte = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    return np.unpackbits(by_byte, axis=1, count=n_bits, bitorder="little")


def binary(name: str, values: npt.ArrayLike, ndim: int) -> npt.NDArray[np.uint8]:
    """Return `values` as uint8, or raise ValueError unless all are 0 and 1.

    Parameters
    ----------
    name : str
        What the message calls them.
    values : array of `ndim` dimensions
    ndim : int

    Returns
    -------
    array of uint8
    """
    given = checks.array(name, values)
    if given.ndim != ndim or 0 in given.shape:
        raise ValueError(f"{name} must have {ndim} dimensions, none of them 0; got {given.shape}.")
    if not np.isin(given, (0, 1)).all():
        raise ValueError(f"{name} must be 0 and 1. Signs 1 and -1 become bits by (1 - signs) // 2.")
    return given.astype(np.uint8)
