"""Labels from files of every kind; the number of elements tells a header from a label."""

import numpy as np
import pytest

from percolaw.datasets.label_files import read_labels
from percolaw.errors import DatasetError

TAXA = [("cat", "fur"), ("cat", "fur"), ("owl", "wing"), ("owl", "wing"), ("owl", "egg")]


def test_arrays(tmp_path):
    np.save(tmp_path / "y.npy", np.array([3, 1, 3, 1]))
    assert read_labels(tmp_path / "y.npy", 4).labels.tolist() == [1, 0, 1, 0]
    np.savez(tmp_path / "d.npz", X=np.eye(4), y=[0, 1, 1, 0], weight=[0.5, 1.5, 2.5, 3.5])
    assert read_labels(tmp_path / "d.npz", 4).labels.tolist() == [0, 1, 1, 0]
    assert read_labels(tmp_path / "d.npz", 4, columns=["weight"]).values[0] == 0.5
    with pytest.raises(DatasetError, match="holds X, y, weight; name one"):
        read_labels(tmp_path / "d.npz", 4, columns=["z"])


@pytest.mark.parametrize(("suffix", "between"), [(".csv", ","), (".tsv", "\t"), (".txt", " ")])
def test_text_with_and_without_a_header(tmp_path, suffix, between):
    lines = [between.join(row) for row in TAXA]
    path = tmp_path / f"y{suffix}"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    bare = read_labels(path, 5)
    assert bare.names == ("level 1", "level 2")
    path.write_text("\r\n".join([f"animal{between}part", *lines]), "utf-8")
    named = read_labels(path, 5)
    assert named.names == ("animal", "part")
    assert np.array_equal(named.levels, bare.levels)
    assert named.levels.max(axis=0).tolist() == [1, 2]
    assert read_labels(path, 5, columns=["animal"]).names == ("cat", "owl")
    with pytest.raises(DatasetError, match="no column colour; its columns are animal, part"):
        read_labels(path, 5, columns=["colour"])
    with pytest.raises(DatasetError, match="9 elements and 6 labels"):
        read_labels(path, 9)


def test_numbers_in_text_are_numbers_and_an_index_is_left_out(tmp_path):
    path = tmp_path / "y.csv"
    path.write_text(",y\n0,0.5\n1,1.5\n2,2.5\n", "utf-8")
    assert read_labels(path, 3).values.tolist() == [0.5, 1.5, 2.5]
    path.write_text("10\n9\n10\n9\n", "utf-8")
    assert read_labels(path, 4).names == ("9", "10")  # not sorted as text


@pytest.mark.parametrize("lines", ["cat\nowl\ncat\nowl\ncat", "3.5\n2.5\n1.5\n2.5\n0.5"])
def test_a_label_too_many_is_no_header(tmp_path, lines):
    """Taking the first label for a name would shift all others by one element."""
    (tmp_path / "y.csv").write_text(lines, "utf-8")
    with pytest.raises(DatasetError, match="4 elements and 5 labels"):
        read_labels(tmp_path / "y.csv", 4)


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"animal": [a for a, _ in TAXA], "part": [b for _, b in TAXA], "x": [1.5, 2, 3, 4, 5]}
    parquet.write_table(arrow.table(columns), tmp_path / "y.parquet")
    found = read_labels(tmp_path / "y.parquet", 5, columns=["animal", "part"])
    assert found.levels.max(axis=0).tolist() == [1, 2]
    assert read_labels(tmp_path / "y.parquet", 5, columns=["x"]).values.tolist() == columns["x"]
    parquet.write_table(arrow.table({"y": ["a", None, "a", "b", "b"]}), tmp_path / "hole.parquet")
    with pytest.raises(DatasetError, match=r"row 2 of .*hole.parquet has no y. Leave out"):
        read_labels(tmp_path / "hole.parquet", 5)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("y.txt", "red wine\nbeer\n", r"2 columns in line 1 and 1 in line 2.*commas \(.csv\)"),
        ("y.csv", "", "is empty"),
        ("y.csv", "a\nb\n", r"y.csv: labels hold 2 classes for 2 elements"),
        ("y.doc", "a\n", "unknown suffix of a label file '.doc'"),
        ("y.npy", "broken", "cannot be read"),
    ],
)
def test_reason_and_remedy(tmp_path, name, content, said):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(ValueError, match=said):
        read_labels(tmp_path / name, 2)
    with pytest.raises(DatasetError, match="there is no"):
        read_labels(tmp_path / "absent.csv", 2)
