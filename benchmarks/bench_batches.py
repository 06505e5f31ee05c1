"""Shuffled batches of a dataset on disk: 256 rows at a time from 2,000,000 points in 100 dimensions.

python benchmarks/bench_batches.py [FOLDER]   (800 MB are written to FOLDER, default: temporary files)
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _timing import header

import percolaw as pl
from percolaw.datasets.formats import stream_cluster


def milliseconds(work) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def main(folder: Path) -> None:
    header("")
    stream_cluster(folder / "large.zarr", 2_000_000, 100, 0)
    data = pl.load(folder / "large.zarr")
    view, rng = data.to_torch(), np.random.default_rng(0)
    batches = [rng.integers(0, len(data), 256).tolist() for _ in range(50)]
    first = milliseconds(lambda: view.__getitems__(batches[0]))
    later = [milliseconds(lambda rows=rows: view.__getitems__(rows)) for rows in batches[1:]]
    rows = np.array(batches[1])
    through_zarr = milliseconds(lambda: data.X.oindex[rows, :])
    x = torch.stack([x for x, _ in view.__getitems__(batches[1])]).numpy()
    assert np.array_equal(x, data.X.oindex[rows, :])
    assert np.array_equal(view[batches[2][7]][0].numpy(), data.X[batches[2][7]])
    median = statistics.median(later)
    print(
        f"a shuffled batch: {median:.1f} ms in the median, {max(later):.1f} ms at most (bar 50 ms); the "
        f"first {first:.0f} ms, which checks all chunks; whole chunks: {through_zarr / median:.0f} x"
    )
    assert median < 50.0, median
    seen, started = 0, time.perf_counter()
    loader = torch.utils.data.DataLoader(view, batch_size=256, shuffle=True, num_workers=2)
    for _, (points, _) in zip(range(1000), loader, strict=False):
        assert points.shape == (256, 100)
        seen += 1
    seconds = time.perf_counter() - started
    print(
        f"DataLoader, shuffled, 2 workers: {1e3 * seconds / seen:.1f} ms a batch over {seen} batches"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
