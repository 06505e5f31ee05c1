"""Sequences that learners are tested on, and what is expected of learners that are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.datasets.contexts import ClusterFunctions, Contexts, Sequences
from percolaw.learners import in_context
from percolaw.numerics.covariance import Linear, Matern
from percolaw.rng import Streams

FloatArray: TypeAlias = npt.NDArray[np.float64]
#: Expected losses by position on sequences of one cluster, from its functions and the points.
Losses: TypeAlias = Callable[[ClusterFunctions, npt.NDArray[np.int64]], FloatArray]

#: Clusters that are tested on at most.
MOST_CLUSTERS = 32
#: Ridges, in units of the variance of the functions, of which a learner has the one best for it.
RIDGES = (1e-6, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
#: Length scales of the kernel of distances in space, of which it has the best.
LENGTH_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, eq=False)
class Test:
    """Sequences of functions that no learner saw, with the best prediction of each value.

    Attributes
    ----------
    functions : sequence of ClusterFunctions
    sequences : Sequences
    posterior : array of float64, shape (T,)
        Expected loss of the posterior, given the points.
    mean : array of float64, shape (n, T)
        Posterior means.
    """

    functions: Sequence[ClusterFunctions]
    sequences: Sequences
    posterior: FloatArray
    mean: FloatArray

    @classmethod
    def of(
        cls, functions: Sequence[ClusterFunctions], length: int, n: int, streams: Streams
    ) -> Test:
        """Draw sequences.

        Parameters
        ----------
        functions : sequence of ClusterFunctions
            One a cluster, of which the first `MOST_CLUSTERS` are used.
        length, n : int
            Pairs of a sequence, sequences.
        streams : Streams

        Returns
        -------
        Test
        """
        used = functions[:MOST_CLUSTERS]
        drawn = Contexts(used, length, streams).draw(n)
        mean = np.empty(drawn.y.shape)
        for i, one in enumerate(used):
            mine = drawn.cluster == i
            mean[mine] = in_context.posterior_means(
                one.covariance, drawn.point[mine], drawn.y[mine]
            )
        test = cls(used, drawn, np.zeros(length), mean)
        posterior = test.expected(lambda f, s: in_context.posterior_losses(f.covariance, s))
        return cls(used, drawn, posterior, mean)

    def expected(self, losses: Losses) -> FloatArray:
        """Return losses by position, mean over all sequences.

        Parameters
        ----------
        losses : callable
            Maps the functions of a cluster and the points of sequences (n, T) to losses (T,).

        Returns
        -------
        array of float64, shape (T,)
        """
        cluster, point = self.sequences.cluster, self.sequences.point
        total = np.zeros(point.shape[1])
        for i in np.unique(cluster):
            mine = point[cluster == i]
            total += losses(self.functions[i], mine) * mine.shape[0]
        return total / cluster.size

    def loss(self, predictions: FloatArray) -> FloatArray:
        """Return the mean squared error by position, its part that no learner avoids exactly.

        E (y - f)^2 is the posterior variance and E (f - m)^2, m the posterior mean: only the second is
        averaged over the functions that were drawn.

        Parameters
        ----------
        predictions : array, shape (n, T)

        Returns
        -------
        array of float64, shape (T,)
        """
        return self.posterior + np.mean((predictions - self.mean) ** 2, axis=0)

    def variance(self) -> FloatArray:
        """Return the variance of the values by position, expected over functions."""
        return self.expected(lambda f, s: f.covariance.diagonal()[s].mean(axis=0))

    def references(self) -> dict[str, FloatArray]:
        """Return the expected losses of learners in context that know no tree: name to (T,).

        ``nearest``: the nearest neighbour in space. ``ridge``: linear functions of the points.
        ``kernel``: Matérn 1/2 of distances in space. The last two have the ridge and the length scale
        that are best for these functions, which no learner would know.
        """
        nearest = self.expected(
            lambda f, s: in_context.nearest_losses(f.covariance, s, f.cluster.points)
        )
        ridges = [self._kernel(Linear(), ridge) for ridge in RIDGES]
        kernels = [
            self._kernel(Matern(0.5, length), ridge)
            for length in LENGTH_SCALES
            for ridge in RIDGES[::2]
        ]
        return {"nearest": nearest, "ridge": best(ridges), "kernel": best(kernels)}

    def _kernel(self, kernel: Linear | Matern, ridge: float) -> FloatArray:
        return self.expected(
            lambda f, s: in_context.kernel_losses(
                f.covariance, s, kernel(f.cluster.points, f.cluster.points), ridge
            )
        )

    def sample_covariance(self, kept: FloatArray) -> FloatArray:
        """Return the losses of a posterior with the covariance of a few functions, at the best ridge.

        It is what a learner can know of the one cluster that has seen these functions and no other.

        Parameters
        ----------
        kept : array of float64, shape (n_functions, n_points)

        Returns
        -------
        array of float64, shape (T,)
        """
        covariance = kept.T @ kept / kept.shape[0]
        return best(
            [
                self.expected(
                    lambda f, s, r=ridge: in_context.kernel_losses(  # type: ignore[misc]
                        f.covariance, s, covariance, r
                    )
                )
                for ridge in RIDGES
            ]
        )


def best(curves: Sequence[FloatArray]) -> FloatArray:
    """Return the curve of the least mean."""
    return min(curves, key=lambda curve: float(curve.mean()))
