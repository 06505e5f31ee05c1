"""What a source of points is, and points of a user's own as one.

Sources whose dimension is known are in `percolaw.datasets.sources`.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.provenance import provenance
from percolaw.errors import DatasetError
from percolaw.rng import RandomLike, as_streams
from percolaw.targets.teacher import standardized_inputs
from percolaw.words import Worded


class Source(Worded):
    """A law of points in R^d."""

    @property
    @abstractmethod
    def dimension(self) -> float | None:
        """Dimension D of the points at small distances; None if it is not known."""

    @abstractmethod
    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        """Return points in exchangeable order; what labels they have depends on the source."""

    def inputs(self, n_samples: int, rng: RandomLike = 0) -> npt.NDArray[np.float64]:
        """Return points as learners are given them: float64, (n, d), see `standardized_inputs`.

        Parameters
        ----------
        n_samples : int
        rng : int, Generator or Streams

        Returns
        -------
        array of float64, shape (n, d)
        """
        return standardized_inputs(self.sample(n_samples, rng).X)

    def sized_for(self, n_samples: int) -> Source:
        """Return the source whose clusters are as large as for `n_samples`, however many are drawn."""
        return self


@dataclass(frozen=True)
class PointFile(Source):
    """A user's own points in a file of any kind that `read_points` reads.

    Parameters
    ----------
    path : str
        Made absolute.
    digest : str
        First hexadecimal digits of the SHA-256 of the file, or of the names and digests of a folder's
        files; computed if empty. A file that changed since is another source and is refused.
    """

    path: str
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", os.path.abspath(self.path))
        if not self.digest:
            object.__setattr__(self, "digest", file_digest(Path(self.path)))

    @property
    def dimension(self) -> None:
        return None

    @property
    def word(self) -> str:
        return f"file {self.path} sha256:{self.digest}"

    @property
    def label(self) -> str:
        return Path(self.path).name

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        """Rows are drawn without replacement.

        Raises
        ------
        ValueError
            If the file has fewer rows.
        DatasetError
            If it changed or cannot be read.
        """
        from percolaw.datasets.points import read_points

        n = checks.integer("n_samples", n_samples, minimum=1)
        now = file_digest(Path(self.path))
        if now != self.digest:
            raise DatasetError(
                f"{self.path} is not the file it was: its SHA-256 begins with {now}, not with "
                f"{self.digest}. Name it anew to take it as it is."
            )
        streams = as_streams(rng)
        points, rows = read_points(self.path, n, streams)
        if rows < n:
            raise ValueError(f"{self.path} has {rows} rows, fewer than the {n} points asked for.")
        order = streams.generator("split").permutation(n)
        origin = provenance("PointFile", streams, n_samples=n, path=self.path, digest=self.digest)
        return unlabelled(np.asarray(points)[order], {}, origin)


def unlabelled(
    points: npt.NDArray[Any], truth: dict[str, Any], origin: dict[str, Any], size: int = 0
) -> Dataset:
    """Return points of one cluster of `size` sites (0: not known) without labels.

    Parameters
    ----------
    points : array, shape (n, d)
    truth : dict
    origin : dict
        Provenance.
    size : int
        Sites of the cluster.

    Returns
    -------
    Dataset
    """
    n = points.shape[0]
    return Dataset(
        X=points,
        y=np.zeros(n),
        cluster=np.zeros(n, dtype=np.int64),
        cluster_size=np.array([size], dtype=np.int64),
        truth=truth,
        provenance=origin,
    )


def file_digest(path: Path) -> str:
    """Return 12 hexadecimal digits that tell the contents of a file, or of a folder's files.

    Raises
    ------
    DatasetError
        If there is neither.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        parts = [f"{p.relative_to(path)} {file_digest(p)}" for p in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    if not path.is_file():
        raise DatasetError(f"there is no file {path}.")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
