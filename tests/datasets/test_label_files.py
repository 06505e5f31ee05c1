"""Labels from files of every kind; the number of elements tells a header from a label."""

import os
from decimal import Decimal

import numpy as np
import pytest

from percolaw.datasets.label_files import read_labels
from percolaw.errors import DatasetError, ResourceError

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


def test_columns_of_parquet_of_every_kind(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(values, n=4, **columns):
        parquet.write_table(arrow.table({"y": values, **columns}), tmp_path / "y.parquet")
        return read_labels(tmp_path / "y.parquet", n)

    assert read(arrow.array([*"abab"]).dictionary_encode()).labels.tolist() == [0, 1, 0, 1]
    assert read(arrow.array([*"abab"], arrow.large_string())).names == ("a", "b")
    assert read([Decimal("1.5"), Decimal("2.5")] * 2).values.tolist() == [1.5, 2.5, 1.5, 2.5]
    assert read([True, False] * 2).labels.tolist() == [1, 0, 1, 0]
    for other in (
        [[1], [2]] * 2,
        [b"a", b"b"] * 2,
        arrow.array([1, 2, 1, 2], arrow.timestamp("s")),
    ):
        with pytest.raises(
            DatasetError, match=r"column y of .* holds .*; labels are text or numbers"
        ):
            read(other)
    # A label of many characters would take their memory for every element.
    with pytest.raises(DatasetError, match="label 0 has 100000 characters"):
        read(["a" * 100_000, *"bc" * 10], 21)


def test_the_index_of_a_frame_is_no_level(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    index = pandas.Index([f"row {i}" for i in range(5)], name="id")
    pandas.DataFrame({"animal": [a for a, _ in TAXA]}, index).to_parquet(tmp_path / "y.parquet")
    assert read_labels(tmp_path / "y.parquet", 5).labels.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["1_10", "11_0"], ("11_0", "1_10")),  # 110, both of them, to Python
        (["01", "1"], ("01", "1")),
        (["1e1", "10"], ("10",)),
        (["+1", "1"], ("+1", "1")),
    ],
)
def test_names_that_look_like_numbers_stay_as_many(tmp_path, cells, names):
    (tmp_path / "y.csv").write_text("\n".join([*cells * 2, "7", "7"]), "utf-8")
    assert set(names) <= {*read_labels(tmp_path / "y.csv", 6).names}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        # Each would shift the labels by an element.
        ("y\n0\n1\n0\n1\n0", r"line 1 of .*'y', seems to hold names of columns: then 5 labels"),
        ("y\na\n\nb\na\nb\na\nb", r"line 3 of .* is empty"),
        ("a,0\nb,0\na,0\na,2\nb,3\nb,3\n", None),
        ("id,y\n0,a\n1,b\n2,a\n3,b\n4,a\n5,b", "every element has a class of its own in column id"),
        ("y,id\na,0\nb,1\na,2\nb,3\na,4\nb,5", "every element has a class of its own in column id"),
        ("y,y\na,b\na,c\na,d\nb,d\nb,d\nb,b", "two columns of one name"),
    ],
)
def test_lines_and_columns_that_are_no_labels(tmp_path, lines, said):
    (tmp_path / "y.csv").write_text(lines + "\n\n", "utf-8")  # empty lines at the end do not count
    if said is None:
        assert read_labels(tmp_path / "y.csv", 6).levels.max(axis=0).tolist() == [1, 3]
        return
    with pytest.raises(DatasetError, match=said):
        read_labels(tmp_path / "y.csv", 6)


@pytest.mark.parametrize("name", ["y.npy", "y.npz", "y.csv", "y.parquet"])
def test_pipes_are_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DatasetError, match="is no file"):
        read_labels(tmp_path / name, 4)


def test_memory_of_text_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "y.csv").write_text("a\nb\n" * 1000, "utf-8")
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: 1 << 10)
    with pytest.raises(ResourceError, match=r"y\.csv"):
        read_labels(tmp_path / "y.csv", 2000)


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


def test_text_that_was_saved_as_objects_says_how_to_save_it(tmp_path):
    np.save(tmp_path / "y.npy", np.array(["ant", "bee"], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"y.npy holds Python objects\. Save text as text"):
        read_labels(tmp_path / "y.npy", 2)
