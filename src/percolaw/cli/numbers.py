"""Numbers as a person writes them on a command line."""

from __future__ import annotations


def count(text: str) -> int:
    """An integer as a person writes it: 2000000 or 2e6.

    Raises
    ------
    ValueError
        For what is no whole number.
    """
    try:
        return int(text)
    except ValueError:
        value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


count.__name__ = "integer"  # what argparse calls it in messages
