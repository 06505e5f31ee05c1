"""Word vectors of nouns, with WordNet's hierarchy of classes at every depth as function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw.analysis.sample import Sample
from percolaw.experiments.base import Preset
from percolaw.experiments.fields import Range
from percolaw.experiments.real.analysis import DataAnalysis, missing_data, real_sample


@dataclass(frozen=True)
class RealVectors(DataAnalysis):
    """GloVe vectors (50 coordinates, cosine distance) of the most frequent nouns."""

    name: ClassVar[str] = "real-vectors"
    title: ClassVar[str] = "Word vectors and the hierarchy of nouns: critical at some depth?"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_nouns": 1500,
                "depths": (3,),
                "n_draws": 20,
                "learners": ("nearest neighbour",),
                "n_repeats": 3,
            },
            "20 s",
            "1 GiB",
        ),
        "laptop": Preset({}, "8 min", "2 GiB"),
        "paper": Preset(
            {"n_nouns": 20_000, "n_most": 20_000, "depths": tuple(range(1, 13))},
            "2 h, estimated",
            "4 GiB",
        ),
    }

    depths: Annotated[tuple[int, ...], Range(1, 20)] = (1, 2, 3, 5, 8)
    """Depths of the classes below "entity"."""
    n_nouns: Annotated[int, Range(400)] = 6000
    """Nouns, the most frequent first."""
    learners: tuple[str, ...] = ("nearest neighbour",)
    """Whose learning curves are measured and predicted."""

    @classmethod
    def unavailable(cls) -> str:
        """Return what must be installed first; empty if nothing."""
        from percolaw.datasets.real.word_vectors import word_vectors
        from percolaw.datasets.real.wordnet import wordnet

        return missing_data(lambda: (wordnet(), word_vectors(1)))

    def names(self) -> tuple[str, ...]:
        """Return the one name."""
        return ("nouns",)

    def data(self, name: str) -> Sample:
        """Return the vectors with the classes at the depths asked for."""
        from dataclasses import replace

        from percolaw.datasets.real.word_vectors import noun_vectors

        nouns = noun_vectors(self.n_nouns)
        assert nouns.levels is not None
        kept = [depth - 1 for depth in self.depths if depth <= nouns.levels.shape[1]]
        names = tuple(f"depth {i + 1}" for i in kept)
        return real_sample(replace(nouns, levels=nouns.levels[:, kept], level_names=names))
