"""Damage on disk is noticed: flipped bits, missing parts, files put in each other's place."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from scipy import sparse

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import DatasetError, load, save, stream_cluster
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats.npz import archive_begin
from percolaw.datasets.make import make_distribution
from percolaw.datasets.points import read_points

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")

SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")
formats_all = pytest.mark.parametrize("suffix", SUFFIXES)


@pytest.fixture(scope="module")
def data():
    made = make_distribution(150, 5, 3, ensemble="yule")
    return Dataset(
        made.X, made.y, made.cluster, made.cluster_size, made.truth, made.provenance,
        columns={"height": np.arange(150)},
    )  # fmt: skip


def files_of(path):
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def equal(got, data):
    same = [
        np.array_equal(np.asarray(getattr(got, name)), np.asarray(getattr(data, name)))
        for name in ("X", "y", "cluster", "cluster_size")
    ]
    columns = got.columns.keys() == data.columns.keys() and all(
        np.array_equal(got.columns[k], data.columns[k]) for k in data.columns
    )
    features = (got.features is None) == (data.features is None) and (
        data.features is None or (got.features != data.features).nnz == 0
    )
    return (
        all(same)
        and columns
        and features
        and (got.truth, got.provenance)
        == (
            data.truth,
            data.provenance,
        )
    )


def outcome(path, data, read=load):
    """'seen' if a sentence came, 'equal', or 'other'."""
    try:
        got = read(path)
        np.asarray(got.X)
    except DatasetError:
        return "seen"
    except ValueError as error:  # a chunk of Zarr, when it is read
        return "seen" if "checksum" in str(error) else f"{error}"
    return "equal" if equal(got, data) else "other"


def flip(path, data, n, seed, read=load):
    """Flip one bit `n` times, everywhere in all files alike; count the outcomes."""
    generator = np.random.default_rng(seed)
    files = files_of(path)
    ends = np.cumsum([f.stat().st_size for f in files])
    # Half of them by bytes, half of them by files: descriptions are small beside numbers.
    places = np.sort(generator.integers(0, ends[-1], n // 2))
    chosen = [(int(np.searchsorted(ends, p, side="right")), None) for p in places]
    chosen += [(int(k), None) for k in generator.integers(0, len(files), n - n // 2)]
    seen = {"seen": 0, "equal": 0, "other": 0}
    for index, _ in chosen:
        file = files[index]
        whole = file.read_bytes()
        broken = bytearray(whole)
        broken[int(generator.integers(len(whole)))] ^= 1 << int(generator.integers(8))
        file.write_bytes(bytes(broken))
        seen[outcome(path, data, read)] += 1
        file.write_bytes(whole)
    return seen


@pytest.mark.filterwarnings("ignore")
@formats_all
def test_flipped_bits_are_seen_or_change_nothing(tmp_path, data, suffix, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK_ROWS", 64)
    seen = flip(save(data, tmp_path / f"a{suffix}"), data, 120, 1)
    assert seen["other"] == 0, seen
    assert seen["seen"] > 60, seen


def test_the_campaign_can_fail(tmp_path, data):
    def careless(path):
        x = np.load(path, allow_pickle=False)
        return Dataset(x, data.y, data.cluster, data.cluster_size, data.truth, data.provenance,
                       columns=data.columns)  # fmt: skip

    def read(path):
        try:
            return careless(path)
        except Exception as error:
            raise DatasetError(str(error)) from error

    assert flip(save(data, tmp_path / "a.npy"), data, 100, 1, read)["other"] > 5


@pytest.mark.filterwarnings("ignore")
def test_flips_in_a_stream(tmp_path):
    path = stream_cluster(tmp_path / "s.zarr", 300, 11, 4, memory=4800)
    seen = flip(path, load(path), 60, 2)
    assert seen["other"] == 0
    assert seen["seen"] > 30


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr"])
def test_flips_with_features(tmp_path, data, suffix):
    features = sparse.random_array((150, 40), density=0.05, rng=1, format="csr")
    own = Dataset(data.X, data.y, data.cluster, data.cluster_size, features=features)
    path = save(own, tmp_path / f"a{suffix}")
    assert equal(load(path), own)
    seen = flip(path, own, 60, 3)
    assert seen["other"] == 0, seen


@pytest.mark.filterwarnings("ignore")
@formats_all
def test_points_of_damaged_datasets(tmp_path, data, suffix):
    """The command that reads points notices what `load` notices."""
    path = save(data, tmp_path / f"a{suffix}")

    def points(path):
        x, _ = read_points(path, 1000)
        return Dataset(x, data.y, data.cluster, data.cluster_size, data.truth, data.provenance,
                       columns=data.columns)  # fmt: skip

    assert flip(path, data, 50, 4, points)["other"] == 0


def test_lost_parts(tmp_path, data):
    path = save(data, tmp_path / "a.zarr")
    shutil.rmtree(path / "column_height")
    with pytest.raises(DatasetError, match="column_height is missing"):
        load(path)
    file = save(data, tmp_path / "a.npy")
    whole = file.read_bytes()
    for end in (100, data.X.nbytes, data.X.nbytes + 128, len(whole) - 10):
        file.write_bytes(whole[:end])
        with pytest.raises(DatasetError):
            load(file)


def archived(file):
    """The array at the beginning of an .npy dataset, and the members of the archive behind it."""
    begin = archive_begin(file)
    with zipfile.ZipFile(file) as archive:
        return file.read_bytes()[:begin], {n: archive.read(n) for n in archive.namelist()}


def put_together(file, array, members):
    file.write_bytes(array)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_chunks_under_another_name(tmp_path, data, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK_ROWS", 64)
    path = save(data, tmp_path / "a.zarr")
    (path / "X" / "c" / "1" / "0").rename(path / "X" / "c" / "1" / "7")
    with pytest.raises(DatasetError, match="holds 2 of 3 chunks"):
        load(path)


def test_arrays_of_another_dataset(tmp_path, data):
    ours = save(data, tmp_path / "a.npy")
    changed = Dataset(
        data.X + 1, data.y, data.cluster, data.cluster_size, data.truth, data.provenance
    )
    array, _ = archived(save(changed, tmp_path / "b.npy"))
    _, members = archived(ours)
    put_together(ours, array, members)
    with pytest.raises(DatasetError, match="X do not fit their checksum"):
        load(ours)
    np.testing.assert_array_equal(load(ours, verify=False).X, changed.X)
    whole = ours.read_bytes()
    place = whole.rindex(data.y.tobytes())
    ours.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(DatasetError, match=r"y\.npy"):
        load(ours, verify=False)


def test_descriptions_edited_by_hand(tmp_path, data):
    path = save(data, tmp_path / "a.npy")
    array, members = archived(path)
    meta = json.loads(np.load(io.BytesIO(members["meta.npy"])).tobytes())

    def edit(changed):
        text = io.BytesIO()
        np.save(text, np.frombuffer(json.dumps(changed).encode(), np.uint8))
        put_together(path, array, {**members, "meta.npy": text.getvalue()})

    edit(meta)
    load(path)
    for change in (
        {"truth": {**meta["truth"], "dimension": 5}},
        {"crc32": None},
        {"format_version": 1},
        {"arrays": {}},
    ):
        edit({**meta, **change})
        with pytest.raises(DatasetError, match="does not fit its checksum"):
            load(path)
    for version in (True, 0, 1.5, -1, "2", 3):
        edit({**meta, "format_version": version})
        with pytest.raises(DatasetError):
            load(path)


def test_a_folder_as_older_versions_wrote_it_is_explained(tmp_path):
    (tmp_path / "old.npy").mkdir()
    for read in (load, lambda path: read_points(path, 10)):
        with pytest.raises(DatasetError, match=r"is a folder, .*numpy\.load\('old\.npy/X\.npy'\)"):
            read(tmp_path / "old.npy")


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
def test_datasets_from_before_there_were_checksums(tmp_path, data, suffix):
    import zarr

    arrays = {name: getattr(data, name) for name in ("X", "y", "cluster", "cluster_size")}
    meta = {
        "format": "percolaw dataset", "format_version": 1,
        "truth": data.truth, "provenance": data.provenance,
    }  # fmt: skip
    path = tmp_path / f"old{suffix}"
    if suffix == ".npz":
        np.savez(path, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    else:
        group = zarr.open_group(path, mode="w")
        for name, values in arrays.items():
            array = group.create_array(
                name, shape=values.shape, dtype=str(values.dtype), compressors=None,
                config={"write_empty_chunks": True},
            )  # fmt: skip
            array[...] = values
        group.attrs.update(meta)
    got = load(path)
    np.testing.assert_array_equal(np.asarray(got.X), data.X)
    assert (got.truth, got.provenance) == (data.truth, data.provenance)
    save(got, path, overwrite=True)  # it counts as a dataset that may be replaced
    assert load(path).columns == {}


def test_old_parquet(tmp_path, data):
    import pyarrow as arrow
    from pyarrow import parquet

    meta = {
        "format": "percolaw dataset", "format_version": 1, "truth": data.truth,
        "provenance": data.provenance, "cluster_size": data.cluster_size.tolist(),
    }  # fmt: skip
    columns = {"y": data.y, "cluster": data.cluster, "size": data.size, "rank": data.rank}
    columns |= {f"x{j}": data.X[:, j] for j in range(5)}
    table = arrow.table(columns).replace_schema_metadata({"percolaw": json.dumps(meta)})
    parquet.write_table(table, tmp_path / "old.parquet")
    got = load(tmp_path / "old.parquet")
    np.testing.assert_array_equal(got.X, data.X)
    np.testing.assert_array_equal(got.cluster_size, data.cluster_size)


def test_a_member_of_another_name_is_not_overlooked(tmp_path, data):
    """The description under a damaged name must not make the file look like another program's."""
    path = save(data, tmp_path / "a.npz")
    whole = path.read_bytes()
    place = whole.rindex(b"meta.npy")  # in the directory of the archive
    path.write_bytes(whole[:place] + b"mota.npy" + whole[place + 8 :])
    with pytest.raises((DatasetError, zipfile.BadZipFile)):
        load(path)
