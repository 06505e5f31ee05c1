"""Strings of one length from text files."""

import numpy as np
import pytest

from percolaw.datasets.strings import coded_strings, holds_strings, read_strings
from percolaw.errors import DatasetError


def test_strings_come_back_from_their_codes(tmp_path):
    lines = ["ab c", "é  b", "aaaa"]
    (tmp_path / "s.txt").write_text("\ufeff" + "\r\n".join(lines) + "\n\n", "utf-8")
    found = read_strings(tmp_path / "s.txt")
    assert found.codes.dtype == np.uint8
    assert found.alphabet == " abcé"
    assert ["".join(found.alphabet[i] for i in row) for row in found.codes] == lines


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["ACG", "ACGU", "AAG"],
            "line 2 has 4 characters and line 1 has 3. 2 of 3 have 3: keep those",
        ),
        (["sequence", "ACGU", "AAGG"], "line 1 has 8 .* If it is the name of a column, remove it"),
        ([">one", "ACG", ">two", "AAG"], "FASTA.*keep the sequences alone"),
        ([""], "no strings; give one a line"),
        ([chr(256 + i) for i in range(257)], "257 different characters occur"),
    ],
)
def test_reason_and_remedy(lines, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        coded_strings(lines)
    (tmp_path / "s.txt").write_text("\n".join(lines), "utf-8")
    with pytest.raises(DatasetError, match=rf"s.txt: .*{said}"):
        read_strings(tmp_path / "s.txt")


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "s.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="no text in UTF-8"):
        read_strings(tmp_path / "s.txt")
    with pytest.raises(DatasetError, match="there is no"):
        read_strings(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ACGU\nAAGG\n", True),
        ("the cat\nthe dog\n", True),
        ("sequence\nACGU\n", True),
        ("nan\ninf\npan\n", True),
        ("", False),
        ("a 1.5\nb 2.5\n", False),
        ("1 2.5\n3 4\n", False),
        ("x y\n1 2\n3 4\n", False),
        ("a,b\n1,2\n", False),
        ("0110\n1001\n", False),
    ],
)
def test_strings_are_told_from_tables(tmp_path, content, expected):
    (tmp_path / "s.txt").write_text(content, "utf-8")
    assert holds_strings(tmp_path / "s.txt") is expected
