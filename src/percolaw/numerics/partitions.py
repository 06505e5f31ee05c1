"""How two partitions of the same points agree, over pairs of points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw import checks


def adjusted_rand(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the adjusted Rand index of two partitions: 1 equal, 0 as random ones of the same sizes.

    Parameters
    ----------
    first, second : array of int, shape (n,)

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For labels of another length.

    Notes
    -----
    Hubert and Arabie 1985. Of two partitions that are both one cluster, or both single samples, it is 1.
    """
    a = checks.array("first", first)
    b = checks.array("second", second)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"both must hold a label for each sample; got {a.shape} and {b.shape}.")
    of_a, of_b = (np.unique(x, return_inverse=True)[1] for x in (a, b))
    both = np.unique(of_a * (of_b.max() + 1) + of_b, return_counts=True)[1]
    pairs = [float(np.sum(c * (c - 1.0))) for c in (both, np.bincount(of_a), np.bincount(of_b))]
    expected = pairs[1] * pairs[2] / max(a.size * (a.size - 1.0), 1.0)
    most = 0.5 * (pairs[1] + pairs[2])
    return 1.0 if most == expected else (pairs[0] - expected) / (most - expected)
