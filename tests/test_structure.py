"""The same questions, asked of a tree and of the same tree as a graph, have the same answers."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csgraph

from percolaw.graph import Graph
from percolaw.rng import Streams
from percolaw.structure import ClusterStructure
from percolaw.tree import Tree

TREES = {
    "one site": ([1], 0),
    "one path or more": ([4, 1, 2], 1),
    "three clusters": ([500, 1, 200], 2),
    "one cluster": ([800], 3),
}


def random_tree(sizes, seed):
    """Clusters in which every site hangs at a random earlier one."""
    random = np.random.default_rng(seed)
    start = np.cumsum([0, *sizes])
    parents = [np.r_[-1, a + random.integers(0, np.arange(1, b - a))] for a, b in pairwise(start)]
    return Tree.from_parent(np.concatenate(parents), start=start)


def some_sites(clusters, n, seed=1):
    return np.random.default_rng(seed).integers(0, clusters.n_sites, n)


def pairs(clusters):
    return some_sites(clusters, 40, 2), some_sites(clusters, 40, 3)


def numbered(clusters):
    return np.random.default_rng(4).permutation(clusters.n_sites)


QUESTIONS = {
    "n_sites": lambda c: c.n_sites,
    "n_clusters": lambda c: c.n_clusters,
    "sizes": lambda c: c.sizes,
    "cluster_of": lambda c: c.cluster_of(some_sites(c, 30)),
    "cluster_sites": lambda c: c.cluster_sites(c.n_clusters - 1),
    "cluster": lambda c: c.cluster(0).distances_from(0),
    "degree": lambda c: c.degree(),
    "nearest": lambda c: c.nearest(some_sites(c, 1 + c.n_sites // 10), 5),
    "nearest, none": lambda c: c.nearest([]),
    "nearest_labelled": lambda c: c.nearest_labelled(
        some_sites(c, 1 + c.n_sites // 10), Streams(6).key("ties"), numbered(c)
    ),
    "distances_from": lambda c: c.distances_from(c.n_sites // 2),
    "distance_between": lambda c: c.distance_between(*pairs(c)),
    "distance_between, none": lambda c: c.distance_between([], []),
    "span": lambda c: c.span(some_sites(c, 5)).cluster,
    "to_sparse": lambda c: c.to_sparse().toarray(),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("sizes", TREES)
def test_a_tree_and_its_graph_answer_alike(question, sizes):
    tree = random_tree(*TREES[sizes])
    asked = QUESTIONS[question]
    answers = [asked(tree), asked(Graph.from_tree(tree))]
    for one, two in zip(*(a if isinstance(a, tuple) else (a,) for a in answers), strict=True):
        assert np.asarray(one).dtype == np.asarray(two).dtype
        np.testing.assert_array_equal(one, two)


def test_labels_decide_ties():
    # Control of the labels above: site 1 is as far from 0 as from 2, and another id wins elsewhere.
    path = Tree.from_parent([-1, 0, 1])
    keys = [Streams(seed).key("ties") for seed in range(20)]
    for clusters in (path, Graph.from_tree(path)):
        plain, swapped = (
            [int(clusters.nearest_labelled(np.array([0, 2]), key, label)[1][1]) for key in keys]
            for label in (np.arange(3), np.array([2, 1, 0]))
        )
        assert swapped == [2 - winner for winner in plain]
        assert {0, 2} == set(plain)


@pytest.mark.parametrize("loops", [0, 1, 300])
def test_distances_are_the_shortest(loops):
    tree = random_tree([300, 1, 200], 7)
    low, high = Graph.from_tree(tree).bonds()
    random = np.random.default_rng(8)
    bonds = set(zip(low.tolist(), high.tolist(), strict=True))
    while len(bonds) < low.size + loops:
        a, b = sorted(random.integers(0, 300, 2).tolist())
        if a != b:
            bonds.add((a, b))
    graph = Graph.from_bonds(501, *np.array(sorted(bonds)).T, start=tree.start)
    assert graph.n_loops == loops
    expected = csgraph.shortest_path(graph.to_sparse(), directed=False, unweighted=True)
    np.testing.assert_array_equal(graph.distances_from(250), expected[250])
    many, few = random.integers(0, 501, 200), random.integers(0, 5, 200)
    for first, second in ((many, few), (few, many), (many, many[::-1])):
        distance = graph.distance_between(first, second)
        np.testing.assert_array_equal(distance, expected[first, second])
    assert np.isinf(graph.distance_between([0], [300])[0])
    # Control: with loops the tree has longer ways.
    longer = tree.distance_between(many, many[::-1]) > graph.distance_between(many, many[::-1])
    assert np.any(longer) == (loops == 300)


@pytest.mark.parametrize("name", [n for n in vars(ClusterStructure) if not n.startswith("_")])
def test_both_have_the_same_signatures(name):
    kinds = [getattr(kind, name) for kind in (ClusterStructure, Tree, Graph)]
    if not callable(kinds[0]):
        assert kinds[0] is kinds[1] is kinds[2]
        return
    asked = [list(inspect.signature(kind).parameters.values()) for kind in kinds]
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize("make", [lambda tree: tree, Graph.from_tree], ids=["tree", "graph"])
def test_wrong_sites_are_refused_alike(make):
    clusters = make(random_tree([3, 2], 0))
    with pytest.raises(ValueError, match=r"first and second must have one shape; got \(2,\) and"):
        clusters.distance_between([0, 1], [2])
    with pytest.raises(ValueError, match=r"second must lie in \[0, 4\]"):
        clusters.distance_between([0], [5])
    with pytest.raises(ValueError, match=r"source must be in \[0, 4\]; got 5"):
        clusters.distances_from(5)
    with pytest.raises(ValueError, match=r"index must be in \[0, 1\]; got 2"):
        clusters.cluster(2)
    with pytest.raises(ValueError, match=r"observed must lie in \[0, 4\]"):
        clusters.nearest([5])


@pytest.mark.parametrize("kind", [Tree, Graph])
def test_matrices_that_are_no_clusters_are_refused_alike(kind):
    for shape in ((2, 3), (0, 0)):
        with pytest.raises(ValueError, match=rf"square and non-empty; got shape \({shape[0]}, "):
            kind.from_sparse(np.ones(shape))
    with pytest.raises(ValueError, match="self-loops; remove them"):
        kind.from_sparse(np.eye(2))
