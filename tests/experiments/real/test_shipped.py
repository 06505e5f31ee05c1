"""Experiments on data that packages ship: names, loaders, and what is said where a package is missing."""

import numpy as np
import pytest

from percolaw.datasets.real.data import RealData
from percolaw.errors import MissingExtraError
from percolaw.experiments.real.contexts import RealContexts
from percolaw.experiments.real.digits import RealDigits
from percolaw.experiments.real.rna import RealRna
from percolaw.experiments.real.vectors import RealVectors
from percolaw.experiments.real.words import RealWords

#: Where each experiment gets its data, by length.
BY_LENGTH = {
    RealWords: "words.spelled_words",
    RealContexts: "contexts.gloss_contexts",
    RealRna: "rna.rna_structures",
}
#: What fails first where the data are not installed.
READERS = {
    RealWords: "words.spelled_words",
    RealContexts: "wordnet.wordnet",
    RealVectors: "word_vectors.word_vectors",
}
CODES = np.stack(np.meshgrid(*[np.arange(4)] * 5), axis=-1).reshape(-1, 5).astype(np.uint8)


@pytest.mark.parametrize("experiment", BY_LENGTH, ids=lambda e: e.name)
def test_a_name_says_its_length(experiment, monkeypatch):
    asked = []

    def load(length, **options):
        asked.append(length)
        return RealData("d", CODES, "hamming", (), labels=np.arange(1024) % 3)

    monkeypatch.setattr(f"percolaw.datasets.real.{BY_LENGTH[experiment]}", load)
    made = experiment(lengths=(5, 12))
    samples = [made.data(name) for name in made.names()]
    assert asked == [5, 12]
    assert all(s.metric == "hamming" and s.n == 1024 for s in samples)


@pytest.mark.parametrize("experiment", READERS, ids=lambda e: e.name)
def test_what_is_missing_is_said_in_a_line(experiment, monkeypatch):
    def lacking(*given, **options):
        raise MissingExtraError("install it with pip")

    monkeypatch.setattr(f"percolaw.datasets.real.{READERS[experiment]}", lacking)
    assert experiment.unavailable() == "install it with pip"


def test_depths_are_columns_of_the_hierarchy(monkeypatch):
    levels = np.stack([np.arange(420) // w for w in (210, 105, 42, 21)], axis=1)
    x = np.random.default_rng(0).standard_normal((420, 5))
    names = tuple(f"depth {i}" for i in range(1, 5))
    asked = []

    def load(n):
        asked.append(n)
        return RealData("nouns", x, "cosine", (), levels=levels, level_names=names)

    monkeypatch.setattr("percolaw.datasets.real.word_vectors.noun_vectors", load)
    sample = RealVectors(n_nouns=420, depths=(1, 3, 9)).data("nouns")
    assert asked == [420]
    assert sample.levels == ("depth 1", "depth 3")  # there is no depth 9
    assert [np.unique(c).size for c in sample.classes.T] == [2, 10]


def test_digits():
    pytest.importorskip("sklearn")
    sample = RealDigits().data("digits")
    assert sample.n == 1797
    assert np.unique(sample.classes).size == 10
