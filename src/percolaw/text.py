"""Text that came from elsewhere: made safe to print, and what it was perhaps meant to be."""

from __future__ import annotations

import difflib
import itertools
import textwrap
from collections.abc import Iterator, Sequence


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


def table_lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[list[str]]:
    """Yield the lines of one row of a table, each a text for every column, wrapped and filled up.

    Parameters
    ----------
    cells : sequence of str
    widths : sequence of int
        Characters of the columns.
    """
    wrapped = (textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True))
    for line in itertools.zip_longest(*wrapped, fillvalue=""):
        yield [text.ljust(width) for text, width in zip(line, widths, strict=True)]


def suggestion(value: str, options: list[str]) -> str:
    """Return the end of a sentence on an unknown word: what it was perhaps meant to be, and all there is.

    Parameters
    ----------
    value : str
    options : list of str

    Examples
    --------
    >>> suggestion("yul", ["site", "yule"]), suggestion("x", ["site", "yule"])
    (". Did you mean 'yule'? There are site, yule", '; choose from site, yule')
    """
    near = nearest(value, options)
    hint = f". Did you mean {near!r}? There are" if near is not None else "; choose from"
    return f"{hint} {', '.join(options)}"


def nearest(value: str, options: list[str]) -> str | None:
    """Return what an unknown word was perhaps meant to be: one that begins with it, or one like it.

    Parameters
    ----------
    value : str
    options : list of str

    Returns
    -------
    str or None
    """
    begun = [option for option in options if len(value) > 2 and option.startswith(value)]
    return next(iter([*begun, *difflib.get_close_matches(value, options, n=1, cutoff=0.5)]), None)
