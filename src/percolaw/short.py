"""Short texts of results: what they hold, without the numbers of their arrays."""

from __future__ import annotations

import dataclasses
from typing import Any


def short_repr(result: Any) -> str:
    """Return the fields of a dataclass in a line; arrays by their dtype and shape.

    Made the `__repr__` of results: a dataclass would print all of its arrays.

    Parameters
    ----------
    result : dataclass instance

    Returns
    -------
    str
    """
    parts = []
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        if shape is None or dtype is None:
            text = repr(value)
            text = text if len(text) <= 60 else f"{text[:57]}..."
        else:
            text = f"<{dtype}, {'x'.join(map(str, shape)) or 'one'}>"
        parts.append(f"{field.name}={text}")
    return f"{type(result).__name__}({', '.join(parts)})"
