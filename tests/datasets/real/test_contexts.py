"""Contexts and the character that follows each most often, against counting by hand."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from percolaw.datasets.real.contexts import TEXT, contexts, gloss_contexts

TEXTS = ["Abracadabra, abracadabra!", "  a cab", "ab", "the 3 cabs: a dab"]


def counted(texts, length):
    """Contexts with the counts of what follows."""
    following = defaultdict(Counter)
    for text in texts:
        plain = "".join(c if c in TEXT else " " for c in text.lower())
        plain = " ".join(plain.split())
        for i in range(len(plain) - length):
            following[plain[i : i + length]][plain[i + length]] += 1
    return following


@pytest.mark.parametrize("length", [1, 2, 3])
def test_contexts_are_those_counted_by_hand(length):
    data, truth = contexts(TEXTS, length), counted(TEXTS, length)
    assert [data.text(row) for row in range(len(data))] == sorted(truth)
    for row, context in enumerate(sorted(truth)):
        most = max(truth[context].values())
        tied = sorted(c for c, n in truth[context].items() if n == most)
        assert data.label_names[data.labels[row]] == tied[0]
        assert data.counts[row] == truth[context].total()
    assert data.n_duplicates == data.counts.sum() - len(data)
    assert sorted({*data.labels.tolist()}) == [*range(len(data.label_names))]


def test_glosses_are_texts(wordnet_folder):
    data = gloss_contexts(2, wordnet_folder)
    assert data.name == "gloss contexts of 2 characters"
    assert "it" in [data.text(row) for row in range(len(data))]
    assert data.files[0].name == "data.noun"
    assert data.elements.dtype == np.uint8


def test_reason_and_remedy():
    with pytest.raises(ValueError, match="more than length = 3 letters; choose shorter"):
        contexts(["abc", "a.c"], 3)
    with pytest.raises(ValueError, match=r"length must be in \[1, 12\]"):
        contexts(TEXTS, 13)
