"""A user's own data as percolation clusters: what `percolaw analyze` runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from percolaw import checks
from percolaw.analysis.sample import METRICS, Sample, as_sample
from percolaw.datasets.source import file_digest
from percolaw.experiments.base import Preset
from percolaw.experiments.real.analysis import DataAnalysis


@dataclass(frozen=True)
class Analyze(DataAnalysis):
    """Points or strings in a file, and classes or values in another."""

    name: ClassVar[str] = "analyze"
    title: ClassVar[str] = "Data of your own as percolation clusters"
    presets: ClassVar[dict[str, Preset]] = {}

    file: str = ""
    """Points (.npy .npz .csv .tsv .txt .parquet .zarr), or strings of one length, one a line."""
    labels: str = ""
    """Classes or real values, one for each element; several columns are a hierarchy."""
    metric: str = "euclidean"
    """euclidean, cosine or hamming."""
    columns: tuple[str, ...] = ()
    """Columns of the labels to use, coarsest first; all if empty."""
    digests: tuple[str, ...] = ()
    """SHA-256 of the files, so that changed files are other data; computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("metric", self.metric, METRICS[:3])
        for field in ("file", "labels"):
            if getattr(self, field):
                object.__setattr__(self, field, str(Path(getattr(self, field)).absolute()))
        if self.file and not self.digests:
            files = [name for name in (self.file, self.labels) if name]
            object.__setattr__(self, "digests", tuple(file_digest(Path(f)) for f in files))

    def names(self) -> tuple[str, ...]:
        """Return the name of the file."""
        if not self.file:
            raise ValueError("name a file of points or strings: percolaw analyze FILE.")
        return (Path(self.file).name,)

    def data(self, name: str) -> Sample:
        """Read the files."""
        from percolaw.datasets.label_files import read_labels

        files = [f for f in (self.file, self.labels) if f]
        if tuple(file_digest(Path(f)) for f in files) != self.digests:
            raise ValueError(
                f"{' or '.join(files)} changed since the analysis began; start it anew with percolaw "
                "analyze."
            )
        elements, n = self._elements()
        function = read_labels(self.labels, n, columns=self.columns) if self.labels else None
        return as_sample(elements, function, metric=self.metric)[0]

    def _elements(self) -> tuple[Any, int]:
        """Points or strings, and how many."""
        if self.metric == "hamming":
            from percolaw.datasets.strings import holds_strings, read_strings

            if Path(self.file).suffix in (".txt", "") or holds_strings(self.file):
                codes = read_strings(self.file).codes
                return codes, codes.shape[0]
        from percolaw.datasets.points import read_points

        return read_points(self.file, 1 << 40)
