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
        pass
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise ValueError(f"{text!r} is no whole number, such as 2000 or 2e3.")
    return int(value)


count.__name__ = "integer"  # what argparse calls it in messages
