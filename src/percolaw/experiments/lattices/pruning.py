"""Pruning: of more candidates than labels, the easiest or the hardest are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.labelled import FloatArray
from percolaw.rng import Streams
from percolaw.targets.tree_walk import expected_variance

#: Of the candidates that pruning sees this share is kept; difficulty is the distance to the nearest of as
#: many pilot points as are kept.
KEPT = 0.25
#: What is kept; the last are the pilots.
EASY, HARD, ALL = KINDS = ("easy kept", "hard kept", "all of them")


def pruned_losses(
    budgets: FloatArray, weight: FloatArray, coordination_number: int, streams: Streams
) -> dict[str, list[float]]:
    """Return 1-NN losses over all clusters at once, by what is kept; those of the pilots beside them.

    Parameters
    ----------
    budgets : array, shape (n_budgets,)
        Labels kept.
    weight : array, shape (n_clusters,)
        Of the clusters simulated; candidates on the others teach nothing else.
    coordination_number : int
        z of the trees.
    streams : Streams
        Stream ``split`` keyed by the number of the budget.

    Returns
    -------
    dict of list of float
        One list of n_budgets losses a kind.
    """
    from percolaw.clusters.conditioned import conditioned_clusters

    rest = max(0.0, 1.0 - weight.sum())
    sizes = np.maximum(300, 30.0 / KEPT * budgets[-1] * weight).astype(np.int64)
    tree = conditioned_clusters(sizes, coordination_number, streams)
    variance = expected_variance(tree)
    losses: dict[str, list[float]] = {name: [] for name in KINDS}
    for i, budget in enumerate(budgets):
        generator = streams.generator("split", i)

        def sites(n: int, generator: Any = generator) -> Any:
            # Sites of the clusters simulated, and how many labels fall on the others.
            drawn = generator.multinomial(n, [*weight, rest])
            owner = np.repeat(np.arange(weight.size), drawn[:-1])
            u = generator.random(owner.size)
            return tree.start[owner] + (u * tree.sizes[owner]).astype(np.int64), drawn[-1]

        kept = round(budget)
        (pilot, _), (candidates, elsewhere) = sites(kept), sites(round(kept / KEPT))
        distance, nearest = tree.nearest(pilot, streams.child(i))
        # A candidate on a cluster without a pilot is as hard as can be; so are those elsewhere.
        hardness = np.where(nearest[candidates] >= 0, distance[candidates], np.inf)
        hardness = np.concatenate([hardness, np.full(elsewhere, np.inf)])
        candidates = np.concatenate([candidates, np.full(elsewhere, -1)])
        order = candidates[np.lexsort((generator.random(candidates.size), hardness))]
        for name, chosen in ((EASY, order[:kept]), (HARD, order[-kept:]), (ALL, pilot)):
            distance, nearest = tree.nearest(chosen[chosen >= 0], streams.child(i))
            gap = np.add.reduceat(distance.astype(np.float64), tree.start[:-1]) / tree.sizes
            seen = nearest[tree.start[:-1]] >= 0
            learned = weight @ np.where(seen, gap / variance, 1.0)
            losses[name].append(float(learned + rest))
    return losses
