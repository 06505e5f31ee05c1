"""Handwritten digits, 8 x 8 pixels, with the digit that was meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from percolaw import checks
from percolaw.datasets.real.data import RealData, data_file, first_of_equal

_LICENCE = "BSD-3-Clause (scikit-learn); data CC BY 4.0 (UCI, optical recognition of digits)"


def digits() -> RealData:
    """Return the 1797 digits that scikit-learn ships: 64 brightnesses from 0 to 16, classes 0 to 9.

    Needs scikit-learn (extra ``analyze``).

    Returns
    -------
    RealData
        Elements (n, 64), metric Euclidean, labels.
    """
    path = Path(checks.extra("sklearn.datasets", "analyze").__file__).parent / "data/digits.csv.gz"
    table = np.loadtxt(path, delimiter=",")
    kept = first_of_equal(table[:, :-1])
    return RealData(
        name="digits",
        elements=np.ascontiguousarray(table[kept, :-1]),
        metric="euclidean",
        files=(data_file(path, "scikit-learn", _LICENCE),),
        labels=table[kept, -1].astype(np.int64),
        label_names=tuple("0123456789"),
        n_duplicates=len(table) - len(kept),
    )
