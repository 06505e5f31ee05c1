"""Handwritten digits: are the classes clusters at a threshold, and how are they learned?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from percolaw.analysis.sample import Sample
from percolaw.experiments.base import Preset
from percolaw.experiments.real.analysis import DataAnalysis, real_sample


@dataclass(frozen=True)
class RealDigits(DataAnalysis):
    """1797 images of digits, 64 pixels, 10 classes (scikit-learn)."""

    name: ClassVar[str] = "real-digits"
    title: ClassVar[str] = "Handwritten digits as percolation clusters"
    extra: ClassVar[tuple[str, str]] = ("sklearn", "analyze")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"n_draws": 20, "learners": ("nearest neighbour",), "n_repeats": 3}, "10 s", "0.5 GiB"
        ),
        "laptop": Preset({}, "1 min", "0.6 GiB"),
    }

    def names(self) -> tuple[str, ...]:
        """Return the one name."""
        return ("digits",)

    def data(self, name: str) -> Sample:
        """Return the images as points."""
        from percolaw.datasets.real.digits import digits

        return real_sample(digits())
