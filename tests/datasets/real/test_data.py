"""What loaders have in common."""

import hashlib

import numpy as np

from percolaw.datasets.real.data import RealData, data_file, first_of_equal


def test_digest_is_that_of_the_content(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    found = data_file(tmp_path / "a.txt", "package", "licence")
    assert found.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert (found.name, found.package, found.licence) == ("a.txt", "package", "licence")


def test_first_of_equal_rows_are_kept_in_order():
    rows = np.array([[2, 1], [1, 2], [2, 1], [1, 2], [0, 5]], dtype=float)
    assert first_of_equal(rows).tolist() == [0, 1, 4]
    assert first_of_equal(np.array([[0, 1], [1, 0]], dtype=np.uint8)).tolist() == [0, 1]


def test_elements_have_a_text():
    points = np.zeros((2, 1))
    assert RealData("x", points, "euclidean", ()).text(1) == "element 1"
    assert RealData("x", points, "cosine", (), element_names=np.array(["a", "b"])).text(1) == "b"
    codes = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    data = RealData("x", codes, "hamming", (), alphabet="GC")
    assert data.text(0) == "GC"
    assert len(data) == 2
