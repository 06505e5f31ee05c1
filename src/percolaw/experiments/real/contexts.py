"""Text contexts on the Hamming lattice, with the character that follows as function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw.datasets.real.data import RealData
from percolaw.experiments.base import Preset
from percolaw.experiments.fields import Range
from percolaw.experiments.real.analysis import ByLength, missing_data


@dataclass(frozen=True)
class RealContexts(ByLength):
    """Contexts of one length are adjacent if they differ in one character; WordNet's noun glosses."""

    name: ClassVar[str] = "real-contexts"
    title: ClassVar[str] = "Text contexts: is the next character a percolation problem?"
    words: ClassVar[str] = "contexts of {} characters"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"lengths": (2,), "n_draws": 20, "learners": ("nearest neighbour",), "n_repeats": 3},
            "10 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "5 min", "1 GiB"),
    }

    lengths: Annotated[tuple[int, ...], Range(1, 12)] = (3, 4)
    """Characters of the contexts."""
    n_most: Annotated[int, Range(400)] = 50_000
    """Contexts used at most."""

    @classmethod
    def unavailable(cls) -> str:
        """Return what must be installed first; empty if nothing."""
        from percolaw.datasets.real.wordnet import wordnet

        return missing_data(wordnet)

    @staticmethod
    def load(length: int) -> RealData:
        """Return the contexts of a length."""
        from percolaw.datasets.real.contexts import gloss_contexts

        return gloss_contexts(length)
