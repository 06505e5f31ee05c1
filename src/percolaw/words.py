"""Things that a word names: in configs, in stored rows and at the command line."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any


def key(word: str) -> tuple[int, ...]:
    """Return the items of the random streams that belong to a word."""
    return tuple(word.encode())


class Worded(ABC):
    """What one word names, and nothing else: a source of points, a target.

    The word is written into configs and rows and can be typed at the command line; one parser an
    interface reads it back (`percolaw.datasets.sources.parse_source`,
    `percolaw.targets.families.parse_target`). It also keys the random streams, so a word in use never
    changes. What people read is the label, which may.
    """

    @property
    @abstractmethod
    def word(self) -> str:
        """The word; equal objects have equal words, different ones different words.

        (Of a target the number of outputs is no part of it: the first ones are the same functions.)
        """

    @property
    def label(self) -> str:
        """What figures and claims call it."""
        return self.word

    @property
    def key(self) -> tuple[int, ...]:
        """Items of the random streams that belong to it: ``streams.child(*source.key)``."""
        return key(self.word)

    def __str__(self) -> str:
        return self.label


def changed(named: Any, *names: str) -> str:
    """Return ", name = value" for each of these fields of a dataclass that is not at its default."""
    values = {f.name: getattr(named, f.name) for f in dataclasses.fields(named) if f.name in names}
    defaults = {f.name: f.default for f in dataclasses.fields(named)}
    return "".join(f", {n} = {v}" for n, v in values.items() if v != defaults[n])


#: A field at the end of a word, as `changed` writes it.
_CHANGE = r", (\w+) = ([-+.\w]+|\([^()]*\))"


def read_word(
    word: str, patterns: Mapping[str, Callable[[re.Match[str]], Any]], what: str
) -> Any | None:
    """Return what a word names: what the first fitting pattern makes, with fields changed as it says.

    Parameters
    ----------
    word : str
        May end in fields, as `changed` writes them.
    patterns : mapping of str to function
        Regular expressions of whole words, and what each stands for: a frozen dataclass, or None if it
        is no such word after all.
    what : str
        Points, a teacher: for errors.

    Returns
    -------
    object or None
        None if no pattern fits.

    Raises
    ------
    ValueError
        If one fits and its numbers, or the fields, are refused.
    """
    tail = re.search(rf"(?:{_CHANGE})*$", word)
    options = tail[0] if tail else ""
    for beginning, fields in ((word, ""), (word.removesuffix(options), options)):
        for pattern, make in patterns.items():
            match = re.fullmatch(pattern, beginning)
            if match is None:
                continue
            given = re.findall(_CHANGE, fields)
            changes = {name: _value(value) for name, value in given}
            try:
                if len(changes) < len(given):
                    raise ValueError("it gives a field twice")
                made = make(match)
                if made is None:
                    continue
                changed_one = dataclasses.replace(made, **changes)
                if _beginning(changed_one.word) != _beginning(made.word):
                    raise ValueError("its end says again what its beginning says")
                return changed_one
            except (TypeError, ValueError) as error:
                raise ValueError(f"{word!r} names no {what}: {error}") from None
    return None


def _beginning(word: str) -> str:
    """A word without the fields at its end."""
    return re.sub(rf"(?:{_CHANGE})*$", "", word)


def _value(text: str) -> Any:
    """A number, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return math.inf if text == "inf" else text
