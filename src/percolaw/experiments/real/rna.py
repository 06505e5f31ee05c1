"""All RNA sequences of one length, adjacent by point mutations; the folded structure is the function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw.datasets.real.data import RealData
from percolaw.experiments.base import Preset
from percolaw.experiments.fields import Range
from percolaw.experiments.real.analysis import ByLength


@dataclass(frozen=True)
class RealRna(ByLength):
    """The complete truth: every sequence of a length, its structure of least free energy (ViennaRNA)."""

    name: ClassVar[str] = "real-rna"
    title: ClassVar[str] = "RNA sequences and structures: neutral networks as clusters"
    words: ClassVar[str] = "sequences of {} letters"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "lengths": (8,),
                "n_most": 2000,
                "n_draws": 20,
                "learners": ("nearest neighbour",),
                "n_repeats": 3,
            },
            "15 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "5 min", "2 GiB"),
        "paper": Preset({"lengths": (8, 10, 12), "n_most": 20_000_000}, "5 h, estimated", "20 GiB"),
    }

    lengths: Annotated[tuple[int, ...], Range(1, 12)] = (8,)
    """Letters of the sequences."""
    n_most: Annotated[int, Range(400)] = 100_000
    """Sequences used at most."""

    @classmethod
    def unavailable(cls) -> str:
        """Return what must be installed first; empty if nothing."""
        import importlib.util

        if importlib.util.find_spec("RNA") is None:
            return "real-rna needs ViennaRNA: pip install 'percolaw[rna]' (its own licence)"
        return ""

    @staticmethod
    def load(length: int) -> RealData:
        """Return the sequences of a length."""
        from percolaw.datasets.real.rna import rna_structures

        return rna_structures(length, quiet=True)
