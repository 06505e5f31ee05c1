"""Files of other programs: the published generator's pair, offsets, integers, complex numbers."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from format_cases import outcome
from scipy import sparse

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import (
    DatasetError,
    load,
    save,
)

GENERATOR = np.random.default_rng(0)
N = 300
X = GENERATOR.normal(size=(N, 8))
Y = GENERATOR.normal(size=N)
#: A third of the points found clusters.
CLUSTER = np.sort(np.concatenate([np.arange(100), GENERATOR.integers(0, 100, 200)]))
SIZE = np.bincount(CLUSTER)[CLUSTER]
HEIGHT = GENERATOR.integers(0, 9, N)
FEATURES = sparse.random_array((N, 120), density=0.05, rng=GENERATOR, format="csr")
NAME = "percolation_dataset_size300_dim8_seed0"


def published(folder, name=NAME, features=FEATURES, **changes):
    """Write what the generator's script writes: one file compressed, one by SciPy."""
    parts = {
        "X": X, "y": Y, "cluster_id": list(CLUSTER), "cluster_size": list(SIZE),
        "latent_tree_height": list(HEIGHT), **changes,
    }  # fmt: skip
    np.savez_compressed(folder / f"{name}.npz", **{k: v for k, v in parts.items() if v is not None})
    if features is not None:
        sparse.save_npz(folder / f"{name}_gt_features.npz", sparse.csr_matrix(features))
    return folder / f"{name}.npz"


def same(a, b):
    return (sparse.csr_array(a) != sparse.csr_array(b)).nnz == 0


# ---- the published pair


def test_the_published_pair_is_read_whole(tmp_path):
    got = load(published(tmp_path))
    np.testing.assert_array_equal(got.X, X.astype(np.float32))
    np.testing.assert_array_equal(got.y, Y)
    np.testing.assert_array_equal(got.cluster, CLUSTER)
    np.testing.assert_array_equal(got.size, SIZE)
    assert same(got.features, FEATURES)
    assert got.columns.keys() == {"latent_tree_height"}
    np.testing.assert_array_equal(got.columns["latent_tree_height"], HEIGHT)
    assert got.truth == {"dimension": 4, "fisher_exponent": 2.5}
    assert got.provenance == {
        "maker": "file", "file": f"{NAME}.npz", "features": f"{NAME}_gt_features.npz",
    }  # fmt: skip
    part = got.take([9, 4])
    np.testing.assert_array_equal(part.columns["latent_tree_height"], HEIGHT[[9, 4]])
    assert same(part.features, FEATURES[[9, 4]])


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])
def test_it_is_kept_in_our_formats(tmp_path, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    got = load(save(load(published(tmp_path)), tmp_path / f"ours{suffix}"))
    assert same(got.features, FEATURES)
    np.testing.assert_array_equal(got.columns["latent_tree_height"], HEIGHT)
    assert got.truth == {"dimension": 4, "fisher_exponent": 2.5}


def test_features_are_named_where_they_lie_elsewhere(tmp_path):
    (tmp_path / "far").mkdir()
    path = published(tmp_path, features=None)
    assert load(path).features is None
    other = published(tmp_path / "far").with_name(f"{NAME}_gt_features.npz")
    assert same(load(path, features=other).features, FEATURES)
    sparse.save_npz(tmp_path / "csc.npz", sparse.csc_array(FEATURES))
    assert same(load(path, features=tmp_path / "csc.npz").features, FEATURES)
    ours = save(load(path), tmp_path / "ours.npy")
    assert same(load(ours, features=other).features, FEATURES)


def test_features_are_found_where_a_link_leads(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "mine.npz").symlink_to(published(tmp_path / "far"))
    assert same(load(tmp_path / "mine.npz").features, FEATURES)


def test_features_that_do_not_fit(tmp_path):
    path = published(tmp_path, features=FEATURES[:299])
    with pytest.raises(
        DatasetError, match=r"_gt_features\.npz does not fit.*299 rows and X has 300"
    ):
        load(path)
    path = published(tmp_path)
    with pytest.raises(DatasetError, match="there is no"):
        load(path, features=tmp_path / "none.npz")
    np.savez(tmp_path / "dense.npz", a=X)
    with pytest.raises(DatasetError, match="holds no sparse matrix"):
        load(path, features=tmp_path / "dense.npz")
    sparse.save_npz(tmp_path / "bsr.npz", sparse.bsr_array(FEATURES))
    with pytest.raises(DatasetError, match="in format 'bsr'; save it as CSR"):
        load(path, features=tmp_path / "bsr.npz")
    sparse.save_npz(tmp_path / "coo.npz", sparse.coo_array(FEATURES))
    with pytest.raises(DatasetError, match="holds no sparse matrix"):
        load(path, features=tmp_path / "coo.npz")
    beside = tmp_path / f"{NAME}_gt_features.npz"
    beside.write_bytes(beside.read_bytes()[:-40])
    with pytest.raises(DatasetError):
        load(path)


def test_the_features_alone_say_what_they_are(tmp_path):
    path = published(tmp_path)
    with pytest.raises(
        DatasetError, match=r"holds a sparse matrix .* and no points\. Load the file"
    ):
        load(path.with_name(f"{NAME}_gt_features.npz"))


def test_a_filtered_pair(tmp_path):
    name = f"{NAME}_filtered_cluster_size_min250"
    path = published(tmp_path, name, features=None, cluster_id=None, cluster_size=None,
                     latent_tree_height=None)  # fmt: skip
    sparse.save_npz(tmp_path / f"{NAME}_gt_features_filtered_cluster_size_min250.npz", FEATURES)
    got = load(path)
    assert same(got.features, FEATURES)
    assert got.truth == {"dimension": 4}  # sizes were selected: their law is not known


@pytest.mark.parametrize("clusters", [1, 20, 200])
def test_only_what_is_known_is_called_truth(tmp_path, clusters):
    cluster = np.arange(N) % clusters
    got = load(published(tmp_path, cluster_id=cluster, cluster_size=np.bincount(cluster)[cluster]))
    assert got.truth == {"dimension": 4}
    np.savez(tmp_path / "mine.npz", X=X, y=Y, cluster_id=CLUSTER)
    assert load(tmp_path / "mine.npz").truth == {}


def test_sizes_of_points_that_are_one_a_cluster(tmp_path):
    np.savez(tmp_path / "a.npz", X=X[:3], y=Y[:3], cluster_id=[9, 2, 5], cluster_size=[90, 20, 50])
    got = load(tmp_path / "a.npz")
    assert got.size.tolist() == [90, 20, 50]
    for sizes in ([90, 20, 50.5], [90, 20, 50j]):
        np.savez(tmp_path / "b.npz", X=X[:3], y=Y[:3], cluster_id=[9, 2, 5], cluster_size=sizes)
        with pytest.raises(DatasetError, match="cluster_size"):
            load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", X=X[:3], y=Y[:3], cluster_id=[9, 9, 5], cluster_size=[90, 20, 50])
    with pytest.raises(DatasetError, match="differs between points of one cluster"):
        load(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "sizes", [[-3, 20, 50], [np.nan, 20, 50], [np.inf, 20, 50], [1e19, 20, 50]]
)
def test_sizes_that_are_none(tmp_path, sizes):
    np.savez(tmp_path / "a.npz", X=X[:3], y=Y[:3], cluster_id=[9, 2, 5], cluster_size=sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DatasetError, match="cluster_size must hold whole numbers"):
            load(tmp_path / "a.npz")


def test_points_without_a_cluster(tmp_path):
    np.savez(tmp_path / "a.npz", X=X[:3], y=Y[:3], cluster_id=[9.0, np.nan, 5.0])
    with pytest.raises(DatasetError, match="cluster_id holds NaN"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", X=X[:3], y=Y[:3], cluster_id=[9, -1, 5])  # a cluster like others
    assert load(tmp_path / "a.npz").cluster.tolist() == [2, 0, 1]


@pytest.mark.parametrize("cluster", [[-1, 0, 1], [0, 1, 2], [2**40, 0, 1]])
def test_clusters_of_a_dataset_are_numbered(cluster):
    """Minus one, say: as an index it would be the last cluster."""
    with pytest.raises(ValueError, match="cluster must hold numbers of the 2 clusters"):
        Dataset(X[:3], Y[:3], np.array(cluster), np.array([2, 1]))
    with pytest.raises(ValueError, match="cluster_size must be >= 0"):
        Dataset(X[:3], Y[:3], np.array([0, 0, 1]), np.array([2, -1]))


def test_columns_of_any_file(tmp_path):
    np.savez(
        tmp_path / "a.npz", X=X, y=Y, depth=HEIGHT, weight=Y, names=["a"] * N, table=X, short=Y[:5],
        cluster_id=[f"c{c}" for c in CLUSTER], **{"../../evil": Y, "a b": Y},
    )  # fmt: skip
    got = load(tmp_path / "a.npz")
    assert got.columns.keys() == {"depth", "weight"}
    assert got.cluster_size.size == 100
    save(got, tmp_path / "ours.npy")


def test_matrices_of_other_rows_are_passed_over(tmp_path):
    graph = sparse.csr_array(np.eye(7))
    np.savez(
        tmp_path / "a.npz", X=X, y=Y, graph_data=graph.data, graph_indices=graph.indices,
        graph_indptr=graph.indptr, graph_shape=graph.shape,
    )  # fmt: skip
    assert load(tmp_path / "a.npz").features is None


# ---- coordinates that float32 does not hold as they are


def distinct(x):
    return len(np.unique(np.asarray(x), axis=0))


def foreign(folder, x, y=None):
    np.savez(folder / "a.npz", X=x, y=np.arange(float(len(x))) if y is None else y)
    return folder / "a.npz"


STEPS = np.arange(400).reshape(100, 4)
FAR = {
    "1e8": X + 1e8,
    "one column": X + np.array([0, 0, 1e12, 0, 0, 0, 0, 0]),
    "large integers": STEPS + 2**60,
    "the largest": STEPS.astype(np.uint64) + np.uint64(2**64 - 500),
    "the whole range": np.array([[-(2**63)], [-(2**63) + 1], [0], [2**63 - 1]]),
    "long doubles": X.astype(np.longdouble) + 1e18,
}


def plain(x):
    """Numbers that Fraction takes as they are."""
    if x.dtype.kind != "f":
        return x.tolist()
    return [[Fraction(*v.as_integer_ratio()) for v in row] for row in x]


@pytest.mark.parametrize("name", FAR)
def test_offsets_are_taken_off(tmp_path, name):
    x = FAR[name]
    if name == "long doubles" and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("no long doubles here")
    got = load(foreign(tmp_path, x))
    assert got.X.dtype == np.float32
    assert distinct(got.X) == distinct(x)
    # The file's numbers minus the origin are X, to the precision of float32.
    origin = got.provenance["origin"]
    exact = [[Fraction(v) - Fraction(o) for v, o in zip(r, origin, strict=True)] for r in plain(x)]
    np.testing.assert_allclose(got.X, np.array(exact, dtype=float), rtol=2**-23)
    save(got, tmp_path / "ours.npy")


def test_points_that_float32_holds_stay_as_they_are(tmp_path):
    for x in (X, X.astype(np.float16), STEPS, X > 0, X * 1e-30, X + 100.0):
        got = load(foreign(tmp_path, x))
        np.testing.assert_array_equal(got.X, x.astype(np.float32))
        assert got.provenance == {"maker": "file", "file": "a.npz"}
    twice = np.concatenate([X, X])
    assert load(foreign(tmp_path, twice)).provenance == {"maker": "file", "file": "a.npz"}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X + 1j, "X holds complex128, not numbers"),
        (np.concatenate([X, X + 1e9]), "of 600 distinct points would coincide"),
        (X * 1e-60, "would coincide in float32"),
        (X * 1e60, "beyond 3.4e38"),
        (np.where(X[0, 0] == X, np.inf, X), "must be finite"),
        (X.astype(str), "not numbers"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, x, message):
    with pytest.raises(DatasetError, match=message):
        load(foreign(tmp_path, x))


def test_a_few_points_lost_by_rounding_are_counted(tmp_path):
    x = np.concatenate([X, X[:2] + 1e-12])
    assert load(foreign(tmp_path, x)).provenance["merged_by_rounding"] == 2


def test_labels_that_floats_do_not_hold(tmp_path):
    with pytest.raises(DatasetError, match="y holds complex128, not numbers"):
        load(foreign(tmp_path, X, Y + 1j))
    with pytest.raises(DatasetError, match=r"integers beyond 2\^53"):
        load(foreign(tmp_path, X, np.arange(N) + 2**60))
    assert load(foreign(tmp_path, X, np.arange(N))).y.dtype == np.float64


def test_columns_are_part_of_a_dataset():
    zeros = np.zeros(3, np.int64)
    data = Dataset(X[:3].astype("f4"), Y[:3], zeros, zeros[:1], columns={"a": np.arange(3)})
    assert data.split((0.4, 0.6))[1].columns["a"].size == 2


# ---- files with some of the arrays


def test_file_with_points_and_labels_only(tmp_path):
    x, y = np.random.default_rng(0).random((20, 3)), np.arange(20.0)
    np.savez(tmp_path / "a.npz", X=x, y=y[:, None])
    got = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(got.X, x.astype(np.float32))
    assert got.X.dtype == np.float32
    np.testing.assert_array_equal(got.y, y)
    assert got.cluster.tolist() == [0] * 20
    assert got.cluster_size.tolist() == [20]
    assert got.features is None
    assert got.provenance == {"maker": "file", "file": "a.npz"}
    np.savez_compressed(tmp_path / "b.npz", X=x.astype(int), y=np.stack([y, y], axis=1))
    assert load(tmp_path / "b.npz").y.shape == (20, 2)


@pytest.mark.parametrize("ids", ["cluster_ids", "cluster_id", "cluster", "clusters"])
@pytest.mark.parametrize("per_point", [False, True])
def test_file_with_clusters_and_features(tmp_path, ids, per_point):
    generator = np.random.default_rng(1)
    cluster = np.array([7, 3, 3, 9, 7, 3, 12, 9])  # names of clusters, not numbers from 0
    table = {3: 300, 7: 70, 9: 900, 12: 12}
    sizes = [table[c] for c in cluster] if per_point else [table[c] for c in sorted(table)]
    matrix = sparse.random_array((8, 50), density=0.1, rng=generator, format="csr")
    np.savez(
        tmp_path / "a.npz",
        X=generator.random((8, 3)),
        y=generator.random(8),
        **{ids: cluster, "cluster_sizes": np.array(sizes)},
        features_data=matrix.data,
        features_indices=matrix.indices,
        features_indptr=matrix.indptr,
        features_shape=np.array(matrix.shape),
    )
    got = load(tmp_path / "a.npz")
    assert got.cluster.tolist() == [1, 0, 0, 2, 1, 0, 3, 2]
    assert got.cluster_size.tolist() == [300, 70, 900, 12]
    assert got.size.tolist() == [table[c] for c in cluster]
    assert got.rank.tolist() == [3, 2, 2, 1, 3, 2, 4, 1]
    assert (got.features != matrix).nnz == 0
    part = got.take([6, 1])
    np.testing.assert_array_equal(part.features.toarray(), matrix.toarray()[[6, 1]])


def test_file_with_sizes_of_no_known_order(tmp_path):
    # Neither one a cluster nor one a point: the points are counted.
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 1)), y=np.zeros(4), cluster_ids=[5, 5, 6, 5],
             cluster_sizes=np.arange(9))  # fmt: skip
    assert load(tmp_path / "a.npz").cluster_size.tolist() == [3, 1]


GOOD = {"X": np.zeros((4, 2)), "y": np.zeros(4)}
CSR = {"f_data": [1.0], "f_indices": [0], "f_indptr": [0, 1, 1, 1, 1], "f_shape": [4, 3]}


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"X": GOOD["X"]},
        {"y": GOOD["y"]},
        {**GOOD, "X": np.zeros(4)},
        {**GOOD, "X": np.full((4, 2), np.nan)},
        {**GOOD, "X": np.full((4, 2), "a")},
        {**GOOD, "y": np.zeros(5)},
        {**GOOD, "y": np.full(4, "b")},
        {**GOOD, "cluster_ids": np.zeros(3, int)},
        {**GOOD, **CSR, "f_indices": [99]},
        {**GOOD, **CSR, "f_indptr": [0, 5]},
        {**GOOD, **CSR, "f_shape": [4]},
    ],
)
def test_foreign_files_that_cannot_be_read(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DatasetError, match=r"a\.npz"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("y", [np.float64(3.0), np.zeros(())])
def test_foreign_scalar_labels(tmp_path, y):
    np.savez(tmp_path / "a.npz", X=GOOD["X"], y=y)
    with pytest.raises(DatasetError):
        load(tmp_path / "a.npz")


def test_foreign_compressed_files_damaged(tmp_path):
    generator = np.random.default_rng(3)
    good = tmp_path / "a.npz"
    np.savez_compressed(good, X=generator.random((200, 3)).round(1), y=np.arange(200.0))
    whole = good.read_bytes()
    wanted = load(good)
    errors = 0
    for place in range(0, len(whole), 5):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(generator.integers(8))
        good.write_bytes(bytes(broken))
        result = outcome(good, wanted)
        assert result != "other"
        errors += result == "error"
    for cut in range(0, len(whole), 97):
        good.write_bytes(whole[:cut])
        assert outcome(good, wanted) == "error"
    assert errors > 100
