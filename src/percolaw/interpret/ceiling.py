"""How well latents can be known at all: their posterior given every label, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LatentPosterior:
    """What the labels of some sites tell of the normals of all latents.

    Attributes
    ----------
    mean : array of float64, shape (n_latents,)
        Posterior means: the best guess of each normal.
    variance : array of float64, shape (n_latents,)
        Posterior variances; 1 where the labels tell nothing.
    """

    mean: FloatArray
    variance: FloatArray

    __repr__ = short_repr

    def ceiling(self, latents: npt.ArrayLike) -> float:
        """Return the largest mean R^2 with which these latents can be guessed: 1 less mean variance.

        Raises
        ------
        ValueError
            For latents that are not there, or none.
        """
        ids = checks.site_ids("latents", latents, self.variance.size)
        if not ids.size:
            raise ValueError("latents is empty; name at least one.")
        return float(1.0 - self.variance[ids].mean())


def latent_posterior(
    merges: MergeTree,
    values: npt.ArrayLike,
    sites: npt.ArrayLike | None = None,
    *,
    normalized: bool = True,
) -> LatentPosterior:
    """Return the posterior of every latent's normal given labels of a hierarchical function, exactly.

    The normals are independent of the points given the hierarchy, so that a representation learned from
    points and labels knows them through the labels alone: no probe, split by latents, has a larger R^2
    in the mean than `LatentPosterior.ceiling`.

    Parameters
    ----------
    merges : MergeTree
    values : array of float, shape (m,)
        Labels of the sites as `HierarchicalFunction(standardized=False)` draws them. Standardised ones
        tell a little less: shift and scale of the cluster are lost.
    sites : array of int, shape (m,), optional
        Sites whose labels are known, each once; all of them if left out.
    normalized : bool
        Whether the function divided by the root of its number of terms.

    Returns
    -------
    LatentPosterior

    Raises
    ------
    ValueError
        For another number of values than of sites, sites named twice, values that are not finite.
    ResourceError
        If it would not fit into memory: 100 bytes a site.

    Notes
    -----
    Sums of normals along the paths from the root are a walk on the hierarchy whose ends are known: one
    pass up and one down, O(n_sites).
    """
    from percolaw.kernels import coalescent as kernels

    n = merges.n_sites
    checks.memory(100.0 * n, f"the posterior of {merges.n_latents} latents", "Use fewer sites.")
    ids = checks.site_ids("sites", np.arange(n) if sites is None else sites, n)
    y = checks.finite_array("values", values, ndim=1, length=ids.size)
    if np.unique(ids).size < ids.size:
        raise ValueError("sites holds a site twice; name each once.")
    terms = np.sqrt(merges.n_ancestors()[ids] + 1.0) if normalized else 1.0
    node = merges.site_node(ids)
    total = np.zeros(merges.nodes.n_sites)
    is_known = np.zeros(merges.nodes.n_sites, dtype=np.bool_)
    total[node], is_known[node] = y * terms, True
    mean, variance = np.empty((2, merges.nodes.n_sites))
    kernels.posterior(merges.nodes.parent, total, is_known, mean, variance)
    return LatentPosterior(merges.of_latents(mean), merges.of_latents(variance))
