"""Whether coordinates in float32 still tell neighbouring points apart."""

from __future__ import annotations

import numpy as np

#: Largest rounding of a coordinate allowed, over the difference between neighbours.
COARSEST = 1.0 / 32.0


def check_resolution(extent: float, gap: float, remedy: str) -> None:
    """Refuse coordinates whose rounding in float32 would blur the distances between neighbours.

    Parameters
    ----------
    extent : float
        Size of the largest coordinates.
    gap : float
        Difference between neighbouring points in one coordinate.
    remedy : str
        What to do instead.

    Raises
    ------
    ValueError
        If numbers of size `extent` are rounded to more than 1/32 of `gap`: distances between
        neighbours would be wrong, and some of them 0.
    """
    rounding = float(np.spacing(np.float32(extent)))
    if rounding > COARSEST * gap:
        raise ValueError(
            f"coordinates would reach {extent:.3g}, which float32 holds in steps of {rounding:.2g}, "
            f"but neighbouring points differ by {gap:.2g} in a coordinate: they would run together. "
            + remedy
        )
