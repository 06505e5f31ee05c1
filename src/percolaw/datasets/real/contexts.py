"""Contexts of a text: what stands before a character says which character comes next."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from percolaw import checks
from percolaw.datasets.real.data import RealData
from percolaw.datasets.real.wordnet import DEBIAN_FOLDER, wordnet

#: Letters of a text: what is no letter a to z is a blank, several in a row are one.
TEXT = " abcdefghijklmnopqrstuvwxyz"


def gloss_contexts(length: int, folder: str | os.PathLike[str] = DEBIAN_FOLDER) -> RealData:
    """Return the distinct contexts of `length` characters in WordNet's noun glosses, as `contexts` does.

    Parameters
    ----------
    length : int
        Characters of a context.
    folder : path
        WordNet's files.

    Returns
    -------
    RealData
    """
    nouns = wordnet(folder)
    glosses = contexts(nouns.glosses(), length)
    return replace(glosses, name=f"gloss {glosses.name}", files=nouns.files("data.noun"))


def contexts(texts: Iterable[str], length: int) -> RealData:
    """Return the distinct contexts of texts with the character that follows each most often.

    Only the letters a to z and blanks count, capitals as small letters. A context does not reach over
    the end of its text. Of characters that follow equally often the first in the alphabet is taken.

    Parameters
    ----------
    texts : iterable of str
    length : int, 1 to 12
        Characters of a context.

    Returns
    -------
    RealData
        Elements (n, length), metric Hamming, labels (the next character), counts (how often a context
        stands in the texts).

    Raises
    ------
    ValueError
        If no text is longer than a context.
    """
    checks.integer("length", length, minimum=1, maximum=12)
    cleaned = [re.sub("[^a-z]+", " ", text.lower()).strip() for text in texts]
    long = [text for text in cleaned if len(text) > length]
    if not long:
        raise ValueError(
            f"no text has more than length = {length} letters; choose shorter contexts."
        )
    raw = np.frombuffer("\n".join(long).encode("ascii"), dtype=np.uint8)
    code = np.where(raw == ord(" "), 0, raw.astype(np.int64) - ord("a") + 1)
    ends = np.concatenate([[0], np.cumsum(raw == ord("\n"))])
    checks.memory(64.0 * raw.size, "counting contexts", "Give less text.")
    start = np.flatnonzero(ends[: raw.size - length] == ends[length + 1 : raw.size + 1])
    key = np.zeros(start.size, dtype=np.int64)
    for shift in range(length + 1):  # the context, then the character that follows
        key = key * len(TEXT) + code[start + shift]
    pair, count = np.unique(key, return_counts=True)
    context, following = pair // len(TEXT), pair % len(TEXT)
    order = np.lexsort((following, -count, context))
    distinct, first = np.unique(context[order], return_index=True)
    occurrences = np.bincount(np.searchsorted(distinct, context), count).astype(np.int64)
    digits = [distinct // len(TEXT) ** power % len(TEXT) for power in reversed(range(length))]
    used, labels = np.unique(following[order][first], return_inverse=True)
    return RealData(
        name=f"contexts of {length} characters",
        elements=np.stack(digits, axis=1).astype(np.uint8),
        metric="hamming",
        files=(),
        labels=labels,
        label_names=tuple(TEXT[i] for i in used),
        counts=occurrences,
        alphabet=TEXT,
        n_duplicates=int(start.size - distinct.size),
    )
