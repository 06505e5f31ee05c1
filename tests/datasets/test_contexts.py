"""Contexts: clusters with their trees, functions of known covariance, sequences by step."""

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.datasets.contexts import (
    WALK,
    ClusterFunctions,
    ContextCluster,
    Contexts,
    context_cluster,
    inputs_of,
    parse_law,
)
from percolaw.datasets.sources import Cube, FiniteCluster, InfiniteCluster
from percolaw.learners.tree_posterior import TreePosterior
from percolaw.rng import Streams
from percolaw.targets.tree_walk import TreeWalk, expected_variance
from percolaw.tree import Tree

SOURCES = (InfiniteCluster(3), FiniteCluster(3), FiniteCluster(3, steps="sphere"))


@pytest.fixture(scope="module")
def clusters():
    return [context_cluster(InfiniteCluster(3), 12, Streams(5).child(i)) for i in range(3)]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_the_points_are_those_of_the_source(source):
    cluster = context_cluster(source, 9, rng=3)
    np.testing.assert_array_equal(cluster.points, source.inputs(9, 3))


def test_far_along_the_tree_is_far_in_space():
    """In many dimensions squared distances are those along the tree, up to one factor."""
    cluster = context_cluster(InfiniteCluster(4000), 10, rng=1)
    gap = cluster.points[:, None] - cluster.points[None]
    square, along = (gap**2).sum(axis=2), cluster.distances()
    off = ~np.eye(10, dtype=bool)
    ratio = square[off] / along[off]
    assert ratio.std() / ratio.mean() < 0.06
    mixed = along[::-1, ::-1][off]  # distances of other points
    assert (square[off] / mixed).std() / ratio.mean() > 0.3


@pytest.mark.parametrize("word", [WALK, "linear", "Matérn 0.5"])
def test_drawn_functions_have_the_covariance_that_is_stated(clusters, word):
    functions = ClusterFunctions(clusters[0], parse_law(word))
    drawn = functions.draw(6000, rng=2)
    np.testing.assert_allclose(drawn.mean(axis=1), 0.0, atol=1e-6)
    assert np.trace(functions.covariance) == pytest.approx(12.0)
    for a, b in ((0, 0), (1, 7), (3, 11)):
        assert_close(*_error_around(drawn[:, a] * drawn[:, b], functions.covariance[a, b]))
    other = ClusterFunctions(clusters[1], parse_law(word)).covariance
    a, b = np.unravel_index(np.abs(other - functions.covariance).argmax(), other.shape)
    mean, error = mean_and_error(drawn[:, a] * drawn[:, b])
    assert_far(mean, other[a, b], error)


def _error_around(sample, truth):
    mean, error = mean_and_error(sample)
    return mean, truth, error


def test_the_variance_of_walks_is_that_of_the_tree():
    """On a whole finite tree it is what `expected_variance` gives."""
    tree = Tree.from_parent([-1, 0, 1, 1, 0, 4])
    cluster = ContextCluster(np.arange(6.0)[:, None], tree, np.arange(6))
    scale = ClusterFunctions(cluster, TreeWalk()).scale
    assert scale**2 == pytest.approx(expected_variance(tree)[0])


def test_conditioning_the_walk_is_the_posterior_of_the_tree(clusters):
    """With a level of its own, so that the mean over the cluster tells nothing, both are the same."""
    cluster = clusters[0]
    covariance = -0.5 * cluster.distances() + 1e6
    seen, asked = np.arange(5), np.arange(5, 12)
    values = np.random.default_rng(0).standard_normal(5)
    inside = covariance[np.ix_(seen, seen)]
    dense = covariance[np.ix_(asked, seen)] @ np.linalg.solve(inside, values)
    fitted = TreePosterior().fit(cluster.tree, cluster.node[seen], values)
    np.testing.assert_allclose(fitted.predict(cluster.node[asked]), dense, atol=1e-4)
    centred = ClusterFunctions(cluster, TreeWalk())
    mean = cluster.distances().mean(axis=1)
    direct = -0.5 * (cluster.distances() - mean[:, None] - mean[None] + mean.mean())
    np.testing.assert_allclose(centred.covariance * centred.scale**2, direct, atol=1e-12)


def test_a_step_has_the_same_rows_whenever_it_is_asked_for(clusters):
    functions = [ClusterFunctions(one, TreeWalk()) for one in clusters]
    contexts = Contexts(functions, length=5, rng=7, batch_size=4)
    first = contexts.rows(3)
    contexts.rows(0)
    for one, other in zip(
        first, Contexts(functions, 5, Streams(7), batch_size=4).rows(3), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[1], contexts.rows(4)[1])
    drawn = contexts.draw(200, 3)
    assert set(drawn.cluster) == {0, 1, 2}
    assert all(len(set(row)) == 5 for row in drawn.point)
    point, value = drawn.inputs.reshape(200, 5, 4)[..., :3], drawn.inputs.reshape(200, 5, 4)[..., 3]
    np.testing.assert_array_equal(value, drawn.y)
    for i in (0, 50, 199):
        np.testing.assert_array_equal(point[i], clusters[drawn.cluster[i]].points[drawn.point[i]])
    np.testing.assert_array_equal(inputs_of(drawn.x, drawn.y), drawn.inputs)


def test_sequences_have_functions_of_their_own_or_some_that_come_again(clusters):
    functions = [ClusterFunctions(one, TreeWalk()) for one in clusters[:2]]

    def distinct(n_functions):
        drawn = Contexts(functions, 12, 1, n_functions=n_functions).draw(60)
        rows = np.take_along_axis(drawn.y, drawn.point.argsort(axis=1), axis=1)
        return drawn, len(np.unique(rows.round(6), axis=0))

    assert distinct(0)[1] == 60
    drawn, count = distinct(6)
    assert count == 6
    contexts = Contexts(functions, 12, 1, n_functions=6)
    kept = contexts.kept
    for i in range(5):
        mine = kept[drawn.cluster[i] :: 2]
        assert (np.abs(mine[:, drawn.point[i]] - drawn.y[i]).max(axis=1) < 1e-12).any()


def test_no_two_steps_and_no_two_clusters_share_a_function(clusters):
    same = ClusterFunctions(clusters[0], TreeWalk())
    contexts, rows = Contexts([same, same], 12, 1), []
    for step in (0, 1):
        drawn = contexts.draw(30, step)
        rows.append(np.take_along_axis(drawn.y, drawn.point.argsort(axis=1), axis=1))
    assert len(np.unique(np.concatenate(rows).round(6), axis=0)) == 60
    kept = Contexts([same, same], 12, 1, n_functions=8).kept
    assert len(np.unique(kept.round(6), axis=0)) == 8


def test_new_functions_of_the_same_points_are_drawn_cluster_by_cluster(clusters):
    functions = [ClusterFunctions(one, TreeWalk()) for one in clusters]
    drawn = Contexts(functions, 6, 1).draw(3000)
    other = Contexts(functions, 6, 1).values(drawn.cluster, drawn.point, Streams(9))
    product, itself = (other * drawn.y)[:, 0], other[:, 0] ** 2
    assert_close(*_error_around(product, 0.0))
    expected = [
        functions[k].covariance[p, p] for k, p in zip(drawn.cluster, drawn.point[:, 0], strict=True)
    ]
    assert_close(*_error_around(itself - expected, 0.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 13}, "13 pairs is longer than a cluster of 12 points"),
        ({"length": 1}, r"length must be .*2.*got 1"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"n_functions": 2}, "2 functions leave some of 3 clusters without one"),
        ({"functions": ()}, "there must be one"),
    ],
)
def test_sequences_that_cannot_be_drawn(clusters, change, message):
    functions = [ClusterFunctions(one, TreeWalk()) for one in clusters]
    with pytest.raises(ValueError, match=message):
        Contexts(**({"functions": functions, "length": 5} | change))


def test_clusters_that_cannot_be_drawn(clusters):
    with pytest.raises(ValueError, match="n_points must be"):
        context_cluster(InfiniteCluster(3), 1)
    with pytest.raises(ValueError, match=r"5 points .* 1 site.*Raise n_sites"):
        context_cluster(FiniteCluster(3, n_sites=1), 5)
    with pytest.raises(TypeError, match="clusters that are trees; got Cube"):
        context_cluster(Cube(2), 5)
    with pytest.raises(ValueError, match="Gaussian steps"):
        ClusterFunctions(clusters[0], TreeWalk("sign"))
    with pytest.raises(ValueError, match="covariance of 'ReLU 2 x 8' is not known"):
        parse_law("ReLU 2 x 8")
    other = context_cluster(InfiniteCluster(3), 9)
    both = [ClusterFunctions(one, TreeWalk()) for one in (clusters[0], other)]
    with pytest.raises(ValueError, match="equally many points and coordinates"):
        Contexts(both, 5)
