"""The decisive null for labels on a graph: as random as class counts and agreement allow.

Labels of maximum entropy, given the number of sites of every class and the number of bonds whose ends
agree, are uniform over all labels that have both. They are drawn here from the Gaussian ensemble
(Challa and Hetherington 1988): class counts exact, and weight exp(J A - (A - A_data)^2 / (2 width^2)),
A the number of agreeing bonds. At any given A it is uniform, whatever J; the width, a quarter of the
square root of the number of bonds, is below 0.1% of them from 60,000 bonds on. Unlike the canonical
ensemble it holds A where no J would: inside a transition of first order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.labelled import LabelledGraph, labelled_graph
from percolaw.analysis.mixing import autocorrelation_time, split_r_hat
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

#: Split R-hat up to which both chains count as met.
LARGEST_R_HAT = 1.1
#: Sweeps before a draw: at least this many, and at most this share of those of a chain.
FEWEST_SWEEPS, LARGEST_SHARE = 10, 0.125
#: States kept of each of the two chains; draws start from them in turn.
N_STATES = 8
#: Annealing from random labels ends at this multiple of the coupling.
_STEEPEST = 4.0
_LARGEST_COUPLING = 40.0
#: Item of the stream ``target``.
_ITEM = 3


@dataclass(frozen=True, eq=False)
class PottsNull:
    """Labels of maximum entropy with the class counts and agreement of the data, from `potts_null`.

    Two chains were run, from the data's labels and from permuted ones; a draw goes on from a state of
    either. Where `r_hat` is above `LARGEST_R_HAT`, or `reached` off `agreement`, draws still remember
    where they began, and a percentile among them proves little.

    Attributes
    ----------
    agreement : float
        Share of the bonds whose ends agree: of the data.
    reached : tuple of float
        Mean share in the chain from the data and in the one from permuted labels.
    coupling : float
        The Potts coupling J that holds this agreement.
    r_hat : float
        Split R-hat (Gelman et al. 2013, section 11.4) of both chains, the larger of two observables:
        largest same-label cluster, and sum of squared sizes. 1 where both sides met in the middle.
    sweeps : int
        Sweeps before each draw: where the budget allows twice the largest integrated autocorrelation time
        of these observables.
    """

    agreement: float
    reached: tuple[float, float]
    coupling: float
    r_hat: float
    sweeps: int
    _graph: LabelledGraph = field(repr=False)
    _states: Int32 = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> Ids:
        """Return new labels; stream ``target``. Draws 2 i and 2 i + 1 come from the two sides."""
        index = checks.integer("index", index, minimum=0)
        label = self._states[index % self._states.shape[0]].copy()
        key = as_streams(rng).key("target", _ITEM, index)
        _sweep(self._graph, label, self.coupling, key, self.sweeps)
        return self._graph.classes[label]


def potts_null(
    n_sites: int,
    low: Int32,
    high: Int32,
    labels: npt.ArrayLike,
    rng: RandomLike = 0,
    *,
    n_sweeps: int = 800,
) -> PottsNull:
    """Prepare labels of maximum entropy with the class counts and the agreement of the data.

    The coupling is found by Robbins and Monro's recursion while one chain leaves the data's labels and
    another, annealed from permuted labels, comes to their agreement; both are then observed.

    Parameters
    ----------
    n_sites : int
    low, high : arrays of int32, shape (n_bonds,)
        Ends of the bonds.
    labels : array of int, shape (n_sites,)
    rng : int, Generator or Streams
        Stream ``target``.
    n_sweeps : int
        Sweeps of each chain before it is observed, and while it is; a draw makes an eighth at most. A
        sweep is n_sites proposals of exchanges and a move of all clusters. Raise it where the chains did
        not meet.

    Returns
    -------
    PottsNull

    Raises
    ------
    ValueError
        If labels are not one whole number a site, or there is no bond.

    Notes
    -----
    A sweep of 20,000 sites and 120,000 bonds takes 4 ms on one core; about 4 `n_sweeps` are made here,
    10 to 100 a draw.

    Source: Challa and Hetherington, PRL 60, 77 (1988), for the ensemble; Swendsen and Wang, PRL 58, 86
    (1987), for cluster moves.
    """
    n_sweeps = checks.integer("n_sweeps", n_sweeps, minimum=20)
    graph = labelled_graph(n_sites, low, high, labels)
    generator = as_streams(rng).generator("target", _ITEM)
    warm, cold = graph.label.copy(), generator.permutation(graph.label)
    keys = iter(generator.integers(2**63, size=8 * n_sweeps, dtype=np.uint64))
    coupling = 0.0
    for t in range(n_sweeps // 4):  # the data's agreement is there from the start: J follows fast
        coupling = _moved(coupling, _sweep(graph, warm, coupling, next(keys)) / (1.0 + t / 10.0))
    _anneal(graph, cold, coupling, n_sweeps // 4, keys)
    path = []
    for t in range(n_sweeps):
        misses = [_sweep(graph, label, coupling, next(keys)) for label in (warm, cold)]
        # A side that is stuck far from the shell must not drag the coupling along.
        miss = float(np.clip(misses, -3.0 / _width(graph), 3.0 / _width(graph)).mean())
        coupling = _moved(coupling, miss / (1.0 + t / 10.0))
        path.append(coupling)
    coupling = float(np.mean(path[n_sweeps // 2 :]))
    seen, states = np.empty((2, n_sweeps, 3)), []
    for t in range(n_sweeps):
        for side, label in enumerate((warm, cold)):
            _sweep(graph, label, coupling, next(keys))
            seen[side, t] = _observe(graph, label)
            if (t + 1) * N_STATES // n_sweeps > t * N_STATES // n_sweeps:
                states.append(label.copy())
    return _judged(graph, coupling, seen, np.array(states))


def _width(graph: LabelledGraph) -> float:
    """Width of the agreement in bonds."""
    return max(1.0, 0.25 * float(np.sqrt(graph.low.size)))


def _observe(graph: LabelledGraph, label: Int32) -> FloatArray:
    """Agreeing bonds, the largest same-label cluster, and the sum of the squares of their sizes."""
    from percolaw.kernels.potts import same_label

    root = np.empty(label.size, dtype=np.int32)
    return np.array(same_label(graph.low, graph.high, label, root), np.float64)


def _sweep(
    graph: LabelledGraph,
    label: Int32,
    coupling: float,
    key: np.uint64,
    count: int = 1,
    free: bool = False,
) -> float:
    """Change labels in place; return by how much the agreement misses the data's, in widths squared."""
    from percolaw.kernels.potts import sweeps

    width = _width(graph)
    agreeing = sweeps(
        *(graph.indptr, graph.neighbor, graph.low, graph.high, label, graph.first, coupling),
        *(float(graph.n_agreeing), 1e9 * width if free else width),
        *(int(np.count_nonzero(label[graph.low] == label[graph.high])), key, count),
    )
    return float((agreeing - graph.n_agreeing) / width**2)


def _moved(coupling: float, miss: float) -> float:
    """A step of Robbins and Monro: A misses the data's by about width^2 (J - J_data)."""
    step = float(np.clip(miss, -1.0, 1.0))
    return float(np.clip(coupling - step, -_LARGEST_COUPLING, _LARGEST_COUPLING))


def _anneal(
    graph: LabelledGraph, label: Int32, coupling: float, n_sweeps: int, keys: Iterator[np.uint64]
) -> None:
    """Raise the coupling from 0 until the agreement of the data is passed."""
    for t in range(int(_STEEPEST * n_sweeps)):
        if _sweep(graph, label, coupling * (t + 1) / n_sweeps, next(keys), free=True) >= 0.0:
            return


def _judged(graph: LabelledGraph, coupling: float, seen: FloatArray, states: Int32) -> PottsNull:
    """Whether both chains met, (2, n_sweeps, 3) observations, and how long a draw must go on."""
    agreeing = seen[:, :, 0].mean(axis=1)
    sizes = [seen[:, :, k] for k in (1, 2)]
    r_hat = max(split_r_hat(chains) for chains in sizes)
    time = max(autocorrelation_time(chain) for chains in sizes for chain in chains)
    sweeps = int(max(FEWEST_SWEEPS, min(np.ceil(2.0 * time), LARGEST_SHARE * seen.shape[1])))
    return PottsNull(
        agreement=graph.agreement,
        reached=(float(agreeing[0]) / graph.low.size, float(agreeing[1]) / graph.low.size),
        coupling=coupling,
        r_hat=r_hat,
        sweeps=sweeps,
        _graph=graph,
        _states=states,
    )
