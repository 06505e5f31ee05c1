"""WordNet's nouns: senses, what each is a kind of, and glosses, read from its own text files.

The files (``data.noun``, ``index.noun``, ``cntlist.rev``) are those of Princeton's WordNet 3.0, as
Debian's package wordnet-base and the corpus "wordnet" of NLTK hold them; formats: wndb(5WN),
cntlist(5WN).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from percolaw.datasets.real.data import DataFile, data_file
from percolaw.errors import DatasetError, MissingExtraError

#: Where Debian puts WordNet.
DEBIAN_FOLDER = "/usr/share/wordnet"
_LICENCE = "WordNet License (Princeton University)"
#: Relations of a synset to what it is a kind or an instance of.
_IS_A = ("@", "@i")
#: Synsets and glosses; lemmas and their senses; how often each sense occurs in tagged texts.
FILES = ("data.noun", "index.noun", "cntlist.rev")


@dataclass(frozen=True)
class WordNet:
    """The noun files of one WordNet folder."""

    folder: Path

    def files(self, *names: str) -> tuple[DataFile, ...]:
        """Return the record of files of the folder."""
        return tuple(data_file(self.folder / name, "WordNet", _LICENCE) for name in names)

    def glosses(self) -> Iterator[str]:
        """Yield the gloss of every noun synset, in the order of the file."""
        for line in self._lines("data.noun"):
            yield line.partition(" | ")[2].strip()

    def parents(self) -> dict[int, int]:
        """Return of every noun synset the first one that it is a kind of; -1 at the root.

        Synsets are named by their offsets in ``data.noun``.

        Raises
        ------
        DatasetError
            If a line does not have the form that it should have.
        """
        parent: dict[int, int] = {}
        for line in self._lines("data.noun"):
            words = line.partition(" | ")[0].split()
            try:
                after = 4 + 2 * int(words[3], 16)  # words of the synset, each with a number
                pointers = words[after + 1 : after + 1 + 4 * int(words[after])]
                above = (
                    int(pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] in _IS_A
                )
                parent[int(words[0])] = next(above, -1)
            except (ValueError, IndexError) as error:
                raise DatasetError(
                    f"{self.folder / 'data.noun'} has a line that is no synset: {line[:60]!r}. Install "
                    "WordNet anew."
                ) from error
        return parent

    def first_senses(self, words: Iterable[str]) -> dict[str, int]:
        """Return the most frequent noun sense of each word that is a noun (a lemma of ``index.noun``).

        Inflected forms are no lemmas: "dogs" is none.
        """
        wanted = {*words}
        senses: dict[str, int] = {}
        for line in self._lines("index.noun"):
            cells = line.split()
            if cells[0] in wanted:
                senses[cells[0]] = int(cells[-int(cells[2])])
        return senses

    def rarely_nouns(self) -> set[str]:
        """Return the lemmas that the tagged texts use more often otherwise than as nouns."""
        excess: Counter[str] = Counter()
        for line in self._lines("cntlist.rev"):
            sense, _, count = line.split()
            lemma, _, kind = sense.partition("%")
            excess[lemma] += -int(count) if kind.startswith("1") else int(count)
        return {lemma for lemma, count in excess.items() if count > 0}

    def _lines(self, name: str) -> Iterator[str]:
        """Lines of a file without the licence at its top, which is indented."""
        with open(self.folder / name, encoding="utf-8") as file:
            yield from (line for line in file if not line.startswith(" "))


def wordnet(folder: str | os.PathLike[str] = DEBIAN_FOLDER) -> WordNet:
    """Return the WordNet of a folder that holds `FILES`.

    Raises MissingExtraError if they are not there.
    """
    place = Path(folder)
    if not all((place / name).is_file() for name in FILES):
        raise MissingExtraError(
            f"WordNet is not in {place}. Install it with: apt-get install wordnet-base (Debian, Ubuntu), "
            f"or name a folder that holds {', '.join(FILES)}, as NLTK's corpora/wordnet does."
        )
    return WordNet(place)


def classes_by_depth(parent: dict[int, int], senses: list[int]) -> npt.NDArray[np.int64]:
    """Return at every depth below the root the class of each sense: the synset on its path there.

    A sense that lies less deep than that is a class of its own, so that classes only split with
    depth.

    Parameters
    ----------
    parent : dict
        From `WordNet.parents`.
    senses : list of int, length n
        Synset of each element.

    Returns
    -------
    array of int64, shape (n, n_levels)
        Column d - 1 is depth d; in the last one every synset is a class.

    Raises
    ------
    DatasetError
        If a path leads to no root.
    """
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    for sense in senses:
        waiting: list[int] = []
        while sense not in paths:
            if sense not in parent or len(waiting) > len(parent):
                raise DatasetError(
                    f"synset {sense} of WordNet leads to no root. Install WordNet anew."
                )
            waiting.append(sense)
            sense = parent[sense]
        while waiting:
            below = waiting.pop()
            paths[below] = (*paths[parent[below]], below)
    chosen = [paths[sense] for sense in senses]
    n_levels = max(map(len, chosen)) - 1
    levels = np.empty((len(senses), n_levels), dtype=np.int64)
    for depth in range(1, n_levels + 1):
        ancestor = [path[min(depth, len(path) - 1)] for path in chosen]
        levels[:, depth - 1] = np.unique(ancestor, return_inverse=True)[1]
    return levels
