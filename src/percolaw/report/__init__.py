"""Reports read records and never compute a result: figures, claims tables, pages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from percolaw import checks
from percolaw.errors import RunError

#: What figures can be written as.
FORMATS = ("png", "svg", "pdf")
#: Pixels an inch of figures for publication.
PRINTED = 300.0


def draw_figures(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Draw all figures of a finished run folder as PNG files in its ``figures``; return them.

    Raises
    ------
    RunError
        If the run has not finished, its figures cannot be drawn, or ``figures`` is a link.
    """
    from percolaw.report.reading import drawing, drawn, read_record_of
    from percolaw.report.style import save, styled

    where = Path(folder)
    record = read_record_of(where)
    target = where / "figures"
    if target.is_symlink():
        raise RunError(f"{target} is a link and is not written through. Remove it.")
    target.mkdir(exist_ok=True)
    with styled(), drawing(where):
        return tuple(save(f, target / f"{name}.png") for name, f in drawn(where, record).items())


def write_figures(
    folders: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    formats: Sequence[str] = FORMATS,
) -> tuple[Path, ...]:
    """Write all figures of finished runs for publication, in each format; return the files.

    Parameters
    ----------
    folders : sequence of paths
        Run folders, or folders of `percolaw reproduce`.
    target : path
        Made if missing. Where two runs of one experiment are given, names carry the run's id.
    formats : sequence of {"png", "svg", "pdf"}

    Returns
    -------
    tuple of Path
    """
    from percolaw.report.reading import drawing, drawn, expand, read_record_of
    from percolaw.report.style import save, styled

    for name in formats:
        checks.choice("format", name, FORMATS)
    members, _ = expand(folders)
    records = [(folder, read_record_of(folder)) for folder in members]
    names = [record["experiment"] for _, record in records]
    into = Path(target)
    into.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with styled():
        for (folder, record), experiment in zip(records, names, strict=True):
            end = f"-{folder.name.rsplit('-', 1)[-1]}" if names.count(experiment) > 1 else ""
            with drawing(folder):
                for name, figure in drawn(folder, record).items():
                    written += [save(figure, into / f"{name}{end}.{f}", PRINTED) for f in formats]
    return tuple(written)
