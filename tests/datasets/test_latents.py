"""Datasets with latents: columns round trip in every format, features of others, batches, refusals."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

import percolaw as pl
from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.latents import hierarchy_columns, latents, make_hierarchy
from percolaw.targets.hierarchical import HierarchicalFunction


def sets(merges, row):
    return {frozenset(row[merges.members(i)].tolist()) for i in range(merges.n_latents)}


@pytest.fixture(scope="module", params=["one", "yule"])
def data(request):
    return make_hierarchy(300, dim=6, rng=1, ensemble=request.param)


def test_labels_are_the_function_of_the_latents(data):
    known = latents(data)
    merges = known.merges
    raw = make_hierarchy(
        300, 6, 1, ensemble=data.provenance["ensemble"], standardized=False, normalized=False
    )
    y = raw.y[known.row]
    inside = merges.membership(np.arange(merges.n_latents))
    own = y - inside @ known.normal  # what is left is a standard normal a point
    assert abs(own.mean()) < 4 / np.sqrt(300)
    assert abs(own.var() - 1) < 4 * np.sqrt(2 / 300)
    np.testing.assert_array_equal(raw.columns["latent_normal"], data.columns["latent_normal"])
    pairs = [merges.members(i) for i in np.flatnonzero(merges.sizes() == 2)]
    assert all(data.cluster[known.row[a]] == data.cluster[known.row[b]] for a, b in pairs)


def test_columns_hold_the_whole_hierarchy():
    """Against the hierarchy itself, site by site; clusters of one and two sites are there."""
    tree = conditioned_clusters([40, 1, 7, 2], np.inf, rng=1)
    drawn = HierarchicalFunction().sample(tree, rng=2)
    row = np.random.default_rng(0).permutation(50)
    columns = {k: v[row] for k, v in hierarchy_columns(drawn.merges, drawn.latent).items()}
    cluster = np.repeat(np.arange(4), tree.sizes)[row]
    again = latents(Dataset(np.zeros((50, 2)), np.zeros(50), cluster, columns=columns))
    assert sets(again.merges, row[again.row]) == sets(drawn.merges, np.arange(50))
    np.testing.assert_array_equal(again.normal, drawn.latent)
    np.testing.assert_array_equal(again.merges.sizes(), drawn.merges.sizes())
    np.testing.assert_array_equal(again.merges.order, np.arange(50))


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.zarr", "a.parquet"])
def test_the_hierarchy_is_kept_on_disk(tmp_path, data, name):
    pl.save(data, tmp_path / name)
    before, after = latents(data), latents(pl.load(tmp_path / name))
    assert repr(after) == f"Latents({before.merges}, with normals)"
    np.testing.assert_array_equal(after.merges.nodes.parent, before.merges.nodes.parent)
    np.testing.assert_array_equal(after.normal, before.normal)
    np.testing.assert_array_equal(after.row, before.row)


@pytest.mark.parametrize("with_values", [False, True])
def test_features_of_others_are_read(with_values):
    merges = merge_tree(conditioned_clusters([30, 1, 5, 1], np.inf, rng=3), rng=1)
    n, m = merges.n_sites, merges.n_latents
    rng = np.random.default_rng(0)
    row, column, z = rng.permutation(n), rng.permutation(m), rng.standard_normal(m)
    matrix = merges.membership(np.arange(m)).astype(float)
    if with_values:
        matrix = sparse.csr_array(matrix * z)
    data = Dataset(np.zeros((n, 2)), np.zeros(n), features=sparse.csr_array(matrix[row][:, column]))
    known = latents(data)
    assert sets(known.merges, row[known.row]) == sets(merges, np.arange(n))
    if with_values:
        by_set = {frozenset(merges.members(i).tolist()): z[i] for i in range(m)}
        for i in range(m):
            members = frozenset(row[known.row[known.merges.members(i)]].tolist())
            assert known.normal[i] == pytest.approx(by_set[members])
    else:
        assert np.isnan(known.normal).all()


def test_batches_tell_who_belongs(data):
    known = latents(data)
    chosen = np.flatnonzero(known.merges.sizes() >= 4)[:9]
    inside = known.merges.membership(chosen).toarray()
    by_point = {tuple(data.X[known.row[s]].tolist()): inside[s] for s in range(300)}
    seen = 0
    for x, member in known.batches(data, chosen, 64):
        assert x.shape == (member.shape[0], 6)
        for point, row in zip(x.tolist(), member, strict=True):
            np.testing.assert_array_equal(by_point[tuple(point)], row)
            seen += 1
    assert seen == 300


def test_rows_and_features_that_are_no_hierarchy_are_refused(data):
    with pytest.raises(ValueError, match="rows of the hierarchy are missing"):
        latents(data.take(np.arange(100)))
    with pytest.raises(ValueError, match="has no hierarchy"):
        latents(pl.make_cluster(10, 3))
    columns = {**data.columns, "latent_after": np.zeros(300, dtype=np.int64)}
    with pytest.raises(ValueError, match="damaged"):
        latents(dataclasses.replace(data, columns=columns))
    for wrong in ([[1, 1], [1, 0], [0, 1]], [[1], [1], [1]], [[1, 0], [0, 1], [1, 1]]):
        features = sparse.csr_array(np.array(wrong, dtype=float))
        with pytest.raises(ValueError, match="no hierarchy of latents"):
            latents(Dataset(np.zeros((3, 2)), np.zeros(3), features=features))
    with pytest.raises(ValueError, match="dim"):
        make_hierarchy(10, 1, steps="latents")


def test_points_of_latent_steps_and_nested_numbers():
    one = make_hierarchy(500, 8, rng=2, steps="latents")
    two = make_hierarchy(500, 8, rng=2, steps="latents")
    np.testing.assert_array_equal(one.X, two.X)
    assert one.provenance == two.provenance
    other = make_hierarchy(500, 8, rng=2)
    np.testing.assert_array_equal(one.y, other.y)
    assert not np.array_equal(one.X, other.X)
