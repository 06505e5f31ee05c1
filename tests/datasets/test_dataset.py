"""The Dataset: shapes, parts, splits, batches, and the view of it in torch."""

import math

import numpy as np
import pytest
from scipy import sparse

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.make import make_cluster, make_distribution
from percolaw.datasets.manifolds import make_manifold
from percolaw.errors import MissingExtraError
from percolaw.rng import Streams


def small(n=103, **changes):
    """Every row recognisable: X[i] = (i, -i), y[i] = 10 i, cluster i mod 4."""
    i = np.arange(n)
    parts = {
        "X": np.stack([i, -i], axis=1).astype(np.float32),
        "y": 10.0 * i,
        "cluster": i % 4,
        "cluster_size": np.array([70, 0, 90, 70]),
    }
    return Dataset(**{**parts, **changes})


def test_size_and_rank():
    data = small()
    assert len(data) == 103
    assert data.dim == 2
    assert data.size[:5].tolist() == [70, 0, 90, 70, 70]
    # Infinite first, then 90; equal sizes in order of their number.
    assert data.rank[:5].tolist() == [3, 1, 2, 4, 3]
    assert repr(data) == "Dataset(103 points, 2 dimensions, 4 clusters)"


def test_shapes_are_checked():
    for wrong in ({"y": np.zeros(5)}, {"cluster": np.zeros(5, int)}, {"X": np.zeros(103)}):
        with pytest.raises(ValueError, match="must have one n"):
            small(**wrong)


@pytest.mark.parametrize("rows", [[5, 3, 3], np.arange(103) % 2 == 0, slice(2, 40, 3)])
def test_take(rows):
    index = np.arange(103)[rows]
    data = small(features=sparse.csr_array(np.eye(103)), truth={"dimension": 4})
    part = data.take(index if isinstance(rows, slice) else rows)
    np.testing.assert_array_equal(part.X[:, 0], index)
    np.testing.assert_array_equal(part.y, 10 * index)
    np.testing.assert_array_equal(part.cluster, index % 4)
    np.testing.assert_array_equal(part.features.toarray(), np.eye(103)[index])
    assert part.truth == {"dimension": 4}
    part.X[0] = 7  # a copy
    assert data.X[index[0], 0] == index[0]


def test_split_by_point():
    data = small()
    parts = data.split((0.7, 0.2, 0.1), rng=3)
    assert [len(p) for p in parts] == [72, 21, 10]
    ids = np.concatenate([p.X[:, 0] for p in parts])
    assert sorted(ids.tolist()) == list(range(103))
    for part, again in zip(parts, data.split((0.7, 0.2, 0.1), rng=3), strict=True):
        np.testing.assert_array_equal(part.y, 10.0 * part.X[:, 0])
        np.testing.assert_array_equal(part.X, again.X)
        assert (np.diff(part.X[:, 0]) > 0).all()
    other = data.split((0.7, 0.2, 0.1), rng=4)
    assert not np.array_equal(other[0].X, parts[0].X)
    some = data.split((0.3, 0.3), rng=3)
    assert [len(p) for p in some] == [31, 31]
    assert not set(some[0].y) & set(some[1].y)
    # Every row is as likely to be in the first part.
    counts = sum(np.bincount(data.split((0.5, 0.5), rng=s)[0].X[:, 0].astype(int), minlength=103)
                 for s in range(300))  # fmt: skip
    assert np.abs(counts - 150).max() < 5 * math.sqrt(75)


def test_split_by_cluster():
    data = make_distribution(900, 3, 1, ensemble="yule")
    parts = data.split((0.5, 0.3, 0.2), by="cluster", rng=2)
    members = [set(p.cluster.tolist()) for p in parts]
    n = data.cluster_size.size
    assert [len(m) for m in members] == np.diff(np.rint(np.array([0, 0.5, 0.8, 1]) * n)).tolist()
    assert len(set.union(*members)) == n
    assert sum(len(p) for p in parts) == 900
    for part in parts:
        np.testing.assert_array_equal(part.cluster_size, data.cluster_size)
        counts = np.bincount(part.cluster, minlength=n)
        np.testing.assert_array_equal(counts[counts > 0], data.cluster_size[counts > 0])
    # Control: a split by point cuts clusters.
    cut = [set(p.cluster.tolist()) for p in data.split((0.5, 0.3, 0.2), rng=2)]
    assert cut[0] & cut[1]


@pytest.mark.parametrize(
    ("fractions", "by", "message"),
    [
        ((0.5, 0.6), "point", "sum to at most 1"),
        ((1.0, 0.0), "point", "must be positive"),
        ((1.5, -0.5), "point", "must be positive"),
        ((0.999, 0.001), "point", "103 points are too few"),
        ((0.9, 0.1), "cluster", "4 clusters are too few"),
        ((0.5, 0.5), "clusters", "unknown by 'clusters'"),
        ((0.5, math.nan), "point", "non-finite"),
    ],
)
def test_what_split_refuses(fractions, by, message):
    with pytest.raises(ValueError, match=message):
        small().split(fractions, by)


def test_parts_without_points_are_refused():
    data = small(cluster=np.zeros(103, int), cluster_size=np.array([70, 50]))
    with pytest.raises(ValueError, match="empty"):
        data.split((0.5, 0.5), by="cluster")


@pytest.mark.parametrize("size", [1, 10, 103, 1000])
@pytest.mark.parametrize("rng", ["in order", 0, 1])
def test_batches_hold_each_row_once(size, rng):
    data = small()
    xs, ys = zip(*data.batches(size, rng), strict=True)
    assert [len(x) for x in xs] == [len(y) for y in ys]
    assert {len(x) for x in xs[:-1]} <= {size}
    x, y = np.concatenate(xs), np.concatenate(ys)
    np.testing.assert_array_equal(y, 10 * x[:, 0])
    np.testing.assert_array_equal(np.sort(y), data.y)
    assert x.dtype == np.float32
    assert (rng == "in order") == bool((np.diff(y) > 0).all())


def test_shuffled_batches_of_many_blocks():
    n = 3 * (1 << 14) + 1000
    data = small(n)
    xs, ys = zip(*data.batches(700, 5), strict=True)
    y = np.concatenate(ys)
    np.testing.assert_array_equal(np.sort(y), data.y)
    np.testing.assert_array_equal(np.concatenate(xs)[:, 0] * 10.0, y)
    assert all(len(x) == 700 for x in xs[:-1])
    again = np.concatenate([y for _, y in data.batches(700, 5)])
    np.testing.assert_array_equal(y, again)
    assert not np.array_equal(y, np.concatenate([y for _, y in data.batches(700, 6)]))
    # Blocks are visited in random order and each is shuffled: no trend inside a batch.
    rank = np.corrcoef(np.arange(700), ys[3])[0, 1]
    assert abs(rank) * math.sqrt(700) < 5


def test_batches_refuse_size_zero():
    with pytest.raises(ValueError, match="batch_size must be in"):
        next(small().batches(0))


def test_batches_refuse_other_words():
    with pytest.raises((TypeError, ValueError)):
        next(small().batches(10, "shuffled"))


def test_torch_view():
    torch = pytest.importorskip("torch")
    data = small(y=np.stack([np.arange(103.0), np.ones(103)], axis=1))
    view = data.to_torch()
    assert len(view) == 103
    x, y = view[5]
    assert x.dtype == y.dtype == torch.float32
    assert (x.tolist(), y.tolist()) == ([5.0, -5.0], [5.0, 1.0])
    loader = torch.utils.data.DataLoader(view, batch_size=10)
    x = torch.cat([x for x, _ in loader])
    np.testing.assert_array_equal(x.numpy(), data.X)


def test_torch_view_says_what_to_install(monkeypatch):
    import builtins
    import sys

    original = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "torch":
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "percolaw.datasets.torch_view", raising=False)
    for name in [m for m in sys.modules if m.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[nn\]'"):
        small().to_torch()


def test_provenance_and_truth_are_plain():
    import json

    made = [
        make_cluster(5, 3, 1),
        make_cluster(5, 3, Streams(1).child(4), size=50, coordination_number=6),
        make_distribution(5, 3, 1, n_clusters=3),
        make_distribution(5, 3, np.random.default_rng(0), ensemble="yule"),
        make_manifold((("cube", 2), ("ball", 1)), 5),
    ]
    for data in made:
        for part in (data.truth, data.provenance):
            assert json.loads(json.dumps(part, allow_nan=False)) == part
        assert data.provenance["maker"].startswith("make_")
        assert isinstance(data.provenance["seed"], int)
    assert made[1].provenance["path"] == [4]
    assert made[0].provenance["size"] == "inf"
    assert made[0].truth["dimension"] == 3  # all that three dimensions can hold
    assert make_cluster(5, 8).truth["dimension"] == 4


def test_points_of_your_own_need_no_clusters():
    data = Dataset(np.arange(12.0).reshape(6, 2), np.arange(6.0))
    assert data.cluster.tolist() == [0] * 6
    assert data.cluster_size.tolist() == [6]
    assert (data.truth, data.provenance, data.columns) == ({}, {}, {})
    assert data.truth is not Dataset(data.X, data.y).truth
    grouped = Dataset(data.X, data.y, [0, 2, 2, 0, 2, 0])
    assert grouped.cluster_size.tolist() == [3, 0, 3]
    assert [len(part) for part in grouped.split((0.5, 0.5), by="point")] == [3, 3]


def test_rows_slices_and_iteration():
    data = make_cluster(5000, 3)
    part = data[10:20:2]
    np.testing.assert_array_equal(part.X, data.X[10:20:2])
    np.testing.assert_array_equal(part.cluster, data.cluster[10:20:2])
    np.testing.assert_array_equal(data[data.y > 0].y, data.y[data.y > 0])
    np.testing.assert_array_equal(data[[3, 1]].y, data.y[[3, 1]])
    x, y = data[-1]
    np.testing.assert_array_equal(x, data.X[-1])
    assert y == data.y[-1]
    with pytest.raises(TypeError, match=r"points and labels; pass its points, data.X"):
        np.asarray(data)
    with pytest.raises(IndexError, match="row 5000 is not there; the dataset has 5000"):
        data[5000]
    rows = list(data)
    assert len(rows) == 5000, "more than one block"
    np.testing.assert_array_equal([y for _, y in rows], data.y)
    np.testing.assert_array_equal(rows[4500][0], data.X[4500])
