"""Where a measured curve is least: smoothed, and by the parabola through the lowest points."""

from __future__ import annotations

import numpy as np

from percolaw.scaling.fit import FloatArray


def smoothed(curve: FloatArray) -> FloatArray:
    """Return a positive curve averaged geometrically with its neighbours, weights 1, 2, 1; ends stay."""
    logs = np.log(curve)
    out = logs.copy()
    out[1:-1] = 0.25 * logs[:-2] + 0.5 * logs[1:-1] + 0.25 * logs[2:]
    return np.asarray(np.exp(out))


def least_at(size: FloatArray, loss: FloatArray) -> float:
    """Return where a curve is least: the vertex of the parabola through its lowest point and neighbours.

    The parabola is one of log loss against log size.

    Parameters
    ----------
    size : array, shape (n,), rising, positive
    loss : array, shape (n,)
        Positive; those that are NaN or infinite are left out.

    Returns
    -------
    float
        Between the neighbours of the lowest point; at the ends the end itself; NaN without a finite loss.
    """
    usable = np.isfinite(loss)
    if not usable.any():
        return float("nan")
    x, y = np.log(size[usable]), np.log(loss[usable])
    i = int(np.argmin(y))
    if i in (0, x.size - 1):
        return float(np.exp(x[i]))
    curve = np.polyfit(x[i - 1 : i + 2], y[i - 1 : i + 2], 2)
    vertex = -curve[1] / (2.0 * curve[0]) if curve[0] > 0.0 else x[i]
    return float(np.exp(np.clip(vertex, x[i - 1], x[i + 1])))
