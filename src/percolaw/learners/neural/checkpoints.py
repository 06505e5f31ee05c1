"""States of a training on disk: arrays and text, whole or not at all, for the same call alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.networks import Network

#: What NumPy and its archives raise for a damaged file.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
#: Changed when a state means something else.
VERSION = 1


def identity(
    network: Network,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    students: Sequence[Student],
    training: Training,
    n_outputs: int,
) -> str:
    """Return a name made of everything that decides the outcome; the device does not."""
    fields = dataclasses.asdict(training)
    del fields["device"]
    plain = [type(network).__name__, repr(network), fields, n_outputs, VERSION]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for array in (x, y):
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).data)
    for s in students:
        digest.update(repr((s.seed, s.target, s.learning_rate, s.weight_decay)).encode())
        for rows in (np.asarray(s.train), np.asarray(s.validation)):
            digest.update(str(rows.shape).encode())
            digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()[:16]


def save(folder: Path, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Path:
    """Write a state; the file of that name is the old one or the new one, never in between."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load(folder: Path, name: str) -> dict[str, npt.NDArray[Any]] | None:
    """Return a state, or None if there is none that can be read."""
    path = folder / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except UNREADABLE:
        return None


def remove(folder: Path, name: str) -> None:
    """Delete a state that is no longer needed."""
    (folder / f"{name}.npz").unlink(missing_ok=True)
