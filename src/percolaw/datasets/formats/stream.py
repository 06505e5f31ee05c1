"""Stream the points of one cluster to Zarr in bounded memory; an interrupted call continues."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats import description as about
from percolaw.datasets.formats import zarr as store
from percolaw.datasets.formats.target import checked_target, claimed, suffix_of
from percolaw.datasets.labels import linear_weights, standardized
from percolaw.rng import RandomLike, Streams, as_streams


def stream_cluster(
    path: str | os.PathLike[str],
    n_samples: int,
    dim: int,
    rng: RandomLike = 0,
    *,
    size: float = np.inf,
    memory: float = 2 * 2**30,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write points of one cluster to Zarr in bounded memory; an interrupted call continues.

    The coordinates are made a block of columns at a time (each number is keyed by point and column),
    so memory is that of the tree (32 bytes a point), the labels (8 bytes) and one block.

    Parameters
    ----------
    path : path
        Ends in ``.zarr``.
    n_samples, dim, rng, size
        As in `percolaw.make_cluster` (infinite z, Gaussian steps, linear labels). The points are equal
        to the bit; labels are summed a block of columns at a time, and so equal to rounding (some 1e-15
        of their standard deviation).
    memory : float
        Bytes of one block of columns.
    overwrite : bool
        Replace a dataset that is there, when the new one is whole.
    progress : callable
        Called with blocks done and in all.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If the target exists, or another process writes it now.
    """
    from percolaw.datasets.make import cluster_description
    from percolaw.embedding.skeleton import column_blocks

    checks.extra("zarr", "store")
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    place = checked_target(path, 4.0 * n * d + 24.0 * n, overwrite)
    if suffix_of(path) != ".zarr":
        raise ValueError(f"streaming writes Zarr; name a folder ending in .zarr, not {path}.")
    blocks = list(column_blocks(n, d, memory))
    width = blocks[0][1] - blocks[0][0]
    checks.memory(
        44.0 * n + 4.0 * n * width, f"streaming {n} points", "Lower memory= or n_samples."
    )
    streams = as_streams(rng)
    truth, provenance = cluster_description(streams, n, d, size)
    plan = {
        "provenance": provenance,
        "block": width,
        "rows": layout.CHUNK_ROWS,
        "format_version": about.FORMAT_VERSION,
    }
    plan = json.loads(json.dumps(plan))
    identity = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]
    with claimed(place, True, overwrite) as claim:
        part = claim.part(identity)
        claim.clean(keep=part)
        try:
            if not _is_complete(part, provenance):
                work = _Stream(part, plan, streams, n, d, size)
                work.make_points(blocks, progress)
                work.conclude(truth, provenance)
            for left in (*part.glob("labels-*.npy"), part / "progress.part"):
                left.unlink(missing_ok=True)
            claim.finish(part)
        except BaseException:
            claim.clean(keep=part)
            raise
    return Path(path)


def _is_complete(part: Path, provenance: dict[str, Any]) -> bool:
    """Whether all was written and only the last renaming is left."""
    if not part.is_dir() or (part / "progress.json").exists():
        return False
    try:
        return store.read(part).provenance == json.loads(json.dumps(provenance))
    except Exception:  # unfinished parts make readers fail in every way
        return False


class _Stream:
    """The unfinished part of one stream: points, labels so far, and how far it is."""

    def __init__(
        self, part: Path, plan: dict[str, Any], streams: Streams, n: int, d: int, size: float
    ) -> None:
        zarr = checks.extra("zarr", "store")
        self.part, self.plan, self.streams = part, plan, streams
        self.n, self.d, self.size = n, d, size
        self.progress_file = part / "progress.json"
        self.done, self.sums = self._stored()
        if self.done == 0 and part.exists():
            shutil.rmtree(part)
        for torn in part.rglob("*.partial"):  # what Zarr was writing when it was killed
            torn.unlink()
        self.group = zarr.open_group(part, mode="a")
        if self.done == 0:
            chunks = (min(n, layout.CHUNK_ROWS), plan["block"])
            store.create(self.group, "X", (n, d), chunks, np.float32)

    def _stored(self) -> tuple[int, Any]:
        try:
            state = about.read_json(self.progress_file)
            if state["plan"] == self.plan:
                sums = np.load(self.part / f"labels-{state['done']}.npy", allow_pickle=False)
                if sums.shape == (self.n,):
                    return int(state["done"]), sums
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing usable: start anew
        return 0, np.zeros(self.n)

    def make_points(
        self, blocks: list[tuple[int, int]], progress: Callable[[int, int], None]
    ) -> None:
        """Make the blocks of columns that are left, and add up the labels."""
        from percolaw.clusters.brownian import sample_large_cluster
        from percolaw.embedding.skeleton import embed_sampled

        weights = linear_weights(self.d, self.streams)
        cluster = sample_large_cluster(self.n, self.size, self.streams)
        block = np.empty((self.n, self.plan["block"]), dtype=np.float32)
        points = self.group["X"]
        progress(self.done, len(blocks))
        for index in range(self.done, len(blocks)):
            low, high = blocks[index]
            whole = high - low == block.shape[1]
            out = block if whole else np.empty((self.n, high - low), dtype=np.float32)
            embed_sampled(cluster, self.d, self.streams, out=out, first_column=low)
            points[:, low:high] = out  # Zarr writes the chunks of one assignment concurrently
            for rows in self._row_blocks():
                self.sums[rows] += out[rows].astype(np.float64) @ weights[low:high]
            self._record(index + 1)
            progress(index + 1, len(blocks))

    def _row_blocks(self) -> Iterator[slice]:
        step = min(self.n, layout.CHUNK_ROWS)
        return (slice(row, min(row + step, self.n)) for row in range(0, self.n, step))

    def _record(self, done: int) -> None:
        """Labels first, under their own number, then the mark that counts them, then the old ones go."""
        np.save(self.part / f"labels-{done}.npy", self.sums)
        about.write_json(self.progress_file, {"plan": self.plan, "done": done})
        (self.part / f"labels-{done - 1}.npy").unlink(missing_ok=True)

    def conclude(self, truth: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Write labels, clusters and the description; the record of progress goes last."""
        sites = 0 if np.isinf(self.size) else int(self.size)
        store.write_side(self.group, "y", standardized(self.sums))
        store.write_side(self.group, "cluster", np.zeros(self.n, dtype=np.int64))
        store.write_side(self.group, "cluster_size", np.array([sites], dtype=np.int64))
        store.describe(self.group, about.ARRAYS, truth, provenance)
        self.progress_file.unlink()
