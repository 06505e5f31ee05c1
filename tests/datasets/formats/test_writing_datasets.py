"""Writing to a target: one process at a time, the old one or the new one whole, links, folders."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from percolaw.cli import main
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats import load, save, stream_cluster, target
from percolaw.datasets.make import make_cluster

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")

SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")
OLD, NEW = make_cluster(60, 3, 1), make_cluster(80, 3, 2)


def which(path):
    """'old' or 'new'; anything else that loads fails."""
    got = load(path)
    wanted = {60: OLD, 80: NEW}[len(got)]
    np.testing.assert_array_equal(np.asarray(got.X), wanted.X)
    np.testing.assert_array_equal(got.y, wanted.y)
    return {60: "old", 80: "new"}[len(got)]


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def start(code, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()


# ---- one process at a time

HOLDING = """
import sys, time
import percolaw.embedding.skeleton as skeleton
from percolaw.datasets.formats import stream_cluster
def stop(done, total):
    if done == 1:
        print("ready", flush=True)
        time.sleep(600)
stream_cluster(sys.argv[1], 300, 11, 4, memory=4800, progress=stop)
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A dataset that another process is writing, one chunk of it done."""
    path = tmp_path_factory.mktemp("held") / "d.zarr"
    process = start(HOLDING, path)
    yield path
    end(process)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder in which such a process was killed."""
    folder = tmp_path_factory.mktemp("killed")
    end(start(HOLDING, folder / "d.zarr"))
    return folder


@pytest.mark.parametrize("seed", [4, 5])
def test_two_generators_of_one_name_do_not_mix(held, seed):
    with pytest.raises(FileExistsError, match=r"another process writes .*d\.zarr now"):
        stream_cluster(held, 300, 11, seed, memory=4800)
    with pytest.raises(FileExistsError, match="another process"):
        save(NEW, held)
    arguments = ["--n", "300", "--dim", "11", "--out", str(held), "--quiet"]
    for kind in ("cluster", "manifold"):
        assert main(["generate", kind, *arguments]) == 1


@pytest.mark.parametrize("seed", [4, 5])
def test_a_killed_generator_is_continued_by_its_own_seed_alone(killed, tmp_path, seed):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    path, made = tmp_path / "d.zarr", []
    stream_cluster(path, 300, 11, seed, memory=4800, progress=lambda *a: made.append(a))
    assert made[0] == ((1, 3) if seed == 4 else (0, 3))
    wanted = make_cluster(300, 11, seed)
    np.testing.assert_array_equal(load(path).X[:], wanted.X)
    np.testing.assert_allclose(load(path).y, wanted.y, rtol=0, atol=1e-12)
    assert names(tmp_path) == ["d.zarr"]


def test_threads_do_not_mix_either(tmp_path):
    found = []

    def write(data):
        try:
            save(data, tmp_path / "a.npy", overwrite=True)
            found.append("written")
        except FileExistsError:
            found.append("refused")

    threads = [threading.Thread(target=write, args=(d,)) for d in (OLD, NEW) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert "written" in found
    assert which(tmp_path / "a.npy") in ("old", "new")
    assert names(tmp_path) == ["a.npy"]


def test_a_lock_that_is_removed_is_not_held_by_two(tmp_path):
    # Opened before the holder ended, locked after: that file is no longer the lock.
    from percolaw import locks

    path, seen = tmp_path / "lock", []
    original = locks.locked

    def slow(descriptor):
        if not seen:
            seen.append(True)
            path.unlink()  # the holder ends here
        return original(descriptor)

    locks.locked = slow
    try:
        with locks.only_one(path, "busy"):
            other = os.open(path, os.O_RDWR)
            assert not original(other)
            os.close(other)
    finally:
        locks.locked = original
    assert not path.exists()


def test_work_is_refused_before_it_starts(held, tmp_path, monkeypatch):
    monkeypatch.setattr("percolaw.datasets.make.make_cluster", None)
    monkeypatch.chdir(tmp_path)
    Path("m.npz").write_bytes(b"")
    assert main(["generate", "cluster", "--n", "10", "--out", "m.npz", "--quiet"]) == 1
    monkeypatch.chdir(held.parent)
    words = ["--n", "10", "--size", "100", "--z", "3", "--out", "d.zarr", "--quiet"]
    assert main(["generate", "cluster", *words]) == 1


# ---- killed at any moment

KILLED = """
import os, signal, sys
from percolaw.datasets.formats import load, save
path, new, at, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
data, calls = load(new), 0
def counted(event, args):
    global calls
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "shutil.rmtree"):
        if event == "open" and "cloud" not in str(args[0]):
            return
        calls += 1
        if calls == at:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
sys.addaudithook(counted)
try:
    save(data, path, overwrite=True)
    print("done", calls)
except KeyboardInterrupt:
    print("interrupted")
"""


def moments(path, new, at, how):
    """Overwrite a dataset in another process that ends at its `at`-th touch of the disk."""
    words = [sys.executable, "-c", KILLED, str(path), str(new), str(at), how]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "how"),
    [(".npz", "kill"), (".npy", "kill"), (".npy", "interrupt"), (".zarr", "kill")],
)
def test_killed_at_every_touch_of_the_disk(tmp_path, suffix, how):
    (tmp_path / "in").mkdir()
    path, new = tmp_path / "in" / f"cloud{suffix}", save(NEW, tmp_path / "new.npz")
    save(OLD, path)
    total = int(moments(path, new, 0, how)[1])
    seen = set()
    # Every fourth of the many writes of Zarr; all of the end, where names change.
    every = 4 if total > 40 else 1
    for at in sorted({*range(1, total + 1, every), *range(max(1, total - 25), total + 1)}):
        save(OLD, path, overwrite=True)
        out = moments(path, new, at, how)
        assert out == ([] if how == "kill" else ["interrupted"])
        with pytest.warns() if target.present(path) != path else _nothing():
            seen.add(which(path))
    assert seen == {"old", "new"}
    save(NEW, path, overwrite=True)
    assert names(path.parent) == [path.name]


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("name", ["replace", "rmtree"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_interrupted_swaps(tmp_path, monkeypatch, name, call):
    path = save(OLD, tmp_path / "cloud.zarr")
    module = target.os if name == "replace" else target.shutil
    original, calls = getattr(module, name), []

    def failing(source, *rest, **more):
        if "cloud" in Path(source).name and any(p.is_file() for p in Path(source).rglob("*")):
            calls.append(source)
            if len(calls) == call:
                if name == "rmtree":  # half of it is gone
                    next(p for p in Path(source).rglob("*") if p.is_file()).unlink()
                raise KeyboardInterrupt
        return original(source, *rest, **more)

    with monkeypatch.context() as broken:
        broken.setattr(module, name, failing)
        if name == "rmtree" and call > 1:
            save(NEW, path, overwrite=True)
        else:
            with pytest.raises(KeyboardInterrupt):
                save(NEW, path, overwrite=True)
    assert which(path) == ("old" if name == "replace" and call < 3 else "new")
    save(NEW, path, overwrite=True)
    assert which(path) == "new"
    assert names(tmp_path) == [path.name]


def test_a_swap_cut_between_its_moves_is_found(tmp_path):
    path = save(OLD, tmp_path / "cloud.npy")
    os.replace(path, tmp_path / ".cloud.npy.old")
    with pytest.warns(UserWarning, match="was being replaced"):
        assert which(path) == "old"
    with pytest.raises(FileExistsError, match="exists"):
        save(NEW, path)
    save(NEW, path, overwrite=True)
    assert which(path) == "new"
    assert names(tmp_path) == ["cloud.npy"]


def test_parts_of_other_targets_are_left_alone(tmp_path):
    for name in (
        ".a.npz.b.npz.0123456789abcdef.part",
        ".b.npz.part",
        "a.npz.part",
        ".a.npz.x.part",
    ):
        (tmp_path / name).write_text("of others")
    (tmp_path / ".a.npz.0123456789abcdef.part").write_text("dead")
    (tmp_path / ".a.npz.part").mkdir()
    save(OLD, tmp_path / "a.npz")
    assert names(tmp_path) == sorted(
        [
            "a.npz",
            ".a.npz.b.npz.0123456789abcdef.part",
            ".b.npz.part",
            "a.npz.part",
            ".a.npz.x.part",
        ]
    )


@pytest.mark.parametrize("call", [1, 2])
def test_a_finished_stream_is_not_made_again(tmp_path, monkeypatch, call):
    """Interrupted in the swap that overwrites: the same command only moves what is complete."""
    monkeypatch.setattr(layout, "CHUNK_ROWS", 128)
    path = save(OLD, tmp_path / "cloud.zarr")
    original, calls = os.replace, []

    def failing(source, *rest):
        if Path(source).name.startswith((".cloud", "cloud")):
            calls.append(source)
            if len(calls) == call:
                raise KeyboardInterrupt
        return original(source, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(target.os, "replace", failing)
        with pytest.raises(KeyboardInterrupt):
            stream_cluster(path, 300, 11, 4, memory=4800, overwrite=True)
    assert which(path) == "old"
    monkeypatch.setattr("percolaw.embedding.skeleton.embed_sampled", None)
    stream_cluster(path, 300, 11, 4, memory=4800, overwrite=True)
    np.testing.assert_array_equal(load(path).X[:], make_cluster(300, 11, 4).X)
    assert names(tmp_path) == ["cloud.zarr"]


def test_a_stream_killed_inside_a_chunk_continues(killed, tmp_path):
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "d.zarr"
    (part,) = target.unfinished(path)
    (part / "X" / "c" / "0" / "1.0123.partial").write_bytes(b"torn")
    stream_cluster(path, 300, 11, 4, memory=4800)
    assert not list(path.rglob("*.partial"))
    np.testing.assert_array_equal(load(path).X[:], make_cluster(300, 11, 4).X)
