"""A user's own data as percolation clusters: what `percolaw analyze` runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from percolaw import checks
from percolaw.analysis.sample import METRICS, Sample, as_sample
from percolaw.datasets.element_labels import KINDS, Kind
from percolaw.datasets.formats.target import suffix_of
from percolaw.datasets.source import file_digest
from percolaw.errors import DatasetError
from percolaw.experiments.base import Preset, plain
from percolaw.experiments.fields import REPEATS
from percolaw.experiments.real.analysis import DataAnalysis

#: Fields and their flags of `percolaw analyze`; k and other_k are one, ``--k``.
_FLAGS = {
    "labels": "--labels",
    "columns": "--columns",
    "kind": "--kind",
    "metric": "--metric",
    "n_draws": "--draws",
    "learners": "--learners",
    "n_most": "--max-elements",
    "approximate": "--approximate",
    "seed": "--seed",
}


@dataclass(frozen=True)
class Analyze(DataAnalysis):
    """Points or strings in a file, and classes or values in another."""

    name: ClassVar[str] = "analyze"
    title: ClassVar[str] = "Data of your own as percolation clusters"
    presets: ClassVar[dict[str, Preset]] = {}
    command: ClassVar[str] = "percolaw analyze FILE"

    file: str = ""
    """Points (.npy .npz .csv .tsv .txt .parquet .zarr), or strings of one length, one a line."""
    labels: str = ""
    """Classes or real values, one for each element; several columns are a hierarchy."""
    metric: str = "euclidean"
    """euclidean, cosine or hamming."""
    columns: tuple[str, ...] = ()
    """Columns of the labels to use, coarsest first; all if empty."""
    kind: str = "auto"
    """What one column of labels holds: classes or numbers; auto takes whole numbers for classes."""
    digests: Annotated[tuple[str, ...], REPEATS] = ()
    """SHA-256 of the files, so that changed files are other data; computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("metric", self.metric, METRICS[:3])
        checks.choice("kind", self.kind, KINDS)
        for field in ("file", "labels"):
            if getattr(self, field):
                object.__setattr__(self, field, str(Path(getattr(self, field)).absolute()))
        if self.file and not self.digests:
            files = [name for name in (self.file, self.labels) if name]
            object.__setattr__(self, "digests", tuple(file_digest(Path(f)) for f in files))

    @classmethod
    def command_line(cls, config: Mapping[str, Any]) -> str | None:
        """Return the command that analyses the same files in the same way.

        Parameters
        ----------
        config : dict
            All fields, as in a record.

        Returns
        -------
        str or None
            None if a field is unknown or has no flag.
        """
        default = plain(cls())
        if set(config) != set(default) or not config["file"]:
            return None
        words = ["percolaw", "analyze", str(config["file"])]
        changed = {key for key in config if config[key] != default[key]} - {"file", "digests"}
        if changed & {"k", "other_k"}:
            words += ["--k", ",".join(map(str, (config["k"], *config["other_k"])))]
        for key in sorted(changed - {"k", "other_k"}):
            if key not in _FLAGS:
                return None
            value = config[key]
            if key == "learners":
                value = [name.replace(" ", "-") for name in value] or ["none"]
            words.append(_FLAGS[key])
            if key != "approximate":
                words.append(",".join(value) if isinstance(value, list) else str(value))
        return shlex.join(words)

    def names(self) -> tuple[str, ...]:
        """Return the name of the file.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not self.file:
            raise ValueError("name a file of points or strings: percolaw analyze FILE.")
        return (Path(self.file).name,)

    def data(self, name: str) -> Sample:
        """Read the files."""
        return self.read()

    def read(self) -> Sample:
        """Return all distinct elements of the files.

        Raises
        ------
        ValueError
            As `percolaw.analysis.sample.as_sample`.
        DatasetError
            If a file cannot be read, or changed since it was named.
        """
        from percolaw.datasets.label_files import read_labels

        files = [f for f in (self.file, self.labels) if f]
        if tuple(file_digest(Path(f)) for f in files) != self.digests:
            raise DatasetError(
                f"{' or '.join(files)} changed since the analysis began; put it back, or start anew with "
                "percolaw analyze."
            )
        elements, n = self._elements()
        function = None
        if self.labels:
            kind = cast(Kind, self.kind)
            function = read_labels(self.labels, n, kind, self.columns)
        return as_sample(elements, function, metric=self.metric)

    def _elements(self) -> tuple[Any, int]:
        """Points or strings, and how many."""
        if self.metric == "hamming":
            from percolaw.datasets.strings import holds_strings, read_strings

            suffix = suffix_of(Path(self.file))
            is_text = suffix not in (".npy", ".npz", ".parquet", ".zarr")
            if suffix not in (".txt", "") and not (is_text and holds_strings(self.file)):
                raise ValueError(
                    f"{self.file} holds numbers, and the Hamming distance counts the letters in which "
                    "strings of one length differ. Give the strings as text, one a line (.txt); in "
                    "Python percolaw.analyze takes letters as uint8, too. For points take euclidean or "
                    "cosine."
                )
            codes = read_strings(self.file).codes
            return codes, codes.shape[0]
        from percolaw.datasets.points import read_points

        return read_points(self.file, 1 << 40)
