"""All RNA sequences of one length with the structure that each folds into.

Sequences are numbered in alphabetical order and folded in blocks, which are kept in the user's cache
folder as they finish: an interrupted call goes on where it was, later calls only read.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.real.data import DataFile, RealData
from percolaw.errors import PercolawError
from percolaw.progress import progress

LETTERS = "ACGU"
#: Sequences of a block share all letters but the last eight.
BLOCK_LETTERS = 8
#: Longest sequences: those of 13 letters fold for an hour.
LONGEST = 12
_LICENCE = "Vienna RNA Package (free use, no redistribution for a fee, credit to the authors)"

#: The distinct structures of a block in dots and brackets, and which of them each sequence has.
Folded: TypeAlias = tuple[list[str], npt.NDArray[np.int64]]


def rna_structures(
    length: int, workers: int = 1, folder: str | os.PathLike[str] | None = None, quiet: bool = False
) -> RealData:
    """Return all 4^length RNA sequences with their structure of least free energy.

    Needs ViennaRNA (extra ``rna``). About 30,000 sequences a second and process are folded, once: 10
    letters take half a minute, 12 letters ten minutes.

    Parameters
    ----------
    length : int, 1 to 12
        Letters of a sequence.
    workers : int
        Processes that fold.
    folder : path, optional
        Where blocks are kept; by default percolaw's folder in the user's cache.
    quiet : bool
        Show no progress.

    Returns
    -------
    RealData
        Elements (4^length, length) in alphabetical order of ACGU, metric Hamming, labels: structures,
        named in dots and brackets. The digest is that of all labels and their names.

    Raises
    ------
    PercolawError
        If a process that folds fails, or the folder cannot be made.

    References
    ----------
    Lorenz et al., ViennaRNA Package 2.0, Algorithms for Molecular Biology 6, 26 (2011).
    """
    length = checks.integer("length", length, minimum=1, maximum=LONGEST)
    workers = checks.integer("workers", workers, minimum=1)
    checks.memory(
        (length + 32.0) * 4**length, f"all sequences of {length} letters", "Take fewer letters."
    )
    version = checks.extra("RNA", "rna").__version__
    place = Path(folder) if folder is not None else cache_folder()
    place = place / f"rna-{length}-ViennaRNA-{version}"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PercolawError(
            f"the folder for what is folded cannot be made ({error}); name another with XDG_CACHE_HOME."
        ) from error
    blocks = _folded(length, place, workers, quiet)
    names = sorted({name for structures, _ in blocks for name in structures})
    number = {name: i for i, name in enumerate(names)}
    labels = np.concatenate(
        [np.array([number[name] for name in structures])[index] for structures, index in blocks]
    )
    content = "\n".join(names).encode("ascii") + labels.astype("<i8").tobytes()
    digest = hashlib.sha256(content).hexdigest()
    return RealData(
        name=f"RNA of {length} letters",
        elements=sequences(length),
        metric="hamming",
        files=(DataFile("labels and structures", f"ViennaRNA {version}", _LICENCE, digest),),
        labels=labels,
        label_names=tuple(names),
        alphabet=LETTERS,
    )


def sequences(length: int) -> npt.NDArray[np.uint8]:
    """Return all sequences of a length in alphabetical order, as positions in `LETTERS`."""
    number = np.arange(4**length)
    codes = np.empty((number.size, length), dtype=np.uint8)
    for position in range(length):
        codes[:, position] = number >> 2 * (length - 1 - position) & 3
    return codes


def cache_folder() -> Path:
    """Return percolaw's folder in the user's cache, as the XDG convention names it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "percolaw"


def fold_block(length: int, n_tail: int, block: int, path: str) -> None:
    """Fold the sequences of a block and write them to `path`, whole or not at all.

    Parameters
    ----------
    length : int
    n_tail : int
        Letters that differ within the block.
    block : int
        Number of the letters before them, in alphabetical order.
    path : str
    """
    fold = checks.extra("RNA", "rna").fold
    tail = sequences(n_tail)
    head = np.broadcast_to(sequences(length - n_tail)[block], (len(tail), length - n_tail))
    codes = np.hstack([head, tail])
    text = np.frombuffer(LETTERS.encode("ascii"), dtype=np.uint8)[codes].tobytes().decode("ascii")
    folded = [fold(text[at : at + length])[0] for at in range(0, len(text), length)]
    structures, index = np.unique(folded, return_inverse=True)
    part = Path(path).with_name(f".{block}.{os.urandom(8).hex()}.part")
    try:
        with open(part, "wb") as file:
            np.savez_compressed(
                file,
                structures=structures,
                index=index.astype(np.uint16),
                block=np.array([length, n_tail, block]),
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _folded(length: int, place: Path, workers: int, quiet: bool) -> list[Folded]:
    """All blocks in order; those that are not in the folder, or damaged, are folded."""
    n_tail = min(length, BLOCK_LETTERS)
    n_blocks = 4 ** (length - n_tail)
    paths = [place / f"{block:04d}.npz" for block in range(n_blocks)]
    known = [_read(path, length, n_tail, block) for block, path in enumerate(paths)]
    missing = [block for block in range(n_blocks) if known[block] is None]

    def fold(block: int) -> None:
        _fold_in_process(length, n_tail, block, str(paths[block]))

    with ThreadPoolExecutor(workers) as pool, progress("folding RNA", quiet) as update:
        try:
            for done, _ in enumerate(pool.map(fold, missing), 1):
                update(done, len(missing))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for block in missing:
        known[block] = _read(paths[block], length, n_tail, block)
    whole = [block for block in known if block is not None]
    if len(whole) < n_blocks:
        raise PercolawError(f"files in {place} were removed while they were made. Call again.")
    return whole


def _fold_in_process(length: int, n_tail: int, block: int, path: str) -> None:
    """Fold a block in a new interpreter, which finds modules where this one does.

    Here the temperature and energies of the package may have been changed; what is kept must not depend
    on them.
    """
    code = (
        "import sys; from percolaw.datasets.real.rna import fold_block; "
        "fold_block(*map(int, sys.argv[1:4]), sys.argv[4])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(length), str(n_tail), str(block), path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PercolawError(
            f"folding block {block} failed with exit code {done.returncode}: "
            f"{done.stderr.strip()[-500:]} What is folded is kept; call again."
        )


def _read(path: Path, length: int, n_tail: int, block: int) -> Folded | None:
    """A block that was folded before; None if it is not there, damaged, or another one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            structures, index = archive["structures"].tolist(), archive["index"].astype(np.int64)
            same = archive["block"].tolist() == [length, n_tail, block]
    except Exception:  # damaged files make readers fail in every way
        return None
    whole = index.shape == (4**n_tail,) and index.max() < len(structures)
    return (structures, index) if same and whole else None
