"""Exponents of curves that are functions."""

import math


def local_exponent(curve, size, step=1e-4):
    """Central difference of log against log; error O(step^2)."""
    up, down = float(curve(size * math.exp(step))), float(curve(size * math.exp(-step)))
    return -(math.log(up) - math.log(down)) / (2 * step)
