"""Single rows of Zarr arrays on disk: the same numbers, checked, and quick when batches are shuffled."""

import pickle

import numpy as np
import pytest

from percolaw import Dataset, make_cluster
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats import load, save, stream_cluster
from percolaw.datasets.stored_rows import stored_rows
from percolaw.errors import DatasetError

ROWS = np.array([0, 299, 64, 63, 299, 128, -1, -300])


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """300 points in 7 dimensions, in chunks of 64 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CHUNK_ROWS", 64)
        return load(save(make_cluster(300, 7, 0), tmp_path_factory.mktemp("rows") / "a.zarr"))


def test_rows_are_those_of_the_array(stored):
    whole = np.asarray(stored.X[:])
    for rows in (ROWS, np.arange(300), np.empty(0, dtype=np.int64)):
        found = stored_rows(stored.X).take(rows)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, whole[rows])
        np.testing.assert_array_equal(stored.take(rows).X, whole[rows])
    np.testing.assert_array_equal(stored.take(np.arange(300) % 7 == 0).X, whole[::7])


def test_chunks_of_columns(tmp_path):
    path = stream_cluster(tmp_path / "a.zarr", 300, 7, 0, memory=300 * 4 * 3)
    array = load(path).X
    assert array.chunks == (300, 3)
    np.testing.assert_array_equal(stored_rows(array).take(ROWS), np.asarray(array[:])[ROWS])


def test_rows_that_do_not_exist(stored):
    for row in (300, -301):
        with pytest.raises(
            IndexError, match=rf"rows must be in \[-300, 299\]; got 5 to {row}|got {row}"
        ):
            stored_rows(stored.X).take(np.array([5, row]))


def test_damage_is_noticed(tmp_path, stored):
    path = save(stored, tmp_path / "a.zarr")
    reader = stored_rows(load(path).X)
    reader.take(np.array([3]))
    file = path / "X" / "c" / "1" / "0" if (path / "X" / "c" / "1").exists() else None
    file = file or path / "X" / "c" / "0" / "0"
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    fresh = stored_rows(load(path).X)
    with pytest.raises(DatasetError, match="is damaged: its checksum differs"):
        fresh.take(np.array([3]))
    # Once checked, a chunk is not read whole again; a copy of the reader checks for itself.
    reader.take(np.array([3]))
    assert pickle.loads(pickle.dumps(fresh)).checked == set()
    file.write_bytes(whole[:-1])
    with pytest.raises(DatasetError, match="is truncated"):
        fresh.take(np.array([3]))
    file.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        fresh.take(np.array([3]))


def test_other_arrays_are_left_to_their_makers(tmp_path):
    zarr = pytest.importorskip("zarr")
    x = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    assert stored_rows(x) is None
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    packed = group.create_array("X", shape=x.shape, chunks=(2, 3), dtype="float32")
    packed[...] = x
    assert stored_rows(packed) is None
    assert stored_rows(zarr.array(x)) is None  # in memory
    data = Dataset(packed, np.zeros(4), np.zeros(4, dtype=int), np.array([0]))
    np.testing.assert_array_equal(data.take([2, 0]).X, x[[2, 0]])


def test_shuffled_batches(stored):
    torch = pytest.importorskip("torch")
    view = pickle.loads(pickle.dumps(stored.to_torch()))  # as for a worker
    loader = torch.utils.data.DataLoader(view, batch_size=32, shuffle=True)
    pairs = {(*x.tolist(), float(y)) for xs, ys in loader for x, y in zip(xs, ys, strict=True)}
    expected = zip(np.asarray(stored.X[:]), stored.y.astype(np.float32), strict=True)
    assert pairs == {(*x.tolist(), float(y)) for x, y in expected}
    assert len(view.stored.checked) == 5
