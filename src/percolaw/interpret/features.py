"""Context, component, surface: where the variance of a representation lies (Brill 2025).

Which cluster a point is in is its context; where it is inside the cluster its component; what of a
representation differs between points of one place is its surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.structure import Ids

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FeatureShares:
    """Shares of the variance of a representation; their sum is 1.

    Attributes
    ----------
    context : float
        Between clusters.
    component : float
        Between parts of one cluster.
    surface : float
        Inside the parts.
    """

    context: float
    component: float
    surface: float

    @classmethod
    def of(
        cls, part: npt.ArrayLike, cluster: npt.ArrayLike, anywhere: npt.ArrayLike
    ) -> FeatureShares:
        """Return the shares of squared differences between sites and others of the same places.

        Parameters
        ----------
        part, cluster, anywhere : array of float, shape (m,)
            Of any quantity, measured or expected, as `FeaturePairs` pairs the sites.

        Returns
        -------
        FeatureShares

        Raises
        ------
        ValueError
            If nothing differs.
        """
        inside, within, total = (
            float(np.asarray(squares, dtype=np.float64).mean())
            for squares in (part, cluster, anywhere)
        )
        if not total > 0.0:
            raise ValueError(
                "all points have the same activations (dead units?): there is no variance to share out. "
                "Take a layer that is in use."
            )
        return cls(1.0 - within / total, (within - inside) / total, inside / total)

    @property
    def component_r2(self) -> float:
        """R^2 inside clusters of guessing activations by the mean of the others of the same part."""
        within = self.component + self.surface
        return self.component / within if within > 0.0 else 0.0


@dataclass(frozen=True, eq=False)
class FeaturePairs:
    """Sites, and for each of them another one of its part, of its cluster, and of all.

    The mean squared difference of two values is twice their variance, so that these pairs share out the
    variance of whatever is known at the sites without a bias: noise has no context and no component,
    however small the parts are.

    Attributes
    ----------
    site, part, cluster, anywhere : array of int64, shape (m,)
        Sites of the hierarchy.
    n_sites : int
        Sites that it has.
    """

    site: Ids
    part: Ids
    cluster: Ids
    anywhere: Ids
    n_sites: int

    __repr__ = short_repr

    def shares(self, activations: npt.ArrayLike) -> FeatureShares:
        """Return the shares of context, component and surface in a representation.

        Parameters
        ----------
        activations : array of float, shape (n_sites, n_units)
            Of every site of the hierarchy, in its order.

        Returns
        -------
        FeatureShares

        Raises
        ------
        ValueError
            For activations of another length or not finite, and such as are the same everywhere.
        """
        x = checks.finite_array("activations", activations, ndim=2)
        if x.shape[0] != self.n_sites or not x.shape[1]:
            raise ValueError(
                f"activations must have a row for each of the {self.n_sites} sites, and a unit; got "
                f"{x.shape}. For a sample of sites take feature_pairs(merges.restrict(sites))."
            )
        here = x[self.site]
        return FeatureShares.of(
            *(
                np.sum((here - x[other]) ** 2, axis=1)
                for other in (self.part, self.cluster, self.anywhere)
            )
        )


def feature_pairs(
    merges: MergeTree, share: float = 1.0 / 16.0, rng: RandomLike = 0
) -> FeaturePairs:
    """Pair sites with others of the same place: of their part, their cluster, and of all.

    Parts are the largest latents with at most a share of their cluster's sites. Sites that are alone in
    their part are left out.

    Parameters
    ----------
    merges : MergeTree
        Take `MergeTree.restrict` for a sample of sites.
    share : float
        In (0, 1].
    rng : int, Generator or Streams
        Stream ``split``.

    Returns
    -------
    FeaturePairs

    Raises
    ------
    ValueError
        For a share out of range, and if every site is alone in its part.

    Notes
    -----
    O(n_sites).

    Examples
    --------
    >>> from percolaw.clusters.coalescent import merge_tree
    >>> from percolaw.clusters.conditioned import conditioned_clusters
    >>> merges = merge_tree(conditioned_clusters([500, 300, 200]), rng=0)
    >>> pairs = feature_pairs(merges)
    >>> noise = np.random.default_rng(0).standard_normal((1000, 50))
    >>> pairs.shares(noise).surface > 0.95
    True
    """
    most = checks.real("share", share, minimum=0.0, maximum=1.0)
    size, start = merges.sizes(), merges.start
    cluster = np.repeat(np.arange(start.size - 1), np.diff(start) - 1)
    limit = most * np.diff(start)[cluster]
    above = merges.parent_sizes()
    part = np.flatnonzero((size <= limit) & ((above == 0) | (above > limit)))
    if not part.size:
        raise ValueError(
            f"parts of a share {most:g} of their cluster hold no two of the {merges.n_sites} sites. "
            "Take a larger share or more sites."
        )
    first, stop = merges.first[part].astype(np.int64), merges.stop[part].astype(np.int64)
    many = stop - first
    place = np.arange(many.sum()) + np.repeat(first - (np.cumsum(many) - many), many)
    of_cluster = np.searchsorted(start, place, side="right") - 1
    generator = as_streams(rng).generator("split")

    def other(low: Ids | int, high: Ids | int) -> Ids:
        """Another place of each interval."""
        drawn = low + np.floor(generator.random(place.size) * (np.subtract(high, low) - 1))
        return np.asarray(drawn + (drawn >= place), dtype=np.int64)

    order = merges.order.astype(np.int64)
    return FeaturePairs(
        order[place],
        order[other(np.repeat(first, many), np.repeat(stop, many))],
        order[other(start[of_cluster], start[of_cluster + 1])],
        order[other(0, merges.n_sites)],
        merges.n_sites,
    )
