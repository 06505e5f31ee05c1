"""English words by length on the Hamming lattice: data that cross their own threshold with no knob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw.datasets.real.data import RealData
from percolaw.experiments.base import Preset
from percolaw.experiments.fields import Range
from percolaw.experiments.real.analysis import ByLength


@dataclass(frozen=True)
class RealWords(ByLength):
    """Words of one length are adjacent if they differ in one letter; geometry alone."""

    name: ClassVar[str] = "real-words"
    title: ClassVar[str] = "English words by length: where do they cease to hang together?"
    words: ClassVar[str] = "words of {} letters"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"lengths": (4,), "n_draws": 20}, "10 s", "0.5 GiB"),
        "laptop": Preset({}, "2 min", "1 GiB"),
    }

    lengths: Annotated[tuple[int, ...], Range(2, 20)] = (3, 4, 5, 6, 7, 8, 9, 10)
    """Letters of the words."""
    n_most: Annotated[int, Range(400)] = 200_000
    """Words used at most."""

    @staticmethod
    def load(length: int) -> RealData:
        """Return the words of a length."""
        from percolaw.datasets.real.words import spelled_words

        return spelled_words(length)
