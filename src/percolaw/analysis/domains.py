"""The null of compact domains: class counts and agreement of the data, and smooth walls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from percolaw.analysis.labelled import LabelledGraph, labelled_graph
from percolaw.rng import RandomLike, as_streams

Ids = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

#: Halvings of the logarithm of the domain size.
_BISECTIONS = 10


@dataclass(frozen=True, eq=False)
class CompactDomains:
    """N5: compact domains of one label each, with the class counts of the data; from `compact_domains`.

    Every class is cut into domains of about `domain_size` sites. They grow side by side from random sites
    along the bonds, breadth first, each as fast as it is large; what is shut in begins anew elsewhere.
    Growth along bonds asks for adjacency alone, so points, strings and graphs have the same null, and
    counts are exact. (Thresholds of a smooth field would give classes an order, each next to two others.)

    Attributes
    ----------
    domain_size : float
        Sites of a domain; a smaller class is one domain.
    agreement : float
        Share of agreeing bonds: of the data.
    reached : float
        The same in a draw. Less than the data's where even one domain for each class is too rough.
    """

    domain_size: float
    agreement: float
    reached: float
    _graph: LabelledGraph = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> Ids:
        """Return new labels, each as often as in the data; stream ``target``."""
        return self._graph.classes[_domains(self._graph, self.domain_size, index, rng)]


def compact_domains(
    n_sites: int, low: Int32, high: Int32, labels: npt.ArrayLike, rng: RandomLike = 0
) -> CompactDomains:
    """Choose the size of domains so that as many bonds agree as in the data.

    Parameters
    ----------
    n_sites : int
    low, high : arrays of int32, shape (n_bonds,)
        Ends of the bonds.
    labels : array of int, shape (n_sites,)
    rng : int, Generator or Streams
        Stream ``target``.

    Returns
    -------
    CompactDomains

    Raises
    ------
    ValueError
        If labels are not one whole number a site, or there is no bond.

    Notes
    -----
    About twelve draws; 20,000 sites with 120,000 bonds take 10 ms each.
    """
    graph = labelled_graph(n_sites, low, high, labels)

    def agreeing(log_size: float) -> float:
        label = _domains(graph, float(np.exp(log_size)), 0, rng)
        return float(np.mean(label[graph.low] == label[graph.high]))

    small, large = 0.0, float(np.log(np.diff(graph.first).max()))
    if agreeing(large) > graph.agreement:
        for _ in range(_BISECTIONS):
            middle = 0.5 * (small + large)
            if agreeing(middle) < graph.agreement:
                small = middle
            else:
                large = middle
    return CompactDomains(float(np.exp(large)), graph.agreement, agreeing(large), graph)


def _domains(graph: LabelledGraph, size: float, index: int, rng: RandomLike) -> Ids:
    """Class of every site, in domains of about `size` sites."""
    from percolaw.kernels.domains import grow_domains

    generator = as_streams(rng).generator("target", 5, index)
    counts, n_sites = np.diff(graph.first), graph.label.size
    parts = np.maximum(1, np.rint(counts / size)).astype(np.int64)
    owner = np.repeat(np.arange(counts.size), parts)
    # Class c of n sites in m domains: n // m each, and one more for the first n % m.
    place = np.arange(owner.size) - np.repeat(np.cumsum(parts) - parts, parts)
    sizes = counts[owner] // parts[owner] + (place < counts[owner] % parts[owner])
    turns = generator.permutation(np.repeat(np.arange(owner.size, dtype=np.int32), sizes))
    order = generator.permutation(n_sites).astype(np.int32)
    domain = np.empty(n_sites, dtype=np.int32)
    grow_domains(graph.indptr, graph.neighbor, turns, order, domain)
    return np.asarray(owner[domain], dtype=np.int64)
