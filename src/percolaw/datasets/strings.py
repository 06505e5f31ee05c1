"""Strings of one length, such as words or sequences, from text files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import reading
from percolaw.datasets.tables import first_lines, is_number
from percolaw.errors import DatasetError
from percolaw.short import short_repr


@dataclass(frozen=True, eq=False)
class Strings:
    """Strings as positions in their alphabet.

    Parameters
    ----------
    codes : array of uint8, shape (n, length)
    alphabet : str
        The characters that occur, in the order of Unicode.
    """

    codes: npt.NDArray[np.uint8]
    alphabet: str

    __repr__ = short_repr


def holds_strings(path: str | os.PathLike[str]) -> bool:
    """Return whether a text file looks like strings, one a line, rather than a table of numbers.

    It does if its first lines have no comma, no tab and no number. Strings of digits, as 0110, look like
    numbers.
    """
    lines = [line.strip("\r\n") for _, line in first_lines(Path(path))]
    words = [word for line in lines for word in line.split()]
    numbers = any(
        is_number(word) and not word.isalpha() for word in words
    )  # nan and inf are words too
    return bool(words) and not numbers and not any("," in line or "\t" in line for line in lines)


def read_strings(path: str | os.PathLike[str]) -> Strings:
    """Read strings of one length from a text file, one a line; blanks in a line are letters.

    Parameters
    ----------
    path : path
        Text in UTF-8. Empty lines at the end do not count.

    Returns
    -------
    Strings

    Raises
    ------
    DatasetError
        If the file is missing, empty, no text, or holds strings of several lengths.
    ResourceError
        If it does not fit into memory.
    """
    source = Path(path)
    with reading(source) as place:
        if not place.is_file():
            raise DatasetError(f"{source} is no file.")
        checks.memory(20.0 * place.stat().st_size, f"reading {source}", "Keep fewer lines.")
        try:
            text = place.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{source} is no text in UTF-8. Save it so.") from error
        try:
            return coded_strings(text.rstrip("\n").split("\n"))
        except ValueError as error:
            raise DatasetError(f"{source}: {error}") from error


def coded_strings(lines: Sequence[str]) -> Strings:
    """Return strings of one length as positions in their alphabet.

    Parameters
    ----------
    lines : sequence of str

    Returns
    -------
    Strings

    Raises
    ------
    ValueError
        If lengths differ or are 0, or more than 256 characters occur.
    """
    lengths = Counter(map(len, lines))
    if len(lengths) > 1:
        raise ValueError(_unequal(lines, lengths))
    length = next(iter(lengths), 0)
    if length == 0:
        raise ValueError("there are no strings; give one a line.")
    points = np.frombuffer("".join(lines).encode("utf-32-le"), dtype="<u4")
    used, codes = np.unique(points, return_inverse=True)
    if used.size > 256:
        raise ValueError(f"{used.size} different characters occur; strings may have 256.")
    alphabet = "".join(chr(point) for point in used)
    return Strings(codes.astype(np.uint8).reshape(-1, length), alphabet)


def _unequal(lines: Sequence[str], lengths: Counter[int]) -> str:
    """What is wrong with strings of several lengths, and what helps."""
    (usual, n_usual), *_ = lengths.most_common(1)
    row = next(i for i, line in enumerate(lines) if len(line) != usual)
    if any(line.startswith(">") for line in lines[:2]):
        remedy = "Lines that begin with > are names (FASTA): keep the sequences alone, one a line."
    elif row == 0 and n_usual == len(lines) - 1:
        remedy = "If it is the name of a column, remove it."
    else:
        remedy = f"{n_usual} of {len(lines)} have {usual}: keep those, or align the strings."
    return (
        f"strings must have one length, for the Hamming distance; line {row + 1} has {len(lines[row])} "
        f"characters and line {next(i for i, line in enumerate(lines) if len(line) == usual) + 1} has "
        f"{usual}. {remedy}"
    )
