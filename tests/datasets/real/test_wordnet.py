"""WordNet's files are read as wndb(5WN) describes them."""

import numpy as np
import pytest

from percolaw.datasets.real.wordnet import classes_by_depth, wordnet
from percolaw.errors import DatasetError, MissingExtraError


def test_first_hypernyms_instances_too_are_parents(wordnet_folder):
    expected = {100: -1, 200: 100, 300: 100, 400: 200, 500: 400, 600: 400}
    assert wordnet(wordnet_folder).parents() == expected


def test_first_senses_are_those_of_lemmas(wordnet_folder):
    senses = wordnet(wordnet_folder).first_senses(["dog", "the", "king", "dogs"])
    assert senses == {"dog": 400, "king": 300}


def test_words_of_other_kinds_are_counted(wordnet_folder):
    """run is a verb four times of six; king as often as a noun."""
    assert wordnet(wordnet_folder).rarely_nouns() == {"run"}


def test_glosses_are_without_the_licence(wordnet_folder):
    glosses = [*wordnet(wordnet_folder).glosses()]
    assert len(glosses) == 6
    assert glosses[3] == "an animal that barks at 2 cats"


def test_classes_split_with_depth(wordnet_folder):
    """thing ends at depth 1 and keeps its class; at the deepest level every synset is a class."""
    parent = wordnet(wordnet_folder).parents()
    levels = classes_by_depth(parent, [300, 500, 600, 400, 300, 200])
    assert levels.shape == (6, 3)
    assert levels[:, 0].tolist() == [1, 0, 0, 0, 1, 0]
    assert levels[:, 1].tolist() == [1, 2, 2, 2, 1, 0]
    assert len({*levels[:, 2].tolist()}) == 5
    for coarse, fine in zip(levels.T, levels.T[1:], strict=False):
        pairs = np.unique(np.stack([coarse, fine]), axis=1)
        assert pairs.shape[1] == fine.max() + 1


def test_damage_is_refused(wordnet_folder):
    path = wordnet_folder / "data.noun"
    whole = path.read_text("utf-8")
    path.write_text(whole + "00000700 03 n 01 half", "utf-8")
    with pytest.raises(DatasetError, match="line that is no synset: '00000700 03 n 01 half'"):
        wordnet(wordnet_folder).parents()
    for parent in ({1: 2, 2: 1}, {1: 7}):
        with pytest.raises(DatasetError, match="leads to no root"):
            classes_by_depth(parent, [1])


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MissingExtraError, match=r"install wordnet-base .*data.noun, index.noun"):
        wordnet(tmp_path)
