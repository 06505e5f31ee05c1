"""The Gaussian free field of a cluster: the tree walk's counterpart where there are loops."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.errors import ConvergenceError
from percolaw.graph import Graph
from percolaw.rng import RandomLike, Streams, as_streams, normal_rows
from percolaw.targets.tree_walk import TreeTarget, TreeWalk
from percolaw.tree import Tree

FloatArray = npt.NDArray[np.float64]

#: Sites of a core up to which it is factorised; larger ones are solved by multigrid.
DIRECT_LIMIT = 4000
#: NumPy's global generator belongs to one solution at a time, in whatever thread.
_GLOBAL_NUMBERS = threading.Lock()


@dataclass(frozen=True)
class FreeField:
    """Gaussian field with Var(f(u) - f(v)) = resistance between u and v, unit resistors on the bonds.

    The density is exp(-sum over bonds (f(u) - f(v))^2 / 2). On a tree the resistance is the chemical
    distance and the field is `TreeWalk`, number for number.

    Parameters
    ----------
    standardized : bool
        Give each cluster mean 0 and variance 1. Raw fields are 0 at the first site of each cluster.
    tolerance : float
        Relative residual of the linear system at which multigrid stops.

    Notes
    -----
    With B the incidence matrix and w independent standard normals on the bonds, the solution of
    B^T B f = B^T w has the covariance of the field (docs/theory.md). What hangs on the loops' core is a
    walk; only the core is solved, small cores by sparse factors, large ones by algebraic multigrid (the
    extra ``lattice``). 10^6 sites take 3 to 6 s far above p_c and less than 1 s at p_c.

    Examples
    --------
    >>> square = Graph.from_bonds(4, [0, 1, 2, 3], [1, 2, 3, 0])
    >>> draws = [FreeField(standardized=False).sample(square, seed).value[1:3] for seed in range(400)]
    >>> bool(np.all(abs(np.var(draws, axis=0) - [3 / 4, 1]) < 0.3))  # 1 and 3 in parallel; 2 and 2
    True
    """

    standardized: bool = True
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        checks.real("tolerance", self.tolerance, minimum=1e-14, maximum=1e-2)

    def sample(self, clusters: Graph | Tree, rng: RandomLike = 0) -> TreeTarget:
        """Draw the field on every site. Stream ``target``, keyed by site and by bond.

        Raises
        ------
        ConvergenceError
            If multigrid leaves a residual above 10 times the tolerance after at most 200 steps.
        MissingExtraError
            If a core of more than `DIRECT_LIMIT` sites needs the extra ``lattice``.
        ResourceError
            If the field does not fit in memory.
        """
        from percolaw.kernels import graph as kernels
        from percolaw.kernels.tree import standardize

        if isinstance(clusters, Tree):
            return TreeWalk(standardized=self.standardized).sample(clusters, rng)
        graph, streams = clusters, as_streams(rng)
        checks.memory(
            100.0 * graph.n_sites + 60.0 * graph.n_bonds,
            f"a free field on {graph.n_sites} sites",
            "Use fewer sites.",
        )
        tree, order = graph.spanning_tree()
        step = np.empty(graph.n_sites)
        normal_rows(streams, "target", step)
        step[graph.start[:-1]] = 0.0
        value = np.empty(graph.n_sites)
        value[order] = tree.accumulate(step[order])
        if graph.n_loops:
            removed, above = graph.pruned()
            current = self._loop_currents(graph, tree, order, value, streams)
            shift = self._solve(graph, above == -1, current, streams)
            kernels.hang(removed, above, shift)
            value += shift
            value -= np.repeat(value[graph.start[:-1]], graph.sizes)
        variance = standardize(graph.start, value if self.standardized else value.copy())
        return TreeTarget(value, variance)

    def _loop_currents(
        self, graph: Graph, tree: Tree, order: Any, value: FloatArray, streams: Streams
    ) -> FloatArray:
        """Currents into the sites (n,) that the bonds outside the tree would drive."""
        place = np.empty(graph.n_sites, dtype=np.int64)
        place[order] = np.arange(graph.n_sites)
        low, high = graph.bonds()
        in_tree = (tree.parent[place[high]] == place[low]) | (
            tree.parent[place[low]] == place[high]
        )
        low, high = low[~in_tree], high[~in_tree]
        step = np.empty(low.size)
        normal_rows(streams, "target", step, 1)
        step -= value[high] - value[low]
        n = graph.n_sites
        return np.asarray(np.bincount(high, step, n) - np.bincount(low, step, n))

    def _solve(
        self, graph: Graph, core: npt.NDArray[np.bool_], current: FloatArray, streams: Streams
    ) -> FloatArray:
        """Potentials of the core's sites, 0 at the first of each core: (n,), 0 elsewhere."""
        from scipy import sparse
        from scipy.sparse import linalg

        sites = np.flatnonzero(core)
        owner = graph.cluster_of(sites)
        matrix = graph.to_sparse()[sites][:, sites]
        degree = np.asarray(matrix.sum(axis=1)).ravel()
        matrix = (sparse.diags_array(degree) - matrix).tocsr()
        first = np.concatenate([[True], owner[1:] != owner[:-1]])  # grounded
        large = np.bincount(owner, minlength=graph.n_clusters)[owner] > DIRECT_LIMIT
        out = np.zeros(graph.n_sites)
        small = np.flatnonzero(~large & ~first)
        if small.size:
            factor = linalg.splu(
                matrix[small][:, small].tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                options={"SymmetricMode": True},
            )
            out[sites[small]] = factor.solve(current[sites[small]])
        for cluster in np.unique(owner[large]):
            rows = np.flatnonzero(owner == cluster)
            free = rows[1:]  # the first is grounded
            key = streams.key("target", 2, int(cluster))
            out[sites[free]] = self._multigrid(matrix[free][:, free], current[sites[free]], key)
        return out

    def _multigrid(self, matrix: Any, current: FloatArray, key: np.uint64) -> FloatArray:
        pyamg = checks.extra("pyamg", "lattice")
        with _GLOBAL_NUMBERS:  # pyamg estimates eigenvalues from them
            before = np.random.get_state()  # noqa: NPY002
            np.random.seed(int(key) & 0xFFFFFFFF)  # noqa: NPY002
            try:
                solver = pyamg.smoothed_aggregation_solver(matrix, max_coarse=500)
                solution = solver.solve(current, tol=self.tolerance, accel="cg", maxiter=200)
            finally:
                np.random.set_state(before)  # noqa: NPY002
        left = float(np.linalg.norm(current - matrix @ solution) / np.linalg.norm(current))
        if not left <= 10.0 * self.tolerance:
            raise ConvergenceError(
                f"multigrid left a relative residual of {left:.1e} on {current.size} sites; asked for "
                f"{self.tolerance:.1e}. Raise tolerance."
            )
        return np.asarray(solution)
