"""TwoNN and its generalisation to k neighbours: regression on ratios of distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from percolaw import checks
from percolaw.dimension.sample import DimensionEstimator, Sample
from percolaw.rng import RandomLike


@dataclass(eq=False)
class TwoNN(DimensionEstimator):
    """Slope of -log(1 - F^(1/(k-1))) against log(r_k / r_1), through the origin.

    With uniform density, r_1^D / r_k^D is the least of k - 1 uniform numbers, so the ratio mu has
    P(mu_k <= mu) = (1 - mu^-D)^(k-1). F is the empirical distribution, and the largest ratios are
    left out because single far neighbours dominate them.

    Parameters
    ----------
    k : int
        2 is TwoNN (Facco et al. 2017); larger k is the regression of Sharma and Kaplan (2022).
    fraction : float
        Share of the ratios used, smallest first.
    rng : int, Generator or Streams
        Stream ``split``: deals the points of a fit into subsets.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((4000, 3))
    >>> abs(TwoNN().fit(x).dimension_ - 3) < 0.2
    True
    """

    k: int = 2
    fraction: float = 0.9
    rng: RandomLike = 0

    def __post_init__(self) -> None:
        checks.set_integer(self, "k", minimum=2)
        checks.set_real(self, "fraction", minimum=0.05, maximum=0.999)

    @property
    def n_neighbors(self) -> int:
        """Neighbours needed."""
        return self.k

    def value(self, sample: Sample) -> float:
        """Return the estimate on one sample."""
        ratio = np.sort(np.log(sample.distance[:, self.k - 1] / sample.distance[:, 0]))
        used = max(2, int(self.fraction * ratio.size))
        empirical = np.arange(1, used + 1) / ratio.size
        height = -np.log1p(-(empirical ** (1.0 / (self.k - 1))))
        x = ratio[:used]
        square = float(x @ x)
        return float(x @ height) / square if square > 0.0 else np.inf
