"""Mass-radius dimension: how many sites lie within a distance, on trees, any graph, or in space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MassRadius:
    """Mean mass within r of random centres.

    Attributes
    ----------
    radius, mass : arrays, shape (n_radii,)
    dimension : float
        Slope of log mass against log radius; 2 for chemical distance on a critical tree, 4 in the
        embedding, where distances are square roots.
    standard_error : float
        Jackknife over centres.
    """

    radius: FloatArray
    mass: FloatArray
    dimension: float
    standard_error: float

    __repr__ = short_repr


def mass_radius(
    distances: Iterable[npt.ArrayLike], low: float, high: float, n_radii: int = 12
) -> MassRadius:
    """Fit mass ~ r^D between two radii.

    Parameters
    ----------
    distances : iterable of array, shape (n_sites,)
        Distances from one centre to all sites, one array a centre: for a tree,
        ``tree.nearest([centre])[0]`` gives them, of one cluster. Only one is held at a time.
    low, high : float
        Window of radii: above the size of a step, below the size of the cluster.
    n_radii : int
        Radii, geometric.

    Returns
    -------
    MassRadius

    Raises
    ------
    ValueError
        With fewer than 2 centres, for distances that are negative, NaN or not 1-D, and if no
        site lies within `low` of a centre.
    """
    bottom = checks.real("low", low, minimum=1e-300)
    top = checks.real("high", high, minimum=2.0 * bottom)
    radius = np.geomspace(bottom, top, checks.integer("n_radii", n_radii, minimum=3))
    rows = []
    for given in distances:
        distance = checks.float_array("an item of distances", given)
        if distance.ndim != 1 or not (distance >= 0).all():
            raise ValueError(
                f"each item of distances must be a 1-D array, not negative, no NaN; got {distance.shape}."
            )
        rows.append(np.searchsorted(np.sort(distance), radius, side="right"))
    if len(rows) < 2:
        raise ValueError(f"mass-radius needs at least 2 centres; got {len(rows)}.")
    mass = np.array(rows, dtype=np.float64)
    total, n = mass.sum(axis=0), len(rows)
    if total[0] <= 0.0:
        raise ValueError(f"no site lies within {bottom:g} of a centre; raise `low`.")
    x = np.log(radius)

    def slope(value: FloatArray) -> float:
        return float(np.polyfit(x, np.log(value), 1)[0])

    left_out = np.array([slope(np.maximum(total - row, 1e-300) / (n - 1)) for row in mass])
    error = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
    return MassRadius(radius, total / n, slope(total / n), error)


def fixed_mass_dimension(
    points: npt.NDArray[np.floating], centres: npt.NDArray[np.floating]
) -> float:
    """Return the slope of log mass, 1% to 20% of all points, against the mean log radius that holds it.

    Radii are averaged at fixed mass, where `mass_radius` averages masses at fixed radius: no window of
    radii is needed, and centres in thin parts do not count less.

    Parameters
    ----------
    points : array, shape (n, d)
    centres : array, shape (n_centres, d)
        Some of the points.

    Returns
    -------
    float

    Notes
    -----
    O(n_centres n d) time, in blocks of about 64 centres; 8 n bytes a centre of the block.
    """
    centre = points.mean(axis=0, dtype=np.float64)
    x, around = points - centre, centres - centre
    mass = np.geomspace(0.01, 0.2, 8)
    radii = []
    for block in np.array_split(around, max(1, around.shape[0] // 64)):
        square = (block**2).sum(1)[:, None] + (x**2).sum(1)[None] - 2.0 * block @ x.T
        radii.append(np.sqrt(np.maximum(np.quantile(square, mass, axis=1), 1e-12)))
    mean_log = np.log(np.concatenate(radii, axis=1)).mean(axis=1)
    return float(np.polyfit(mean_log, np.log(mass), 1)[0])
