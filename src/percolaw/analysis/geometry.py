"""Geometry of a sample alone: its dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from percolaw.analysis.sample import Sample


def sample_dimension(sample: Sample) -> tuple[float, float, float] | None:
    """Return the TwoNN dimension of points with its 95% interval; None where there is none.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    (dimension, low, high) or None
        None of strings and graphs, and of points that TwoNN refuses.
    """
    if sample.metric not in ("euclidean", "cosine"):
        return None
    from percolaw.dimension.two_nn import TwoNN

    points: Any = np.asarray(sample.elements)
    try:
        fitted = TwoNN().fit(points)
    except ValueError:
        return None
    value = float(fitted.dimension_)
    error = value / math.sqrt(points.shape[0])
    return value, value - 1.96 * error, value + 1.96 * error
