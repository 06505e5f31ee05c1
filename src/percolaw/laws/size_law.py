"""Laws of cluster sizes with a power-law tail: windows, and exact samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Sizes summed one by one by `window_probability` before the sum becomes an integral.
_EXACT_SIZES = 1 << 14
#: Largest size that windows of laws begin or end at.
_LARGEST_SIZE = 1 << 62
#: Memory of `SizeLaw.sample`, bytes a size.
_SAMPLE_BYTES = 220.0


def yule_size_law(new_cluster_probability: float = 1.0 / 3.0) -> SizeLaw:
    """Return the size law of the Simon/Yule process, P(s) = rho B(s, rho + 1).

    Every new site starts a cluster with probability a, else joins that of a random earlier site;
    rho = 1/(1 - a). The tail exponent is 1 + rho: 5/2 at a = 1/3, as for n_s of the critical Bethe
    lattice but with other amplitudes, P(s) = .6, .171, .0762, ... and mean 3.

    Raises
    ------
    ValueError
        If a is not strictly between 0 and 1.
    """
    a = checks.real("new_cluster_probability", new_cluster_probability, minimum=0.0, maximum=1.0)
    if not 0.0 < a < 1.0:
        raise ValueError(f"new_cluster_probability must lie strictly between 0 and 1; got {a}.")
    rho = 1.0 / (1.0 - a)

    def log_probability(size: npt.ArrayLike) -> FloatArray:
        from scipy.special import betaln

        return np.asarray(math.log(rho) + betaln(checked_sizes(size), rho + 1.0))

    return SizeLaw("yule", log_probability, rho + 1.0, math.inf)


@dataclass(frozen=True)
class SizeLaw:
    """A law of cluster sizes with a power-law tail, and an exact sampler of it.

    Attributes
    ----------
    name : str
        "site", "cluster" or "yule".
    log_probability : callable
        Maps sizes, an array of integers >= 1, to the natural logarithms of their probabilities.
    tail_exponent : float
        Exponent of the size law's density, size^-tail_exponent below the cutoff.
    cutoff_size : float
        Size of the exponential cutoff, infinite at criticality.
    """

    name: str
    log_probability: Any
    tail_exponent: float
    cutoff_size: float

    def probability(self, size: npt.ArrayLike) -> FloatArray:
        """Return the probability of each size, float64 of the shape of `size`."""
        return np.exp(self.log_probability(size))

    def window_probability(self, min_size: int, max_size: float) -> float:
        """Return the probability of min_size <= size <= max_size.

        Parameters
        ----------
        min_size : int
            From 1 to 2^62.
        max_size : int or inf
            Included as `min_size` is; 0 is returned where it is below.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            For ends below 1 or finite and beyond 2^62.
        """
        return window_probability(self.log_probability, min_size, max_size, self.cutoff_size)

    def sample(
        self, n: int, min_size: int, max_size: int, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draw independent sizes from the law restricted to a window, exactly.

        Rejection from the discrete Pareto law with survival s^(1 - tail_exponent), which is drawn
        by inversion.

        Parameters
        ----------
        n : int
            Number of sizes, >= 0.
        min_size, max_size : int
            The window, both ends included; at most 2^62.
        generator : numpy.random.Generator
            Advanced by a number of draws that depends on how many are rejected.

        Returns
        -------
        array of int64, shape (n,)

        Raises
        ------
        ValueError
            If the window is empty or has probability 0, or more than about 10000 tries a size are needed.
        ResourceError
            If the work arrays, 220 bytes a size, would not fit into memory.

        Notes
        -----
        About two tries a size at criticality, O(n) time.
        """
        n = checks.integer("n", n, minimum=0)
        low = checks.integer("min_size", min_size, minimum=1)
        high = checks.integer("max_size", max_size, minimum=low)
        _check_end(high)
        checks.memory(_SAMPLE_BYTES * n, f"{n} sizes", "Ask for fewer at a time.")
        power = self.tail_exponent - 1.0
        # Largest ratio law/proposal over the window: each size up to 4096 above the lower end,
        # then a geometric grid; the ratio is smooth and monotone there.
        grid = np.unique(
            np.concatenate(
                [
                    np.arange(low, min(high, low + 4096) + 1, dtype=np.float64),
                    np.floor(np.geomspace(low, high, 512)),
                ]
            )
        )
        log_ratio = self.log_probability(grid) - _log_pareto(grid, power)
        bound = float(np.max(log_ratio)) + 1e-9
        if not math.isfinite(bound):
            raise ValueError(
                f"sizes {low}..{high} have probability 0 under this law; widen the window."
            )
        u_low = float(low) ** -power
        u_high = float(high + 1) ** -power
        out = np.empty(n, dtype=np.int64)
        filled = 0
        tries = 0
        while filled < n:
            batch = max(64, 2 * (n - filled))
            u = u_high + (u_low - u_high) * generator.random(batch)
            size = np.clip(np.floor(u ** (-1.0 / power)), low, high)
            accept = np.log(generator.random(batch)) < (
                self.log_probability(size) - _log_pareto(size, power) - bound
            )
            kept = size[accept][: n - filled].astype(np.int64)
            out[filled : filled + kept.size] = kept
            filled += kept.size
            tries += batch
            if tries > 10_000 * (n + 100):
                raise ValueError(
                    f"sizes {low}..{high} are too rare under this law to sample "
                    f"(cutoff at {self.cutoff_size:.3g}). Lower min_size or move p towards p_c."
                )
        return out


def _log_pareto(size: FloatArray, power: float) -> FloatArray:
    """log of s^-power - (s + 1)^-power, without cancellation."""
    s = np.asarray(size, dtype=np.float64)
    return np.asarray(-power * np.log(s) + np.log(-np.expm1(-power * np.log1p(1.0 / s))))


def window_probability(
    log_probability: Any, min_size: int, max_size: float, cutoff: float
) -> float:
    """Return the probability of min_size <= size <= max_size under a law.

    The first 16384 sizes are summed, the rest is an integral.

    Parameters
    ----------
    log_probability : callable
        Maps an array of sizes to the natural logarithms of their probabilities.
    min_size : int
        From 1 to 2^62.
    max_size : int or inf
        Included as `min_size` is; 0 is returned where it is below.
    cutoff : float
        Size beyond which the law falls exponentially; inf for a power law.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For ends below 1 or finite and beyond 2^62.
    """
    low = checks.integer("min_size", min_size, minimum=1)
    _check_end(low)
    if max_size != math.inf:
        max_size = checks.integer("max_size", max_size, minimum=1)
        _check_end(max_size)
    if max_size < low:
        return 0.0
    exact_end = min(low + _EXACT_SIZES - 1, max_size)
    total = float(np.sum(np.exp(log_probability(np.arange(low, exact_end + 1)))))
    if exact_end == max_size:
        return total
    # Midpoint rule backwards: the sum over s > a is the integral from a + 1/2, up to O(a^-2).
    from numpy.polynomial.legendre import leggauss

    node, weight = leggauss(40)
    end = min(float(max_size) + 0.5, 60.0 * cutoff + exact_end, 1e18 * exact_end)
    edges = np.geomspace(exact_end + 0.5, end, max(2, int(4 * math.log10(end / exact_end)) + 2))
    log_size = 0.5 * (
        np.log(edges[1:, None] * edges[:-1, None]) + np.log(edges[1:] / edges[:-1])[:, None] * node
    )
    size = np.exp(log_size)
    density = np.exp(_continuous(log_probability, size)) * size
    total += float(np.sum(density * weight * 0.5 * np.log(edges[1:] / edges[:-1])[:, None]))
    return total


def _check_end(size: float) -> None:
    if size > _LARGEST_SIZE:
        raise ValueError(f"windows of sizes end at 2^62 or math.inf; got {size:g}.")


def _continuous(log_probability: Any, size: FloatArray) -> FloatArray:
    """Evaluate a size law between integers: its smooth form interpolated by nearest integers."""
    floor = np.floor(size)
    low, high = log_probability(floor), log_probability(floor + 1.0)
    with np.errstate(invalid="ignore"):
        between = low + (high - low) * (size - floor)
    return np.where(np.isfinite(low) & np.isfinite(high), between, -np.inf)


def checked_sizes(size: npt.ArrayLike) -> FloatArray:
    """Return sizes as float64 of the same shape, checked to be integers >= 1.

    Raises
    ------
    ValueError
        For any other numbers.
    """
    s = checks.float_array("size", size)
    if not np.all((s >= 1) & (s == np.floor(s)) & np.isfinite(s)):
        raise ValueError("size must hold integers >= 1.")
    return s
