"""What every loader of real data returns, and the record of the files that it read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.short import short_repr

Metric: TypeAlias = Literal["euclidean", "cosine", "hamming"]


@dataclass(frozen=True)
class DataFile:
    """A file that was read: of which package, under which licence, with which content."""

    name: str
    package: str
    licence: str
    sha256: str


@dataclass(frozen=True, eq=False)
class RealData:
    """Distinct elements of a real data set with what is known of each.

    Parameters
    ----------
    name : str
        What tables and plots call it.
    elements : array, float64 (n, d) or uint8 (n, length)
        Points, or strings of one length as positions in `alphabet`.
    metric : {"euclidean", "cosine", "hamming"}
        In which distances between elements are meant.
    files : tuple of DataFile
        What was read.
    labels : array of int64, shape (n,), optional
        Class of each element, numbered from 0.
    label_names : tuple of str
        Name of each class.
    levels : array of int64, shape (n, n_levels), optional
        Classes at every depth of a hierarchy, coarsest first: who shares a class shares all before it.
    level_names : tuple of str
        Name of each depth.
    element_names : array of str, shape (n,), optional
        Words that points stand for.
    counts : array of int64, shape (n,), optional
        How often each element occurs in what was read.
    alphabet : str
        Letters of strings.
    n_duplicates : int
        Elements that were left out because they equal an earlier one.
    """

    name: str
    elements: npt.NDArray[Any]
    metric: Metric
    files: tuple[DataFile, ...]
    labels: npt.NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    levels: npt.NDArray[np.int64] | None = None
    level_names: tuple[str, ...] = ()
    element_names: npt.NDArray[np.str_] | None = None
    counts: npt.NDArray[np.int64] | None = None
    alphabet: str = ""
    n_duplicates: int = 0

    __repr__ = short_repr

    def __len__(self) -> int:
        return int(self.elements.shape[0])

    def text(self, row: int) -> str:
        """Return what an element is called: its word, its letters, or its number."""
        if self.element_names is not None:
            return str(self.element_names[row])
        if self.alphabet:
            return "".join(self.alphabet[code] for code in self.elements[row])
        return f"element {row}"


def data_file(path: Path, package: str, licence: str) -> DataFile:
    """Return the record of a file with the SHA-256 digest of its content.

    Parameters
    ----------
    path : Path
    package, licence : str
        What brought the file, and what its use is bound to.

    Returns
    -------
    DataFile
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(path.name, package, licence, digest)


def first_of_equal(rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows that equal no earlier one, in order.

    Parameters
    ----------
    rows : array, shape (n, d)

    Returns
    -------
    array of int64
    """
    table = np.ascontiguousarray(rows)
    keys = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
    return np.sort(np.unique(keys, return_index=True)[1]).astype(np.int64)
