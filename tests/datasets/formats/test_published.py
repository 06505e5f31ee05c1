"""The published generator's pair, written: what its readers expect, and back again."""

import dataclasses

import numpy as np
import pytest
from format_cases import contents
from scipy import sparse

import percolaw as pl

#: What the generator's own script writes: arrays, their types, and how many numbers a point has.
POINTS = {
    "X": ("float64", (6,)), "y": ("float64", ()), "cluster_id": ("int64", ()),
    "cluster_size": ("int64", ()), "latent_tree_height": ("int64", ()),
}  # fmt: skip
MATRIX = {"indices", "indptr", "format", "shape", "data"}


@pytest.fixture(scope="module", params=["one", "yule"])
def data(request):
    return pl.make_hierarchy(200, 6, 1, ensemble=request.param)


@pytest.fixture
def pair(data, tmp_path):
    path = pl.save_published(data, tmp_path / "a.npz")
    return path, tmp_path / "a_gt_features.npz"


def test_arrays_are_those_of_the_generator(data, pair):
    with np.load(pair[0]) as points:
        shapes = {name: (points[name].dtype.name, points[name].shape[1:]) for name in points.files}
        assert shapes == POINTS
        assert all(points[name].shape[0] == 200 for name in points.files)
        np.testing.assert_array_equal(points["cluster_size"], data.size)
        height = points["latent_tree_height"]
    with np.load(pair[1]) as stored:
        assert set(stored.files) == MATRIX
    features = sparse.load_npz(pair[1])
    assert type(features) is sparse.csr_matrix
    assert features.dtype == np.float64
    np.testing.assert_array_equal((features != 0).sum(axis=1).A1, height)
    known = pl.latents(data)
    for latent in (0, known.merges.n_latents - 1):  # a column is a latent: its points, its normal
        column = features[:, [latent]].toarray().ravel()
        rows = np.sort(known.row[known.merges.members(latent)])
        np.testing.assert_array_equal(np.flatnonzero(column), rows)
        assert set(column[rows]) == {known.normal[latent]}


def test_what_was_saved_is_loaded(data, pair, tmp_path):
    got = pl.load(pair[0])
    np.testing.assert_array_equal(got.X, data.X)
    np.testing.assert_array_equal(got.y, data.y)
    np.testing.assert_array_equal(got.cluster, data.cluster)
    before, after = pl.latents(data), pl.latents(got)
    np.testing.assert_array_equal(after.normal, before.normal)
    for i in range(before.merges.n_latents):
        sets = [set(k.row[k.merges.members(i)].tolist()) for k in (before, after)]
        assert sets[0] == sets[1]
    pl.save_published(got, tmp_path / "b.npz")
    for suffix in (".npz", "_gt_features.npz"):
        files = [np.load(tmp_path / f"{name}{suffix}") for name in "ab"]
        for name in files[0].files:
            np.testing.assert_array_equal(files[0][name], files[1][name])


def test_membership_alone_and_some_rows(data, tmp_path):
    """Without normals the matrix holds ones; a loaded pair may lose rows, its heights stay."""
    hidden = dataclasses.replace(
        data, columns={**data.columns, "latent_normal": np.full(200, np.nan)}
    )
    path = pl.save_published(hidden, tmp_path / "ones.npz")
    features = sparse.load_npz(tmp_path / "ones_gt_features.npz")
    assert features.dtype == np.int64
    assert np.unique(features.data).tolist() == [1]
    few = pl.load(path).take(np.arange(0, 200, 2))
    again = pl.load(pl.save_published(few, tmp_path / "few.npz"))
    np.testing.assert_array_equal(
        again.columns["latent_tree_height"], few.columns["latent_tree_height"]
    )
    assert (again.features != few.features).nnz == 0


def test_what_cannot_be_written_leaves_both_files(data, pair, tmp_path, monkeypatch):
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"a\.npz exists"):
        pl.save_published(data, pair[0])
    with pytest.raises(ValueError, match=r"pair of \.npz files; got a\.zarr"):
        pl.save_published(data, tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="rows of the hierarchy are missing"):
        pl.save_published(data.take([1, 2]), pair[0], overwrite=True)
    with pytest.raises(ValueError, match="has no hierarchy"):
        pl.save_published(pl.make_cluster(10, 3), pair[0], overwrite=True)

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(sparse, "save_npz", full)
    with pytest.raises(OSError, match="no space"):
        pl.save_published(data, pair[0], overwrite=True)
    locks = {name for name in contents(tmp_path) if name.endswith(".lock")}
    assert {k: v for k, v in contents(tmp_path).items() if k not in locks} == {
        k: v for k, v in before.items() if k not in locks
    }
    pair[0].unlink()
    with pytest.raises(FileExistsError, match=r"a_gt_features\.npz exists"):
        pl.save_published(data, pair[0])
