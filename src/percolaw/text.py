"""Text that came from elsewhere, made safe to print."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return text on one line in which a terminal finds nothing to obey.

    Control characters, line breaks among them, marks that turn the direction of text, and characters
    without a glyph are written as their escapes (``\\x1b``), so that a name on disk or a sentence in a
    record can neither move the cursor, nor colour, nor hide anything.

    Parameters
    ----------
    text : object
        Taken by its `str`.

    Examples
    --------
    >>> printable("run\\x1b[2J")
    'run\\\\x1b[2J'
    >>> printable("größe ≤ 3")
    'größe ≤ 3'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )
