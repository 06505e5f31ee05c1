"""Write a file or folder whole: whatever happens, the old one or the new one lies there.

A lock beside the target keeps others away. The new one is written under a name of its own, the old
one is moved aside, the new one moved in, and then the old one is removed; `present` finds the old
one if a process was killed between the two moves.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from percolaw import checks
from percolaw.datasets.formats.description import is_dataset_folder
from percolaw.errors import ResourceError
from percolaw.locks import only_one
from percolaw.text import printable

SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")
#: Formats that are folders.
FOLDERS = (".zarr",)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix that names a format, in small letters."""
    return Path(path).suffix.lower()


def checked_target(path: str | os.PathLike[str], n_bytes: float, overwrite: bool) -> Path:
    """Check that a dataset can be written there; return where a link leads.

    Parameters
    ----------
    path : path
        As the user named it; its suffix is the format, links are followed.
    n_bytes : float
        Size of the dataset.
    overwrite : bool
        Whether a file, or a folder that holds a dataset and nothing else, may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError, ResourceError, ValueError
        If something is in the way, the folder is missing or not writable, the disk too small, or
        the suffix unknown.
    """
    named = Path(path)
    if suffix_of(named) not in SUFFIXES:
        raise ValueError(
            f"{named} needs one of the suffixes {', '.join(SUFFIXES)}; got {named.suffix!r}."
        )
    place = Path(os.path.realpath(named))
    folder = place.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable; choose another folder.")
    if len(os.fsencode(place.name)) > 220:
        raise ValueError(f"the name {place.name} is too long; choose one below 220 bytes.")
    _check_replaceable(place, suffix_of(named) in FOLDERS, overwrite)
    free = shutil.disk_usage(folder).free
    if n_bytes > 0.98 * free:
        raise ResourceError(
            f"{named} needs {checks.human_bytes(n_bytes)} of disk and {checks.human_bytes(free)} are "
            "free there. Choose another disk, fewer points or fewer dimensions."
        )
    return place


def _check_replaceable(place: Path, as_folder: bool, overwrite: bool) -> None:
    """Refuse a target that is there unasked, or is something that nobody meant to lose."""
    existing = present(place)
    if not os.path.lexists(existing):
        return
    if not overwrite:
        raise FileExistsError(
            f"{_shown(place)} exists; choose another name or pass overwrite (--overwrite)."
        )
    remedy = "Choose another name, or remove it yourself."
    if existing.is_symlink() or os.path.ismount(existing):
        raise FileExistsError(f"{_shown(place)} is a link to itself or a mount point. {remedy}")
    if not existing.is_dir():
        if as_folder or not existing.is_file():
            kind = "a file" if existing.is_file() else "no plain file"
            raise FileExistsError(
                f"{_shown(place)} is {kind} and no dataset of this form; it is not overwritten. {remedy}"
            )
    elif not as_folder or not is_dataset_folder(existing):
        raise FileExistsError(
            f"{_shown(place)} is a folder that holds other things than a dataset; it is not overwritten. "
            f"{remedy}"
        )


def _shown(place: Path) -> str:
    """A path as short as it can be said."""
    here = Path.cwd()
    return str(place.relative_to(here) if place.is_relative_to(here) else place)


@dataclass(frozen=True)
class Claim:
    """A target that this process alone writes; see `claimed`."""

    place: Path
    as_folder: bool
    overwrite: bool

    def part(self, identity: str) -> Path:
        """Return the name to write under; `identity` (hexadecimal) tells one content from another."""
        return self.place.with_name(f".{self.place.name}.{identity}.part")

    def finish(self, part: Path) -> None:
        """Put a whole `part` in the target's place and remove what was there."""
        _check_replaceable(self.place, self.as_folder, self.overwrite)
        _swap(part, self.place)

    def clean(self, keep: Path | None = None) -> None:
        """Bring back what an interrupted swap moved aside; remove unfinished parts but `keep`."""
        aside = _aside(self.place)
        if os.path.lexists(aside):
            if os.path.lexists(self.place):
                _discard(aside, self.place)
            else:
                os.replace(aside, self.place)
        for leftover in unfinished(self.place):
            if leftover != keep:
                remove(leftover)


@contextmanager
def claimed(place: Path, as_folder: bool, overwrite: bool) -> Iterator[Claim]:
    """Be the only one who writes `place`; others are refused with FileExistsError.

    Parameters
    ----------
    place : Path
        Where links lead, from `checked_target`.
    as_folder : bool
        Whether the format is a folder.
    overwrite : bool
        Whether what lies there may be replaced.

    Yields
    ------
    Claim
    """
    busy = (
        f"another process writes {_shown(place)} now. Wait for it to end, or choose another name; the "
        "lock goes with that process."
    )
    with only_one(place.with_name(f".{place.name}.lock"), busy):
        claim = Claim(place, as_folder, overwrite)
        _check_replaceable(place, as_folder, overwrite)  # it may have come since the first look
        yield claim


def write_whole(claim: Claim, write: Callable[[Path], None]) -> None:
    """Call `write` with a name of its own; what it writes becomes the target if nothing failed.

    Parameters
    ----------
    claim : Claim
    write : callable
        Takes the path to write to.
    """
    claim.clean()
    part = claim.part(os.urandom(8).hex())
    try:
        write(part)
        claim.finish(part)
    except BaseException:
        claim.clean()
        raise


def present(place: Path) -> Path:
    """Return where the dataset lies now: `place`, or beside it if a swap was interrupted."""
    aside = _aside(place)
    if os.path.lexists(place) or not os.path.lexists(aside):
        return place
    return aside


def unfinished(place: Path) -> list[Path]:
    """Return the parts of the target that interrupted writers have left beside it."""
    ours = re.compile(rf"\.{re.escape(place.name)}(\.[0-9a-f]+)?\.part")
    try:
        return [Path(e.path) for e in os.scandir(place.parent) if ours.fullmatch(e.name)]
    except OSError:
        return []


def remove(path: Path) -> None:
    """Remove a file or folder that nobody needs; warn if that fails."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"{printable(path)} could not be removed ({printable(error)}); remove it by hand.",
            stacklevel=2,
        )


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def _swap(part: Path, place: Path) -> None:
    """Old aside, new in, old away."""
    if not place.is_dir():
        os.replace(part, place)
        return
    aside = _aside(place)
    os.replace(place, aside)
    os.replace(part, place)
    _discard(aside, place)


def _discard(aside: Path, place: Path) -> None:
    """Remove what was moved aside, under another name: what is called .old is always whole."""
    trash = place.with_name(f".{place.name}.{os.urandom(8).hex()}.part")
    os.replace(aside, trash)
    remove(trash)
