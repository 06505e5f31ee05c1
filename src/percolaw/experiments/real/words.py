"""English words by length on the Hamming lattice: data that cross their own threshold with no knob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw.analysis.sample import Sample
from percolaw.experiments.base import Preset
from percolaw.experiments.fields import Range
from percolaw.experiments.real.analysis import DataAnalysis, missing_data, real_sample


@dataclass(frozen=True)
class RealWords(DataAnalysis):
    """Words of one length are adjacent if they differ in one letter; geometry alone."""

    name: ClassVar[str] = "real-words"
    title: ClassVar[str] = "English words by length: where do they cease to hang together?"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"lengths": (4,), "n_draws": 20}, "10 s", "0.5 GiB"),
        "laptop": Preset({}, "2 min", "1 GiB"),
    }

    lengths: Annotated[tuple[int, ...], Range(2, 20)] = (3, 4, 5, 6, 7, 8, 9, 10)
    """Letters of the words."""
    n_most: Annotated[int, Range(400)] = 200_000
    """Words used at most."""

    @classmethod
    def unavailable(cls) -> str:
        """Return what must be installed first; empty if nothing."""
        from percolaw.datasets.real.words import spelled_words

        return missing_data(lambda: spelled_words(4))

    def _lengths(self) -> dict[str, int]:
        return {f"words of {n} letters": n for n in self.lengths}

    def names(self) -> tuple[str, ...]:
        """Return a name for each length."""
        return tuple(self._lengths())

    def data(self, name: str) -> Sample:
        """Return the words of a length."""
        from percolaw.datasets.real.words import spelled_words

        return real_sample(spelled_words(self._lengths()[name]))
