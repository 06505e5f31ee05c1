"""Sizes, classes, duplicates and digests of the real data, and the Hamming graphs of the discrete ones.

    python benchmarks/real_data.py                  about a minute
    python benchmarks/real_data.py --rna 10         and all RNA sequences of 10 letters

What is not installed is named and left out (`make data` brings it).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from percolaw.analysis.adjacency import hamming_graph
from percolaw.datasets.real.contexts import gloss_contexts
from percolaw.datasets.real.data import RealData
from percolaw.datasets.real.digits import digits
from percolaw.datasets.real.rna import rna_structures
from percolaw.datasets.real.word_vectors import noun_vectors, word_vectors
from percolaw.datasets.real.words import pronounced_words, spelled_words
from percolaw.errors import MissingExtraError

LONGEST_WORD = 14


def describe(data: RealData) -> list[str]:
    """What there is of a data set, a line a fact."""
    lines = [f"\n{data.name}: {len(data)} x {data.elements.shape[1]}, {data.metric}"]
    lines.append(f"  left out because equal to an earlier one: {data.n_duplicates}")
    if data.labels is not None:
        count = np.bincount(data.labels)
        name = data.label_names[int(count.argmax())]
        lines.append(
            f"  {count.size} classes, the largest {count.max() / len(data):.2g} ({name!r})"
        )
    if data.levels is not None:
        for name, level in zip(data.level_names, data.levels.T, strict=True):
            count = np.bincount(level)
            lines.append(
                f"  {name}: {count.size} classes, the largest {count.max() / len(data):.2g}"
            )
    for file in data.files:
        lines.append(f"  {file.package}, {file.name}: {file.sha256}")
        lines.append(f"    {file.licence}")
    return lines


def graph(data: RealData) -> str:
    """The Hamming graph: mean degree, largest cluster, and the share of bonds that keep the class."""
    bonds = hamming_graph(data.elements)
    largest = np.bincount(bonds.clusters()).max() / len(data)
    alone = 1.0 - np.union1d(bonds.low, bonds.high).size / len(data)
    text = f"{len(data):>8} {bonds.mean_degree:8.2f} {largest:8.3f} {alone:8.3f}"
    classes = [data.labels] if data.labels is not None else []
    classes += [*data.levels.T] if data.levels is not None else []
    return text + "".join(f" {np.mean(c[bonds.low] == c[bonds.high]):8.3f}" for c in classes)


def table(title: str, make: Callable[[int], RealData], lengths: range, columns: str) -> None:
    """A line for each length."""
    print(f"\n{title}\n  length        n   degree  largest    alone{columns}")
    for length in lengths:
        print(f"{length:>8} {graph(make(length))}", flush=True)


def main() -> None:
    """Describe all that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rna", type=int, default=0, help="letters of RNA sequences")
    parser.add_argument("--workers", type=int, default=1, help="processes that fold RNA")
    given = parser.parse_args()
    words = range(2, LONGEST_WORD + 1)
    steps: list[Callable[[], None]] = [
        *(
            lambda make=make: print("\n".join(describe(make())), flush=True)
            for make in (digits, word_vectors, noun_vectors, lambda: spelled_words(5))
        ),
        lambda: print("\n".join(describe(pronounced_words(5)))),
        lambda: print("\n".join(describe(gloss_contexts(4)))),
        lambda: table("words, wamerican-huge", spelled_words, words, ""),
        lambda: table(
            "words, cmudict; bonds that keep",
            pronounced_words,
            words,
            " syllabl.   stress   vowels    sound",
        ),
        lambda: table("contexts of glosses", gloss_contexts, range(2, 7), "     next"),
    ]
    if given.rna:
        sequences = rna_structures(given.rna, given.workers)
        print("\n".join(describe(sequences)))
        table("RNA", lambda _: sequences, range(given.rna, given.rna + 1), "     fold")
    for step in steps:
        try:
            step()
        except MissingExtraError as error:
            print(f"\nleft out: {error}")


if __name__ == "__main__":
    main()
