"""The digits of scikit-learn."""

import sys

import numpy as np
import pytest

from percolaw.datasets.real.digits import digits
from percolaw.errors import MissingExtraError


def test_digits_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.datasets")
    X, y = sklearn.load_digits(return_X_y=True)
    data = digits()
    assert np.array_equal(data.elements, X)
    assert np.array_equal(data.labels, y)
    assert data.labels.dtype == np.int64
    assert (data.n_duplicates, len(data.label_names), data.metric) == (0, 10, "euclidean")
    (file,) = data.files
    assert file.name == "digits.csv.gz"
    assert "BSD-3-Clause" in file.licence


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"sklearn.datasets is not installed.*\[analyze\]"):
        digits()
