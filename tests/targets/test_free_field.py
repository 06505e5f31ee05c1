"""The Gaussian free field: resistances, trees as a special case, and both solvers."""

import importlib.util
import itertools
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from small_graphs import box_graph
from statistical import assert_close

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.errors import ConvergenceError, MissingExtraError
from percolaw.graph import Graph
from percolaw.rng import Streams
from percolaw.targets import free_field
from percolaw.targets.free_field import FreeField
from percolaw.targets.tree_walk import TreeWalk

HAS_PYAMG = importlib.util.find_spec("pyamg") is not None
needs_pyamg = pytest.mark.skipif(not HAS_PYAMG, reason="pyamg is not installed")


@pytest.mark.parametrize("standardized", [True, False])
def test_field_of_a_tree_is_the_tree_walk(standardized):
    tree = conditioned_clusters([400, 1, 37, 2, 1], 4, rng=1)
    walk = TreeWalk(standardized=standardized).sample(tree, 5)
    field = FreeField(standardized=standardized)
    for clusters in (tree, Graph.from_tree(tree)):
        found = field.sample(clusters, 5)
        np.testing.assert_array_equal(found.value, walk.value)
        np.testing.assert_array_equal(found.variance, walk.variance)
    assert np.any(field.sample(tree, 6).value != walk.value)
    # The same tree with its sites in another order: the first site of each cluster stays at 0.
    raw = FreeField(standardized=False).sample(Graph.from_tree(tree), 5).value
    assert np.all(raw[tree.start[:-1]] == 0.0)
    steps = raw[1:400] - raw[tree.parent[1:400]]
    assert_close(steps.var(), 1.0, math.sqrt(2 / steps.size))


#: Clusters with loops: sites, bonds. In the third the first site hangs outside the core, from another
#: site than the core's first; in the last the core has a bridge and the numbers are mixed.
LOOPS = {
    "square with a diagonal": (4, [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
    "full": (4, list(itertools.combinations(range(4), 2))),
    "hanging from an end": (6, [(0, 4), (4, 3), (1, 2), (2, 3), (3, 1), (1, 5)]),
    "bridge": (8, [(5, 2), (2, 7), (7, 5), (7, 0), (0, 3), (3, 6), (6, 1), (1, 3), (4, 1)]),
}


def resistances(n, bonds):
    """Dense: from the pseudo-inverse of the Laplacian."""
    laplacian = np.zeros((n, n))
    for a, b in bonds:
        laplacian[[a, b], [a, b]] += 1.0
        laplacian[[a, b], [b, a]] -= 1.0
    inverse = np.linalg.pinv(laplacian)
    diagonal = np.diag(inverse)
    return diagonal[:, None] + diagonal[None, :] - 2.0 * inverse


def copies(n, bonds, count):
    """Many clusters of one shape in a graph."""
    pairs = np.array(bonds)[None] + n * np.arange(count)[:, None, None]
    low, high = pairs.reshape(-1, 2).T
    return Graph.from_bonds(n * count, low, high, n * np.arange(count + 1))


@pytest.mark.parametrize("name", LOOPS)
def test_differences_of_the_field_vary_as_resistances(name):
    """All pairs of sites, over 20000 independent clusters of one graph."""
    n, bonds = LOOPS[name]
    count = 20_000
    graph = copies(n, bonds, count)
    value = FreeField(standardized=False).sample(graph, 3).value.reshape(count, n)
    assert np.all(value[:, 0] == 0.0)
    resistance = resistances(n, bonds)
    error = math.sqrt(2 / count)
    walk = np.empty(graph.n_sites)
    tree, order = graph.spanning_tree()
    walk[order] = TreeWalk(standardized=False).sample(tree, 3).value
    walk = walk.reshape(count, n)
    wrong = 0
    for i, j in itertools.combinations(range(n), 2):
        square = (value[:, i] - value[:, j]) ** 2
        assert_close(square.mean(), resistance[i, j], error * resistance[i, j])
        # Control: a walk on a spanning tree forgets the ways round.
        other = ((walk[:, i] - walk[:, j]) ** 2).mean()
        wrong += abs(other / resistance[i, j] - 1) > 5 * error
    assert wrong >= 3
    i, j = 1, n - 1
    gap = value[:, i] - value[:, j]
    assert_close((gap**4).mean() / resistance[i, j] ** 2, 3.0, math.sqrt(96 / count))
    # Clusters are independent of each other.
    along = gap / resistance[i, j] ** 0.5
    assert_close(np.mean(along[:-1] * along[1:]), 0.0, 1 / math.sqrt(count))


def test_field_of_clusters_of_many_kinds_at_once():
    """Trees, loops and single sites in one graph: each has its own resistances."""
    kinds = [(1, []), LOOPS["hanging from an end"], (3, [(1, 0), (1, 2)]), LOOPS["bridge"], (1, [])]
    n = sum(k[0] for k in kinds)
    offset = np.cumsum([0] + [k[0] for k in kinds])
    pairs = [(a + o, b + o) for (_, bonds), o in zip(kinds, offset, strict=False) for a, b in bonds]
    count = 5000
    low, high = (np.array(pairs)[None] + n * np.arange(count)[:, None, None]).reshape(-1, 2).T
    start = np.concatenate([(n * np.arange(count)[:, None] + offset[:-1]).ravel(), [n * count]])
    graph = Graph.from_bonds(n * count, low, high, start)
    raw = FreeField(standardized=False).sample(graph, 8)
    assert np.all(raw.value[graph.start[:-1]] == 0.0)
    value = raw.value.reshape(count, n)
    for (size, bonds), o in zip(kinds, offset, strict=False):
        resistance = resistances(size, bonds)
        for i, j in itertools.combinations(range(size), 2):
            square = (value[:, o + i] - value[:, o + j]) ** 2
            assert_close(square.mean(), resistance[i, j], math.sqrt(2 / count) * resistance[i, j])
    # Standardised: the same field moved and scaled, cluster by cluster.
    found = FreeField().sample(graph, 8)
    np.testing.assert_array_equal(found.variance, raw.variance)
    for k in range(10):
        own = slice(*graph.start[k : k + 2])
        mine = raw.value[own]
        assert raw.variance[k] == pytest.approx(mine.var(), abs=1e-12)
        if mine.size == 1:
            assert found.value[own] == 0.0
            assert found.variance[k] == 0.0
            continue
        expected = (mine - mine.mean()) / mine.std()
        np.testing.assert_allclose(found.value[own], expected, atol=1e-9)


def test_single_site_fields():
    graph = Graph.from_bonds(3, [], [], [0, 1, 2, 3])
    for field in (FreeField(), FreeField(standardized=False)):
        found = field.sample(graph, 0)
        assert found.value.tolist() == [0.0] * 3
        assert found.variance.tolist() == [0.0] * 3


def test_fields_follow_the_seed():
    graph = box_graph()
    first = FreeField().sample(graph, 4).value
    np.testing.assert_array_equal(FreeField().sample(graph, Streams(4)).value, first)
    assert abs(np.corrcoef(first, FreeField().sample(graph, 5).value)[0, 1]) < 0.9


@needs_pyamg
def test_direct_and_multigrid_agree(monkeypatch):
    """A box far above p_c and one near it in one graph, with a tree and a small loop between them."""
    parts = [box_graph(60, 0.7, 1), Graph.from_bonds(4, [0, 1, 2, 3], [1, 2, 3, 0])]
    parts += [Graph.from_tree(conditioned_clusters(50, 3, rng=0)), box_graph(80, 0.52, 2)]
    offset = np.cumsum([0] + [g.n_sites for g in parts])
    low, high = (
        np.concatenate([g.bonds()[i] + o for g, o in zip(parts, offset, strict=False)])
        for i in (0, 1)
    )
    graph = Graph.from_bonds(int(offset[-1]), low, high, offset)
    calls = []
    solve = FreeField._multigrid

    def counted(self, matrix, current, key):
        calls.append(current.size)
        return solve(self, matrix, current, key)

    monkeypatch.setattr(FreeField, "_multigrid", counted)
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 10**9)
    direct = FreeField(standardized=False).sample(graph, 2).value
    assert calls == []
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 10)
    found = FreeField(standardized=False, tolerance=1e-10).sample(graph, 2).value
    core = graph.core()
    sizes = [int(core[a:b].sum()) for a, b in itertools.pairwise(offset)]
    assert calls == [sizes[0] - 1, sizes[3] - 1], "the two large cores, grounded, and nothing else"
    assert np.abs(found - direct).max() < 1e-6
    assert np.any(found != direct)
    rough = FreeField(standardized=False, tolerance=1e-2).sample(graph, 2).value
    assert np.abs(rough - direct).max() > 1e-4, "the tolerance is passed on"


@needs_pyamg
def test_multigrid_is_the_same_in_several_threads(monkeypatch):
    """Two solutions at once do not take each other's global numbers."""
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 3)
    graph, field = box_graph(60, 0.7, 1), FreeField(tolerance=1e-3)
    alone = [field.sample(graph, seed).value for seed in range(8)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda seed: field.sample(graph, seed).value, range(8)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_pyamg
@pytest.mark.filterwarnings("error")
def test_multigrid_does_not_depend_on_global_numbers(monkeypatch):
    """pyamg draws from NumPy's global generator; neither does it show, nor is the generator moved."""
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 3)
    # A large core that is coarsened, and some that are not, down to one of four sites.
    parts = [box_graph(60, 0.7, 1), copies(*LOOPS["bridge"], 2), copies(*LOOPS["full"], 2)]
    offset = np.cumsum([0] + [g.n_sites for g in parts])
    low, high = (
        np.concatenate([g.bonds()[i] + o for g, o in zip(parts, offset, strict=False)])
        for i in (0, 1)
    )
    start = np.concatenate([g.start[:-1] + o for g, o in zip(parts, offset, strict=False)])
    graph = Graph.from_bonds(int(offset[-1]), low, high, [*start, offset[-1]])

    def sample(global_seed, seed=2):
        np.random.seed(global_seed)  # noqa: NPY002
        before = np.random.get_state()  # noqa: NPY002
        found = FreeField(standardized=False, tolerance=1e-3).sample(graph, seed).value
        after = np.random.get_state()  # noqa: NPY002
        assert before[0] == after[0]
        np.testing.assert_array_equal(before[1], after[1])
        assert before[2:] == after[2:]
        return found

    first = sample(0)
    np.testing.assert_array_equal(sample(0), first)
    np.testing.assert_array_equal(sample(1), first)
    assert np.any(sample(0, seed=3) != first)
    # Control: seeded by what was global before, the same system has other last digits.
    monkeypatch.setattr(np.random, "seed", lambda key: None)
    solve, given = FreeField._multigrid, []

    def kept(self, *arguments):
        given.append(arguments)
        return solve(self, *arguments)

    monkeypatch.setattr(FreeField, "_multigrid", kept)
    FreeField(standardized=False, tolerance=1e-3).sample(graph, 2)
    keys = [int(key) for _, _, key in given]
    assert len(keys) == len(set(keys)) == 5, "each cluster has a key of its own"
    found = []
    for word in (0, 1):
        np.random.set_state(np.random.RandomState(word).get_state())  # noqa: NPY002
        found.append(FreeField(tolerance=1e-3)._multigrid(*given[0]))
    assert np.any(found[0] != found[1])


def test_the_global_generator_is_put_back_after_a_failure(monkeypatch):
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 3)
    seen = []

    def solver(matrix, **options):
        seen.append(np.random.rand())  # noqa: NPY002
        raise RuntimeError("no memory")

    monkeypatch.setitem(sys.modules, "pyamg", SimpleNamespace(smoothed_aggregation_solver=solver))
    for global_seed in (0, 1):
        np.random.seed(global_seed)  # noqa: NPY002
        expected = np.random.RandomState(global_seed).rand()
        with pytest.raises(RuntimeError, match="no memory"):
            FreeField().sample(box_graph(), 0)
        assert np.random.rand() == expected  # noqa: NPY002
    assert seen[0] == seen[1], "seeded by the field's own stream"


@needs_pyamg
@pytest.mark.parametrize("name", ["square with a diagonal", "bridge"])
def test_fields_by_multigrid_vary_as_resistances(name, monkeypatch):
    """The grounded system has the same law as the factors; small cores, many clusters."""
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 3)
    n, bonds = LOOPS[name]
    count = 400
    value = FreeField(standardized=False).sample(copies(n, bonds, count), 3).value
    value = value.reshape(count, n)
    resistance = resistances(n, bonds)
    for i, j in itertools.combinations(range(n), 2):
        square = ((value[:, i] - value[:, j]) ** 2).mean()
        assert_close(square, resistance[i, j], math.sqrt(2 / count) * resistance[i, j])


def test_solver_that_does_not_converge_is_refused(monkeypatch):
    """Multigrid that stops early: its result is checked, whatever it says of itself."""
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 10)
    asked = []

    class Solver:
        def solve(self, current, **options):
            asked.append(options)
            return 0.0 * current + 1e-9

    fake = SimpleNamespace(smoothed_aggregation_solver=lambda matrix, **options: Solver())
    monkeypatch.setitem(sys.modules, "pyamg", fake)
    with pytest.raises(ConvergenceError, match=r"relative residual of 1\.0e\+00.*Raise tolerance"):
        FreeField(tolerance=1e-6).sample(box_graph(), 0)
    assert asked[0]["tol"] == 1e-6

    class Broken(Solver):
        def solve(self, current, **options):
            return np.full_like(current, np.nan)

    fake.smoothed_aggregation_solver = lambda matrix, **options: Broken()
    with pytest.raises(ConvergenceError, match="relative residual of nan"):
        FreeField().sample(box_graph(), 0)


def test_missing_pyamg_names_its_extra(monkeypatch):
    graph = box_graph()
    monkeypatch.setitem(sys.modules, "pyamg", None)
    FreeField().sample(graph, 0)  # small cores need none
    monkeypatch.setattr(free_field, "DIRECT_LIMIT", 10)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[lattice\]'"):
        FreeField().sample(graph, 0)
    FreeField().sample(Graph.from_tree(conditioned_clusters(100, 3, rng=0)), 0)  # nor do trees


@pytest.mark.parametrize("tolerance", [0.0, 1e-15, 0.1, math.nan])
def test_bad_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance must be finite and in"):
        FreeField(tolerance=tolerance)
