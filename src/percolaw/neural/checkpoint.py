"""The state of a training on disk: arrays, whole or not at all, for the same call alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.neural.job import TrainingJob
from percolaw.neural.stream import Stream

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
VERSION = 2

State = dict[str, npt.NDArray[Any]]


def identity(job: TrainingJob) -> str:
    """Return a hash of everything that decides the outcome of a job, 16 hexadecimal digits.

    The device is not part of it. A loss enters by its class and its values at some outputs, an endless
    stream by its class and the rows of its first step.
    """
    fields = dataclasses.asdict(job.training)
    del fields["device"]
    network, loss = job.network, type(job.loss).__qualname__
    plain = [type(network).__name__, repr(network), loss, fields, job.n_outputs, VERSION]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    _add(digest, _values_at_some_outputs(job))
    for array in (job.x, job.y):
        _add(digest, array, str(array.dtype))
    for s in job.students:
        digest.update(repr((s.seed, s.target, s.learning_rate, s.weight_decay)).encode())
        if isinstance(s.train, Stream):
            digest.update(type(s.train).__qualname__.encode())
            train = [np.asarray(rows) for rows in s.train.rows(0)]
        else:
            train = [np.asarray(s.train)]
        for rows in (*train, np.asarray(s.validation)):
            _add(digest, rows)
        if s.start is not None:
            _add(digest, np.asarray(s.start))
    return digest.hexdigest()[:16]


def _values_at_some_outputs(job: TrainingJob) -> npt.NDArray[np.float64]:
    """The loss (1, 64) at 64 outputs and targets that are the same in every call."""
    import torch

    shape = (2, 1, 64, job.n_outputs)
    count = torch.arange(128 * job.n_outputs, dtype=torch.float64, device="cpu").reshape(shape)
    output, target = 2.0 * count.sin()
    return np.asarray(job.loss.value(output, target).numpy())


def _add(digest: Any, array: npt.NDArray[Any], dtype: str = "") -> None:
    digest.update(f"{array.shape}{dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)


@dataclass
class Checkpoint:
    """The state of one training in one file, replaced at intervals.

    Attributes
    ----------
    folder : Path
        Created when the first state is written.
    name : str
        Name of the file without its ending: the `identity` of the job.
    seconds : float
        Time that passes at least between two states of `save_if_due`.
    """

    folder: Path
    name: str
    seconds: float = 60.0
    _last: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.name}.npz"

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Write a state if the last one is old enough; `state` is called only then."""
        if time.monotonic() - self._last >= self.seconds:
            self.save(state())
            self._last = time.monotonic()

    def save(self, state: State) -> None:
        """Write a state; the file is the old one or the new one, never in between."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{self.name}.{os.getpid()}.part"
        try:
            with open(part, "wb") as file:
                np.savez(file, **state)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)

    def load(self) -> State | None:
        """Return the state, or None if there is none that can be read."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except UNREADABLE:
            return None

    def remove(self) -> None:
        """Delete the state, which is no longer needed."""
        self.path.unlink(missing_ok=True)
