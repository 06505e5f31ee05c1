"""Dataset files: round trips, what is refused before work, damage, interrupted saves."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from format_cases import assert_equal, contents, outcome
from scipy import sparse

import percolaw.embedding.skeleton as skeleton
from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import (
    SUFFIXES,
    DatasetError,
    arrays,
    load,
    save,
    stream_cluster,
)
from percolaw.datasets.make import make_cluster
from percolaw.errors import MissingExtraError, ResourceError

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")


formats_all = pytest.mark.parametrize("suffix", SUFFIXES)


# ---- round trips


@formats_all
def test_round_trip(tmp_path, data, suffix):
    path = save(data, tmp_path / f"cloud{suffix}")
    assert path == tmp_path / f"cloud{suffix}"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    got = load(str(path))
    assert_equal(got, data)
    np.testing.assert_array_equal(got.size, data.size)
    np.testing.assert_array_equal(got.rank, data.rank)
    # What was read can be used as what was written.
    part, again = got.take([3, 3, 140]), data.take([3, 3, 140])
    assert_equal(part, again)
    assert_equal(got.split(rng=1)[1], data.split(rng=1)[1])
    for rng in ("in order", 4):
        for a, b in zip(got.batches(40, rng), data.batches(40, rng), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])
    # Saving what was read gives the same data in every format.
    for other in SUFFIXES:
        assert_equal(load(save(got, tmp_path / f"copy{other}")), data)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])
def test_round_trip_of_many_labels(tmp_path, data, suffix):
    many = Dataset(
        data.X, np.random.default_rng(0).random((150, 3)), data.cluster, data.cluster_size
    )
    assert_equal(load(save(many, tmp_path / f"many{suffix}")), many)
    with pytest.raises(ValueError, match="one label a row"):
        save(many, tmp_path / "many.parquet")
    assert [p.name for p in tmp_path.iterdir()] == [f"many{suffix}"]


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr", ".parquet"])
def test_a_single_point(tmp_path, suffix):
    one = make_cluster(1, 1, 0)
    assert_equal(load(save(one, tmp_path / f"one{suffix}")), one)


@formats_all
def test_many_chunks(tmp_path, data, suffix, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK_ROWS", 64)
    got = load(save(data, tmp_path / f"chunks{suffix}"))
    assert_equal(got, data)
    if suffix == ".zarr":
        assert got.X.chunks == (64, 5)
        x, y = (np.concatenate(parts) for parts in zip(*got.batches(7, 3), strict=True))
        rows, wanted = np.column_stack([y, x]), np.column_stack([data.y, data.X])
        assert not np.array_equal(rows, wanted)
        assert sorted(rows.tolist()) == sorted(wanted.tolist())


def test_large_arrays_stay_on_disk(tmp_path, data):
    assert isinstance(load(save(data, tmp_path / "a.npy")).X, np.memmap)
    assert not isinstance(load(save(data, tmp_path / "a.zarr")).X, np.ndarray)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])
def test_features_are_kept_or_refused(tmp_path, data, suffix):
    own = Dataset(
        data.X, data.y, data.cluster, data.cluster_size, features=sparse.eye_array(150).tocsr()
    )
    try:
        save(own, tmp_path / f"features{suffix}")
    except ValueError:
        return
    assert load(tmp_path / f"features{suffix}").features is not None


@formats_all
def test_overwriting(tmp_path, data, suffix):
    path = tmp_path / f"cloud{suffix}"
    other = make_cluster(40, 3, 1)
    save(other, path)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="exists; choose another name or pass overwrite"):
        save(data, path)
    assert contents(tmp_path) == before
    save(data, path, overwrite=True)
    assert_equal(load(path), data)
    save(other, path, overwrite=True)
    assert_equal(load(path), other)
    assert contents(tmp_path).keys() == before.keys()


def test_parquet_is_a_plain_table(tmp_path, data):
    import pyarrow as arrow
    from pyarrow import parquet

    table = parquet.read_table(save(data, tmp_path / "table.parquet"))
    names = ["y", "cluster", "size", "rank", *(f"x{j}" for j in range(5))]
    assert table.column_names == names
    types = [arrow.float64(), *[arrow.int64()] * 3, *[arrow.float32()] * 5]
    assert table.schema.types == types
    np.testing.assert_array_equal(table.column("y").to_numpy(), data.y)
    np.testing.assert_array_equal(table.column("cluster").to_numpy(), data.cluster)
    np.testing.assert_array_equal(table.column("size").to_numpy(), data.size)
    np.testing.assert_array_equal(table.column("rank").to_numpy(), data.rank)
    for j in range(5):
        np.testing.assert_array_equal(table.column(f"x{j}").to_numpy(), data.X[:, j])


def test_zarr_and_npy_are_plain_too(tmp_path, data):
    import zarr

    group = zarr.open_group(save(data, tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(group["X"][...], data.X)
    np.testing.assert_array_equal(np.load(save(data, tmp_path / "a.npy")), data.X)
    with np.load(save(data, tmp_path / "a.npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["X"], data.X)


# ---- what is refused before any work


def test_unknown_suffix_and_missing_folder(tmp_path, data):
    for name in ("cloud.csv", "cloud", "cloud.npz.gz"):
        with pytest.raises(ValueError, match=r"needs one of the suffixes \.npz, \.npy"):
            save(data, tmp_path / name)
        with pytest.raises(DatasetError, match="known are"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save(data, tmp_path / "none" / "cloud.npz")
    with pytest.raises(ValueError, match="streaming writes Zarr"):
        stream_cluster(tmp_path / "cloud.npz", 10, 2)
    assert not list(tmp_path.iterdir())


@formats_all
def test_missing_file(tmp_path, suffix):
    with pytest.raises(DatasetError, match="there is no") as caught:
        load(tmp_path / f"none{suffix}")
    assert "unfinished" not in str(caught.value)
    (tmp_path / f".none{suffix}.part").mkdir()
    with pytest.raises(DatasetError, match=r"unfinished \.none.*\.part lies there"):
        load(tmp_path / f"none{suffix}")


@formats_all
def test_full_disk_is_refused_before_work(tmp_path, data, suffix, monkeypatch):
    usage = namedtuple("usage", "total used free")
    asked = []

    def disk(folder):
        asked.append(Path(folder))
        return usage(10**9, 10**9 - 4000, 4000)

    monkeypatch.setattr(shutil, "disk_usage", disk)
    monkeypatch.setattr(
        "percolaw.datasets.formats.write_whole", None
    )  # any attempt to write would fail otherwise
    with pytest.raises(ResourceError, match=r"needs 5.71 KiB of disk and 3.91 KiB are free"):
        save(data, tmp_path / f"cloud{suffix}")
    assert asked == [tmp_path.resolve()]
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(skeleton, "embed_sampled", None)
    with pytest.raises(ResourceError, match=r"of disk"):
        stream_cluster(tmp_path / "cloud.zarr", 10**6, 10)
    assert not list(tmp_path.iterdir())
    assert isinstance(ResourceError("x"), MemoryError)


def test_streaming_beyond_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 2**20)
    with pytest.raises(ResourceError, match=r"streaming 100000 points needs 4.58 MiB of memory"):
        stream_cluster(tmp_path / "cloud.zarr", 10**5, 10, memory=2**18)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("suffix", "module"), [(".zarr", "zarr"), (".parquet", "pyarrow")])
def test_missing_libraries_are_named(tmp_path, data, suffix, module, monkeypatch):
    path = save(data, tmp_path / f"cloud{suffix}")
    for name in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[store\]'"):
        load(path)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[store\]'"):
        save(data, tmp_path / f"other{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def files_of(path):
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


# ---- damaged files


@formats_all
def test_truncated_files(tmp_path, data, suffix):
    path = save(data, tmp_path / f"cloud{suffix}")
    tried = 0
    for file in files_of(path):
        whole = file.read_bytes()
        cuts = sorted({0, 1, 7, 8, 60, len(whole) // 3, len(whole) // 2, len(whole) - 9,
                       len(whole) - 1})  # fmt: skip
        for cut in cuts:
            if not 0 <= cut < len(whole):
                continue
            if suffix == ".zarr" and "c" in file.parts and "X" in file.parts:
                continue  # read only when asked for: see the next test
            file.write_bytes(whole[:cut])
            assert outcome(path, data) == "error", (file.name, cut)
            tried += 1
        if suffix == ".zarr" and "c" in file.parts and "X" not in file.parts:
            file.write_bytes(whole)
            continue  # the next test but one
        file.unlink()
        assert outcome(path, data) == "error", f"without {file.name}"
        file.write_bytes(whole)
    assert tried >= 8
    assert outcome(path, data) == "equal"


def test_truncated_chunks_of_zarr(tmp_path, data):
    path = save(data, tmp_path / "cloud.zarr")
    (chunk,) = (p for p in files_of(path / "X") if "c" in p.parts)
    whole = chunk.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        chunk.write_bytes(whole[:cut])
        with pytest.raises(DatasetError):
            load(path)


@pytest.mark.parametrize("name", ["y", "cluster", "cluster_size"])
def test_missing_chunks_of_zarr(tmp_path, data, name):
    path = save(data, tmp_path / "cloud.zarr")
    (chunk,) = (p for p in files_of(path / name) if "c" in p.parts)
    chunk.unlink()
    assert outcome(path, data) == "error"


def test_a_truncated_chunk_of_zarr_is_never_half_read(tmp_path, data):
    path = save(data, tmp_path / "cloud.zarr")
    (chunk,) = (p for p in files_of(path / "X") if "c" in p.parts)
    whole = chunk.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        chunk.write_bytes(whole[:cut])
        with pytest.raises(ValueError):
            np.asarray(load(path).X[:])


@pytest.mark.parametrize(
    "suffix",
    [
        ".npz",
        ".npy",
        # Of these test_damage.py flips bits as well.
        *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in (".zarr", ".parquet")),
    ],
)
def test_flipped_bits(tmp_path, data, suffix):
    path = save(data, tmp_path / f"cloud{suffix}")
    generator = np.random.default_rng(5)
    seen = {"error": 0, "equal": 0, "other": 0}
    for file in files_of(path):
        whole = file.read_bytes()
        # Densely where the structure is described, sparsely in the numbers.
        places = [*generator.integers(0, len(whole), 40), *range(0, min(120, len(whole)), 5)]
        places += [len(whole) - 1 - i for i in range(0, min(300, len(whole)), 3)]
        if suffix == ".zarr":  # nine files, and slow to open
            places = places[::6]
        for place in places:
            broken = bytearray(whole)
            broken[place] ^= 1 << int(generator.integers(8))
            file.write_bytes(bytes(broken))
            seen[outcome(path, data)] += 1
        file.write_bytes(whole)
    assert seen["error"] > 10
    assert seen["other"] == 0


@pytest.mark.parametrize("compressed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_flipped_bits_of_npz_are_never_read(tmp_path, data, compressed):
    path = tmp_path / "cloud.npz"
    if compressed:
        np.savez_compressed(path, X=data.X.round(1), y=data.y)
    else:
        save(data, path)
    wanted = load(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(6)
    failed = 0
    for place in range(0, len(whole), 11):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(broken))
        try:
            got = load(path)
        except Exception:  # of which kind, the other tests ask
            failed += 1
            continue
        assert_equal(got, wanted)
    assert failed > len(whole) / 11 / 2


@formats_all
def test_files_of_another_kind(tmp_path, data, suffix):
    path = tmp_path / f"cloud{suffix}"
    generator = np.random.default_rng(1)
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "hello")
    table = tmp_path / "table.csv"
    table.write_text("y,x0\n1,2\n")
    for content in (
        b"",
        b"\x00",
        generator.bytes(10_000),
        archive.read_bytes(),
        table.read_bytes(),
        b"PK\x03\x04" + generator.bytes(300),
        b"PAR1" + generator.bytes(300) + b"PAR1",
        b"\x93NUMPY" + generator.bytes(300),
    ):
        path.write_bytes(content)
        assert outcome(path, data) == "error", content[:10]
    path.unlink()
    path.mkdir()
    assert outcome(path, data) == "error"
    (path / "meta.json").write_text("{}")
    (path / "zarr.json").write_text("{}")
    assert outcome(path, data) == "error"


VERSION_1 = {"format": "percolaw dataset", "format_version": 1}


def rewrite(path, data, suffix, arrays=None, meta=None):
    """Save a dataset whose parts were changed behind the writer's back."""
    parts = {"X": data.X, "y": data.y, "cluster": data.cluster, "cluster_size": data.cluster_size}
    parts.update(arrays or {})
    parts = {name: value for name, value in parts.items() if value is not None}
    meta = (
        VERSION_1 | {"truth": data.truth, "provenance": data.provenance} if meta is None else meta
    )
    if suffix == ".npz":
        text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=True, meta=text, **parts)
    elif suffix == ".npy":
        text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        with open(path, "wb") as file:
            if "X" in parts:
                np.save(file, parts.pop("X"), allow_pickle=True)
            with zipfile.ZipFile(file, "w") as archive:
                for name, value in {**parts, "meta": text}.items():
                    with archive.open(f"{name}.npy", "w") as member:
                        np.lib.format.write_array(member, value, allow_pickle=True)
    else:
        import zarr

        group = zarr.open_group(path, mode="w")
        for name, value in parts.items():
            array = group.create_array(
                name, shape=value.shape, dtype=str(value.dtype), compressors=None
            )
            array[...] = value
        group.attrs.update(meta)
    return path


ARRAY_FORMATS = pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])


@ARRAY_FORMATS
@pytest.mark.parametrize("name", ["X", "y", "cluster", "cluster_size"])
def test_missing_arrays(tmp_path, data, suffix, name):
    path = rewrite(tmp_path / f"cloud{suffix}", data, suffix, {name: None})
    assert outcome(path, data) == "error"


WRONG = {
    "short y": {"y": np.zeros(149)},
    "short cluster": {"cluster": np.zeros(149, np.int64)},
    "short X": {"X": np.zeros((149, 5), np.float32)},
    "flat X": {"X": np.zeros(150, np.float32)},
    "deep X": {"X": np.zeros((150, 5, 1), np.float32)},
    "square cluster": {"cluster": np.zeros((150, 1), np.int64)},
    "cluster too large": {"cluster": np.full(150, 10**6)},
    "cluster negative": {"cluster": np.full(150, -1)},
    "no clusters": {"cluster_size": np.zeros(0, np.int64)},
}


@ARRAY_FORMATS
@pytest.mark.parametrize("wrong", WRONG)
def test_arrays_that_do_not_fit(tmp_path, data, suffix, wrong):
    path = rewrite(tmp_path / f"cloud{suffix}", data, suffix, WRONG[wrong])
    assert outcome(path, data) == "error"


ESCAPES = {
    "scalar y": {"y": np.zeros(())},
    "scalar X": {"X": np.zeros((), np.float32)},
}


@pytest.mark.parametrize(
    ("suffix", "wrong"),
    [(".npz", "scalar y"), (".npy", "scalar y"), (".zarr", "scalar y"), (".npz", "scalar X")],
)
def test_arrays_without_a_length(tmp_path, data, suffix, wrong):
    path = rewrite(tmp_path / f"cloud{suffix}", data, suffix, ESCAPES[wrong])
    assert outcome(path, data) == "error"


UNUSABLE = {
    "real cluster": {"cluster": np.linspace(0, 1, 150)},
    "square cluster_size": {"cluster_size": np.ones((600, 2), np.int64)},
    "integer X": {"X": np.ones((150, 5), np.int64)},
    "text y": {"y": np.full(150, "a")},
}


@pytest.mark.parametrize("wrong", UNUSABLE)
def test_arrays_of_another_type(tmp_path, data, wrong):
    path = rewrite(tmp_path / "cloud.npz", data, ".npz", UNUSABLE[wrong])
    assert outcome(path, data) == "error"


@ARRAY_FORMATS
@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"format": "other"},
        {"format": "percolaw dataset", "format_version": 1},
        {"format": "percolaw dataset", "format_version": 99, "truth": {}, "provenance": {}},
        {"format": "percolaw dataset", "format_version": "one", "truth": {}, "provenance": {}},
    ],
)
def test_wrong_descriptions(tmp_path, data, suffix, meta):
    path = rewrite(tmp_path / f"cloud{suffix}", data, suffix, meta=meta)
    assert outcome(path, data) == "error"


class Bomb:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return (os.mkdir, (str(Bomb.trace),))


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("name", ["X", "y", "cluster", "cluster_size"])
def test_pickles_are_never_opened(tmp_path, data, suffix, name):
    Bomb.trace = tmp_path / "exploded"
    bomb = np.array([Bomb()] * 2, dtype=object)
    path = rewrite(tmp_path / f"cloud{suffix}", data, suffix, {name: bomb})
    assert outcome(path, data) == "error"
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, allow_pickle=True, **{"X": data.X, "y": data.y, "extra": bomb, name: bomb})
    assert outcome(foreign, data) == "error"
    foreign.write_bytes(__import__("pickle").dumps(Bomb()))
    assert outcome(foreign, data) == "error"
    assert not Bomb.trace.exists()
    # Control: it does explode where pickles are allowed.
    if suffix == ".npy" and name != "X":
        member = zipfile.ZipFile(path).read(f"{name}.npy")
        np.load(io.BytesIO(member), allow_pickle=True)
    else:
        loaded = np.load(path, allow_pickle=True)
        if suffix == ".npz":
            loaded[name]
    assert Bomb.trace.exists()


def test_a_header_that_claims_a_huge_array(tmp_path, data):
    path = rewrite(tmp_path / "cloud.npz", data, ".npz")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 5), }"
    member = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n"
    broken = tmp_path / "broken.npz"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, member if name == "X.npy" else old.read(name))
    with pytest.raises(DatasetError):
        load(broken)


def test_a_single_npy_array_is_explained(tmp_path):
    np.save(tmp_path / "alone.npy", np.zeros((3, 2)))
    with pytest.raises(DatasetError, match="is a single array"):
        load(tmp_path / "alone.npy")


def test_a_plain_parquet_table_is_explained(tmp_path):
    import pyarrow as arrow
    from pyarrow import parquet

    parquet.write_table(arrow.table({"a": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="a table without a dataset's description"):
        load(tmp_path / "a.parquet")


class Exploding:
    """An X that fails when it is read, the way Ctrl-C or a lost disk would."""

    def __init__(self, data, error):
        self.shape, self.dtype, self.error, self.reads = data.X.shape, data.X.dtype, error, 0
        self.X = data.X
        self.oindex = self  # as an array on disk has

    def __getitem__(self, rows):
        self.reads += 1
        if self.reads > 1:
            raise self.error
        return self.X[rows]

    def __array__(self, *args, **kwargs):
        raise self.error


# ---- interrupted saves


@formats_all
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk lost"), MemoryError()])
def test_interrupted_saves_leave_nothing(tmp_path, data, suffix, error, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK_ROWS", 50)
    bad = Dataset(Exploding(data, error), data.y, data.cluster, data.cluster_size)
    path = tmp_path / f"cloud{suffix}"
    with pytest.raises(type(error)):
        save(bad, path)
    assert not list(tmp_path.iterdir())
    # Nor is what was there before touched.
    save(data, path)
    before = contents(tmp_path)
    with pytest.raises(type(error)):
        save(bad, path, overwrite=True)
    assert contents(tmp_path) == before
    assert_equal(load(path), data)


KILLED = """
import sys, time
from percolaw.datasets import formats, make
from percolaw.datasets.formats import npy, target
when, path = sys.argv[1:]
def stop(*args, **kwargs):
    print("ready", flush=True)
    time.sleep(60)
if when == "before rename":
    target._swap = stop
else:
    npy.npz.write_members = stop
formats.save(make.make_cluster(500, 4, 1), path)
"""


@pytest.mark.parametrize(
    ("when", "suffix"),
    [("in the middle", ".npy"), pytest.param("before rename", ".npz", marks=pytest.mark.slow)],
)
def test_killed_saves_leave_nothing_that_looks_finished(tmp_path, when, suffix):
    path = tmp_path / f"cloud{suffix}"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, when, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    left = sorted(p.name for p in tmp_path.iterdir())
    assert len(left) == 2
    assert re.fullmatch(rf"\.cloud\{suffix}\.[0-9a-f]+\.part", left[0])
    assert left[1] == f".cloud{suffix}.lock"
    with pytest.raises(DatasetError, match="unfinished"):
        load(path)
    data = make_cluster(500, 4, 1)
    save(data, path)
    assert_equal(load(path), data)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
