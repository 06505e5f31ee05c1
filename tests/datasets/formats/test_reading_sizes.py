"""Headers before numbers: declared sizes, members nobody asked for, objects, codecs, pipes."""

import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from percolaw import checks
from percolaw.datasets.formats import DatasetError, arrays, load, save
from percolaw.datasets.make import make_cluster
from percolaw.datasets.points import read_points
from percolaw.errors import ResourceError

zarr = pytest.importorskip("zarr")
arrow = pytest.importorskip("pyarrow")

SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")
DATA = make_cluster(60, 3, 1)
X = np.random.default_rng(0).normal(size=(400, 4))


def readers(path):
    return (lambda: load(path)), (lambda: read_points(path, 1000))


@pytest.fixture
def poor(monkeypatch):
    """A machine with 64 MiB."""
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 26)


def zeros_member(archive, name, shape, dtype="<f8"):
    """Add an array of zeros to an archive without holding it."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        head = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, head)
        left = int(np.prod(shape)) * np.dtype(dtype).itemsize
        while left:
            member.write(bytes(min(left, 1 << 20)))
            left -= min(left, 1 << 20)


def bomb(path, **shapes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in shapes.items():
            zeros_member(archive, name, shape)
    return path


def test_members_nobody_asks_for_are_not_read(tmp_path, poor):
    path = bomb(tmp_path / "a.npz", X=(50, 3), y=(50,), a=(10**7,), b=(50, 10**5), c=(3, 4, 10**6))
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    for read in readers(path):
        read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22


@pytest.mark.parametrize("name", ["X", "y", "cluster_id", "cluster_size", "column"])
def test_sizes_of_members_are_looked_at_first(tmp_path, poor, name):
    shapes = {"X": (50, 3), "y": (50,), name: (10**7,)}
    if name != "cluster_id":
        shapes = {"X": (10**7, 1), "y": (10**7,), name: (10**7, 1) if name == "X" else (10**7,)}
    with pytest.raises(ResourceError, match=r"a\.npz needs .* of memory"):
        load(bomb(tmp_path / "a.npz", **shapes))


def test_small_files_do_not_unfold_to_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "UNFOLDED", 1 << 20)
    path = bomb(tmp_path / "a.npz", X=(10**6, 2), y=(10**6,))
    for read in readers(path):
        with pytest.raises(DatasetError, match=r"X would unfold from .* to 15\.3 MiB"):
            read()
    table = arrow.table({"a": np.zeros(10**6), "b": np.ones(10**6)})
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="would unfold"):
        read_points(tmp_path / "a.parquet", 10)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_is_asked_for_before_it_is_taken(tmp_path, suffix, monkeypatch):
    path = save(DATA, tmp_path / f"a{suffix}")
    monkeypatch.setattr(checks, "available_memory", lambda: 100)
    for read in readers(path):
        with pytest.raises(ResourceError, match="of memory"):
            read()


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet", ".npz", ".zarr"])
def test_memory_of_tables(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, X)
    elif suffix == ".csv":
        np.savetxt(path, X, delimiter=",")
    elif suffix == ".npz":
        np.savez(path, X=X)
    elif suffix == ".zarr":
        zarr.create_array(str(path), shape=X.shape, dtype=X.dtype)[:] = X
    else:
        from pyarrow import parquet

        parquet.write_table(arrow.table({f"c{j}": X[:, j] for j in range(4)}), path)
    assert read_points(path, 1000)[0].shape == (400, 4)
    monkeypatch.setattr(checks, "available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match=r"reading .*a|chunk"):
        read_points(path, 1000)


def test_want_of_memory_is_said(tmp_path, monkeypatch):
    path = save(DATA, tmp_path / "a.npz")

    def none(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", none)
    for read in readers(path):
        with pytest.raises(ResourceError, match=r"a\.npz needs more memory than there is"):
            read()


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }"


@pytest.mark.parametrize("rows", [10**13, 401, 399, -400])
def test_headers_that_do_not_fit_their_files(tmp_path, rows):
    np.save(tmp_path / "a.npy", X[:, :2])
    content = (tmp_path / "a.npy").read_bytes()
    wrong = content[:10] + (HUGE % rows).ljust(117) + b"\n" + content[128:]
    (tmp_path / "a.npy").write_bytes(wrong)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", wrong)
        archive.writestr("y.npy", content)
    for suffix in (".npy", ".npz"):
        with pytest.raises(DatasetError, match="declares"):
            read_points(tmp_path / f"a{suffix}", 10)
    with pytest.raises(DatasetError, match="declares"):
        load(tmp_path / "a.npz")


def test_objects_nobody_asks_for_are_passed_over(tmp_path):
    names = np.array(["a", None], dtype=object)
    np.savez(tmp_path / "one.npz", data=X, names=names, table=np.array([[1, None]], dtype=object))
    np.savez(tmp_path / "ours.npz", X=X, y=X[:, 0], names=names, more=np.array(["a"] * 400, object))
    np.testing.assert_array_equal(read_points(tmp_path / "one.npz", 1000)[0], X)
    assert load(tmp_path / "ours.npz").columns == {}
    with pytest.raises(DatasetError, match="names holds Python objects"):
        read_points(tmp_path / "one.npz", 1000, array="names")
    np.savez(tmp_path / "bad.npz", X=X, y=names)
    with pytest.raises(DatasetError, match="y holds Python objects"):
        load(tmp_path / "bad.npz")
    np.save(tmp_path / "obj.npy", names)
    with pytest.raises(DatasetError, match=r"obj\.npy holds Python objects"):
        read_points(tmp_path / "obj.npy", 10)


def test_bfloat16_is_explained(tmp_path):
    raw = X.astype(np.float32).view("V2")  # what numpy makes of bfloat16
    np.save(tmp_path / "b.npy", raw)
    np.savez(tmp_path / "b.npz", X=raw, y=X[:, 0])
    for name in ("b.npy", "b.npz"):
        with pytest.raises(DatasetError, match="bfloat16 is stored without its name"):
            read_points(tmp_path / name, 10)
    with pytest.raises(DatasetError, match="bfloat16"):
        load(tmp_path / "b.npz")


# ---- Zarr: codecs


def edited(path, **changes):
    file = path / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    "codecs",
    [
        [{"name": "vlen-utf8"}],
        [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "crc32c"}],
        [{"name": "bytes", "configuration": {"endian": "little"}}],
        [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 0, "checksum": False}}],
    ],
)
def test_codecs_of_datasets(tmp_path, codecs):
    path = save(DATA, tmp_path / "a.zarr")
    edited(path / "y", codecs=codecs)
    with pytest.raises(DatasetError):
        load(path)


def test_text_of_any_length_is_not_decoded(tmp_path):
    path = save(DATA, tmp_path / "a.zarr")
    chunk = path / "y" / "c" / "0"
    chunk.write_bytes((1 << 31).to_bytes(4, "little") + chunk.read_bytes()[4:])
    edited(path / "y", codecs=[{"name": "vlen-utf8"}], data_type="string", fill_value="")
    tracemalloc.start()
    with pytest.raises(DatasetError):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@pytest.mark.parametrize("more", [{}, {"shards": (400, 4), "chunks": (100, 2)}, {"zarr_format": 2}])
def test_compressed_arrays_of_others_are_read(tmp_path, more):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=X.shape, dtype="f8", **more)
    array[:] = X
    np.testing.assert_array_equal(read_points(tmp_path / "a.zarr", 1000)[0], X)


def test_filters_of_others_are_not_run(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), shape=X.shape, dtype="f8", zarr_format=2)[:] = X
    file = tmp_path / "a.zarr" / ".zarray"
    meta = json.loads(file.read_text())
    for name in ("pickle", "delta", "json2"):
        file.write_text(json.dumps({**meta, "filters": [{"id": name, "dtype": "<f8"}]}))
        with pytest.raises(DatasetError):
            read_points(tmp_path / "a.zarr", 1000)


def test_declared_shapes_of_zarr(tmp_path, poor):
    path = save(DATA, tmp_path / "a.zarr")
    edited(path / "y", shape=[10**12])
    with pytest.raises(DatasetError, match="shape"):
        load(path)
    plain = zarr.create_array(
        str(tmp_path / "b.zarr"), shape=(10**9, 2), chunks=(10, 2), dtype="f8"
    )
    assert plain.shape == (10**9, 2)
    with pytest.raises(ResourceError, match="needs"):
        read_points(tmp_path / "b.zarr", 10**9)
    zarr.create_array(str(tmp_path / "c.zarr"), shape=(10**9, 2), chunks=(10**8, 2), dtype="f8")
    with pytest.raises(ResourceError, match="a chunk of"):
        read_points(tmp_path / "c.zarr", 10)


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a.csv", "a.npy"])
def test_pipes_are_refused_and_not_waited_for(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(DatasetError):
        read_points(path, 10)
    if not name.endswith(".csv"):
        with pytest.raises(DatasetError):
            load(path)


def test_descriptions_of_any_depth(tmp_path):
    for text in ("[" * 100_000, '{"format": "percolaw dataset", "format_version": 1e999}'):
        with open(tmp_path / "a.npz", "wb") as file:
            np.savez(file, X=DATA.X, meta=np.frombuffer(text.encode(), np.uint8))
        with pytest.raises(DatasetError):
            load(tmp_path / "a.npz")


def test_rows_that_nobody_wrote(tmp_path):
    """Choosing among rows takes 8 bytes for each, as many as a file says that it has."""
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=(1 << 45, 4), chunks=(1 << 10, 4), dtype="f8")
    with pytest.raises(ResourceError, match=r"reading .*a\.zarr needs 256 TiB"):
        read_points(tmp_path / "a.zarr", 100)
