"""What lies in a folder, and whether a dataset came back whole."""

from pathlib import Path

import numpy as np

from percolaw.datasets.formats import (
    DatasetError,
    load,
)


def contents(folder):
    """Every file below a folder with its bytes."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def assert_equal(got, data):
    np.testing.assert_array_equal(np.asarray(got.X), data.X)
    assert got.X.dtype == np.float32
    for name in ("y", "cluster", "cluster_size"):
        ours, theirs = getattr(got, name), getattr(data, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert got.truth == data.truth
    assert got.provenance == data.provenance


def outcome(path, data):
    """'error', 'equal' or 'other'; anything but a DatasetError is not caught here."""
    try:
        got = load(path)
    except DatasetError:
        return "error"
    try:
        np.asarray(got.X)
    except ValueError:  # a chunk of Zarr is checked when it is read
        return "error"
    try:
        assert_equal(got, data)
    except AssertionError:
        return "other"
    return "equal"
