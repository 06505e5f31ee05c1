"""What may be written where: links, folders that hold other things, names, capitals."""

import os
from pathlib import Path

import numpy as np
import pytest

from percolaw.cli import main
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import load, save, stream_cluster
from percolaw.datasets.make import make_cluster
from percolaw.datasets.points import read_points

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")

SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")
OLD, NEW = make_cluster(60, 3, 1), make_cluster(80, 3, 2)


def everything(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_links_are_followed(tmp_path, suffix):
    (tmp_path / "scratch").mkdir()
    real, link = tmp_path / "scratch" / f"a{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(real)
    assert save(OLD, link) == link  # a link that leads to nothing yet
    assert len(load(link)) == len(load(real)) == 60
    with pytest.raises(FileExistsError, match="exists"):
        save(NEW, link)
    save(NEW, link, overwrite=True)
    assert link.is_symlink()
    assert len(load(link)) == len(load(real)) == 80
    assert sorted(os.listdir(tmp_path)) == [link.name, "scratch"]
    assert os.listdir(tmp_path / "scratch") == [real.name]


def test_streams_follow_links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scratch").mkdir()
    words = ["generate", "cluster", "--n", "100", "--dim", "4", "--quiet", "--out"]
    assert main([*words, "scratch/a.zarr"]) == 0
    Path("a.zarr").symlink_to("scratch/a.zarr")
    assert main([*words, "a.zarr", "--overwrite", "--seed", "3"]) == 0
    assert Path("a.zarr").is_symlink()
    assert load("scratch/a.zarr").provenance["seed"] == 3


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    with pytest.raises(FileExistsError, match="link to itself"):
        save(OLD, tmp_path / "loop.npz", overwrite=True)
    (tmp_path / "far.npz").symlink_to(tmp_path / "none" / "far.npz")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save(OLD, tmp_path / "far.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders_that_are_no_dataset_are_kept(tmp_path, suffix):
    path = tmp_path / f"work{suffix}"
    (path / "thesis").mkdir(parents=True)
    (path / "thesis" / "chapter1.txt").write_text("all of it")
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match="holds other things than a dataset"):
        save(OLD, path, overwrite=True)
    words = ["--n", "50", "--dim", "3", "--out", str(path), "--overwrite", "--quiet"]
    assert main(["generate", "cluster", *words]) == 1
    assert everything(tmp_path) == before


@pytest.mark.parametrize("extra", ["notes.txt", "more/notes.txt", "mine.npy", "X/c/notes"])
def test_datasets_with_other_things_in_them_are_kept(tmp_path, extra):
    path = save(OLD, tmp_path / "work.zarr")
    (path / extra).parent.mkdir(exist_ok=True, parents=True)
    (path / extra).write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match="holds other things"):
        save(NEW, path, overwrite=True)
    assert everything(tmp_path) == before


def test_a_single_file_is_not_replaced_by_a_folder(tmp_path):
    path = tmp_path / "embeddings.zarr"
    path.write_bytes(b"numbers of mine")
    with pytest.raises(FileExistsError, match="is a file and no dataset of this form"):
        save(OLD, path, overwrite=True)
    assert path.read_bytes() == b"numbers of mine"


def test_targets_are_named_as_the_user_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(OLD, "a.npz")
    with pytest.raises(FileExistsError, match=r"^a\.npz exists"):
        save(OLD, "a.npz")
    Path("a.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^a\.npz cannot be read"):
        load("a.npz")


def test_empty_folders_may_be_filled(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(FileExistsError):
        stream_cluster(tmp_path / "a.zarr", 30, 2)
    stream_cluster(tmp_path / "a.zarr", 30, 2, overwrite=True)
    assert len(load(tmp_path / "a.zarr")) == 30


def test_other_things_that_lie_there(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(FileExistsError, match="no plain file"):
        save(OLD, tmp_path / "pipe.npz", overwrite=True)
    with pytest.raises(ValueError, match="too long"):
        save(OLD, tmp_path / f"{'a' * 240}.npz")
    if os.geteuid():
        os.chmod(tmp_path, 0o555)
        with pytest.raises(PermissionError, match="not writable"):
            save(OLD, tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".NPZ", ".Npy", ".ZARR", ".Parquet"])
def test_capitals(tmp_path, suffix):
    path = save(OLD, tmp_path / f"Data{suffix}")
    assert os.listdir(tmp_path) == [f"Data{suffix}"]
    np.testing.assert_array_equal(np.asarray(load(path).X), OLD.X)
    np.testing.assert_array_equal(read_points(path, 100)[0], OLD.X)


@pytest.mark.parametrize("suffix", [".CSV", ".Tsv", ".TXT"])
def test_capitals_of_tables(tmp_path, suffix):
    separator = {".csv": ",", ".tsv": "\t", ".txt": " "}[suffix.lower()]
    np.savetxt(tmp_path / f"Upper{suffix}", OLD.X, delimiter=separator)
    np.testing.assert_allclose(read_points(tmp_path / f"Upper{suffix}", 100)[0], OLD.X)


# ---- what is written is what can be read


def other(**changes):
    parts = {"X": OLD.X, "y": OLD.y, "cluster": OLD.cluster, "cluster_size": OLD.cluster_size}
    return Dataset(**{**parts, **changes})


SAME = {
    "big-endian": {
        "X": OLD.X.astype(">f4"), "y": OLD.y.astype(">f8"), "cluster": OLD.cluster.astype(">i8"),
    },
    "Fortran order": {"X": np.asfortranarray(OLD.X)},
    "small integers": {"cluster": OLD.cluster.astype(np.int8), "cluster_size": np.array([0], "u8")},
    "steps": {"X": np.repeat(OLD.X, 2, axis=0)[::2], "y": np.repeat(OLD.y, 2)[::2]},
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", SAME)
def test_arrays_of_every_layout_are_saved_as_promised(tmp_path, suffix, name):
    got = load(save(other(**SAME[name]), tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(np.asarray(got.X), OLD.X)
    np.testing.assert_array_equal(got.y, OLD.y)
    np.testing.assert_array_equal(got.cluster, OLD.cluster)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": OLD.X.astype(float)}, "X must be float32; got float64"),
        ({"y": OLD.y.astype(complex)}, "y must be numeric; got dtype complex128"),
        ({"y": np.ma.masked_less(OLD.y, 0)}, r"y has \d+ masked value"),
        ({"X": np.ma.masked_less(OLD.X, 0)}, r"X has \d+ masked value"),
        ({"truth": {"dimension": {1, 2}}}, "plain values"),
        ({"columns": {"a/b": OLD.y}}, "needs a plain name"),
        ({"columns": {"a": OLD.y.astype(str)}}, "must hold numbers"),
    ],
)
def test_what_could_not_be_read_again_is_refused(tmp_path, suffix, changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        save(other(**changes), tmp_path / f"a{suffix}")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_and_odd_numbers_are_kept(tmp_path, suffix):
    columns = {
        "height": np.arange(60), "half": OLD.y.astype(np.float16), "flag": OLD.y > 0,
        "höhe": OLD.y.astype(">f4"),
    }  # fmt: skip
    truth = {"nan": float("nan"), "inf": float("-inf"), "list": [1, None, True], "umlaut": "ü"}
    got = load(save(other(columns=columns, truth=truth), tmp_path / f"a{suffix}"))
    assert got.columns.keys() == columns.keys()
    for name, values in columns.items():
        np.testing.assert_array_equal(got.columns[name], values)
    assert repr(got.truth) == repr(truth)
    part = got.take([5, 7])
    assert part.columns["height"].tolist() == [5, 7]


def test_columns_fit_the_points():
    with pytest.raises(ValueError, match="column a must have 60 rows"):
        other(columns={"a": np.zeros(59)})
