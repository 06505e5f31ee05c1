"""Text that came from elsewhere, made safe to print."""

from __future__ import annotations


def printable(text: object, *, lines: bool = False) -> str:
    """Return text in which a terminal finds nothing to obey.

    Control characters, marks that turn the direction of text, and characters without a glyph are
    written as their escapes (``\\x1b``), so that a name on disk or a sentence in a record can neither
    move the cursor, nor colour, nor hide anything.

    Parameters
    ----------
    text : object
        Taken by its `str`.
    lines : bool
        Leave line breaks and tabs as they are.

    Examples
    --------
    >>> printable("run\\x1b[2J")
    'run\\\\x1b[2J'
    >>> printable("größe ≤ 3")
    'größe ≤ 3'
    """
    left = "\n\t" if lines else ""
    return "".join(
        c if c.isprintable() or c in left else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )
