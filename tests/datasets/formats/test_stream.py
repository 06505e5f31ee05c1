"""Datasets larger than memory, written in blocks: equal bytes, however often interrupted."""

from pathlib import Path

import numpy as np
import pytest
from format_cases import assert_equal, contents

import percolaw.embedding.skeleton as skeleton
from percolaw.datasets.formats import (
    DatasetError,
    arrays,
    description,
    load,
    stream_cluster,
    target,
)
from percolaw.datasets.formats import zarr as zarr_format
from percolaw.datasets.make import make_cluster

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")


STREAM = {"n_samples": 300, "dim": 11, "rng": 4, "memory": 300 * 4 * 4}  # blocks of 4, 4, 3 columns


@pytest.fixture
def made(monkeypatch):
    """First columns of the blocks that were made."""
    first = []
    original = skeleton.embed_sampled

    def counted(*args, **kwargs):
        first.append(kwargs["first_column"])
        return original(*args, **kwargs)

    monkeypatch.setattr(skeleton, "embed_sampled", counted)
    monkeypatch.setattr(arrays, "CHUNK_ROWS", 128)
    return first


@pytest.mark.parametrize("size", [np.inf, 10**9, 40])
@pytest.mark.parametrize("memory", [1, 300 * 4 * 4, 10**9])
def test_stream_equals_make_cluster(tmp_path, made, size, memory):
    told = []
    options = {**STREAM, "memory": memory, "size": size}
    path = stream_cluster(tmp_path / "s.zarr", **options, progress=lambda *a: told.append(a))
    got, wanted = load(path), make_cluster(300, 11, 4, size=size)
    np.testing.assert_array_equal(got.X[:], wanted.X)
    np.testing.assert_allclose(got.y, wanted.y, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(got.cluster, wanted.cluster)
    np.testing.assert_array_equal(got.cluster_size, wanted.cluster_size)
    assert got.truth == wanted.truth
    assert {k: v for k, v in got.provenance.items() if k in wanted.provenance} == wanted.provenance
    blocks = {1: 11, 4800: 3, 10**9: 1}[memory]
    assert told == [(i, blocks) for i in range(blocks + 1)]
    assert len(made) == blocks
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
    assert got.X.chunks == (128, -(-11 // blocks))


class Stop(Exception):
    pass


def stop_after(blocks):
    def progress(done, total):
        if done == blocks:
            raise Stop

    return progress


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_stream_continues_with_equal_bytes(tmp_path, made, after):
    whole = contents(stream_cluster(tmp_path / "whole.zarr", **STREAM))
    path = tmp_path / "s.zarr"
    made.clear()
    with pytest.raises(Stop):
        stream_cluster(path, **STREAM, progress=stop_after(after))
    assert made == [0, 4, 8][:after]
    assert not path.exists()
    with pytest.raises(DatasetError, match="unfinished"):
        load(path)
    made.clear()
    stream_cluster(path, **STREAM)
    assert made == [0, 4, 8][after:]
    assert contents(path) == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zarr", "whole.zarr"]


def test_stream_interrupted_after_every_block(tmp_path, made):
    whole = contents(stream_cluster(tmp_path / "whole.zarr", **STREAM))
    made.clear()
    for after in (1, 2, 3):
        with pytest.raises(Stop):
            stream_cluster(tmp_path / "s.zarr", **STREAM, progress=stop_after(after))
    stream_cluster(tmp_path / "s.zarr", **STREAM)
    assert made == [0, 4, 8]
    assert contents(tmp_path / "s.zarr") == whole


def interrupted_at(monkeypatch, module, name, call):
    """Make a function of the module fail at its n-th call, once."""
    original, calls = getattr(module, name), []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise Stop
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, failing)


def assert_stream_recovers(tmp_path, monkeypatch, module, name, call):
    whole = contents(stream_cluster(tmp_path / "whole.zarr", **STREAM))
    path = tmp_path / "s.zarr"
    with monkeypatch.context() as broken:
        interrupted_at(broken, module, name, call)
        with pytest.raises(Stop):
            stream_cluster(path, **STREAM)
    assert not path.exists()
    stream_cluster(path, **STREAM)
    assert contents(path) == whole


def test_stream_interrupted_before_its_first_record(tmp_path, made, monkeypatch):
    assert_stream_recovers(tmp_path, monkeypatch, description, "write_json", 1)


def test_stream_interrupted_between_its_records(tmp_path, made, monkeypatch):
    assert_stream_recovers(tmp_path, monkeypatch, description, "write_json", 2)


@pytest.mark.parametrize("call", [2, 3])
def test_stream_interrupted_at_its_end(tmp_path, made, monkeypatch, call):
    assert_stream_recovers(tmp_path, monkeypatch, zarr_format, "write_side", call)


def test_stream_interrupted_before_the_rename(tmp_path, made, monkeypatch):
    assert_stream_recovers(tmp_path, monkeypatch, target, "_swap", 1)


def test_stream_interrupted_between_its_removals(tmp_path, made, monkeypatch):
    original = Path.unlink

    def failing(self, *args, **kwargs):
        if self.name == "progress.json":
            raise Stop
        original(self, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing)
        with pytest.raises(Stop):
            stream_cluster(tmp_path / "s.zarr", **STREAM)
    stream_cluster(tmp_path / "s.zarr", **STREAM)
    assert_equal(load(tmp_path / "s.zarr"), load(stream_cluster(tmp_path / "w.zarr", **STREAM)))


@pytest.mark.parametrize(
    "change", [{"rng": 5}, {"dim": 12}, {"n_samples": 299}, {"size": 10**6}, {"memory": 300 * 20}]
)
def test_another_request_starts_anew(tmp_path, made, change):
    with pytest.raises(Stop):
        stream_cluster(tmp_path / "s.zarr", **STREAM, progress=stop_after(2))
    made.clear()
    asked = {**STREAM, **change}
    stream_cluster(tmp_path / "s.zarr", **asked)
    assert made[0] == 0
    other = stream_cluster(tmp_path / "other.zarr", **asked)
    assert contents(tmp_path / "s.zarr") == contents(other)


def test_streams_do_not_overwrite_unasked(tmp_path, made):
    path = stream_cluster(tmp_path / "s.zarr", **STREAM)
    before = contents(path)
    with pytest.raises(FileExistsError, match="overwrite"):
        stream_cluster(path, **STREAM)
    assert contents(path) == before
    stream_cluster(path, **{**STREAM, "rng": 9}, overwrite=True)
    assert contents(path) != before
