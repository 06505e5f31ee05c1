"""Numbers that JSON has no word for."""

import json
import math

import numpy as np

from percolaw.nulls import floats, from_null, to_null


def test_what_is_not_finite_becomes_null_and_nothing_else_changes():
    value = {"a": [1.5, math.nan, {"b": -math.inf}], "c": [0, True, None, "nan"], "d": math.inf}
    expected = {"a": [1.5, None, {"b": None}], "c": [0, True, None, "nan"], "d": None}
    assert to_null(value) == expected
    assert value["d"] == math.inf, "arguments are not changed"
    assert json.loads(json.dumps(to_null(value), allow_nan=False)) == expected
    assert to_null(2.5) == 2.5
    assert to_null(math.nan) is None


def test_null_becomes_nan_or_what_is_asked_for():
    assert math.isnan(from_null(None))
    assert from_null(None, math.inf) == math.inf
    assert from_null(3) == 3.0
    values = floats([1.0, None, 2])
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [1.0, np.nan, 2.0])
    assert floats([]).shape == (0,)
