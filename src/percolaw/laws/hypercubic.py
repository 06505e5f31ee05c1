"""What is known of percolation on hypercubic lattices: thresholds and exponents, with sources.

docs/published.md says of each number how it was checked against its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from percolaw import checks

Kind: TypeAlias = Literal["bond", "site"]


@dataclass(frozen=True)
class CriticalExponents:
    """Percolation exponents on the d-dimensional hypercubic lattice.

    Attributes
    ----------
    dimension : int
        d.
    fisher_exponent : float
        tau in n_s ~ s^-tau.
    fractal_dimension : float
        D of the incipient infinite cluster.
    cutoff_exponent : float
        sigma in s_cut ~ |p - p_c|^(-1/sigma).
    correlation_exponent : float
        nu in xi ~ |p - p_c|^-nu.
    shortest_path_dimension : float
        d_min: chemical distance ~ (Euclidean distance)^d_min.
    resistance_exponent : float
        zeta: resistance between two sites ~ (Euclidean distance)^zeta.
    source : str
        Where the numbers come from.
    """

    dimension: int
    fisher_exponent: float
    fractal_dimension: float
    cutoff_exponent: float
    correlation_exponent: float
    shortest_path_dimension: float
    resistance_exponent: float
    source: str

    @property
    def rank_exponent(self) -> float:
        """alpha = (3 - tau)/(tau - 2): the k-th largest cluster drawn by site weighs k^-(1 + alpha)."""
        return (3.0 - self.fisher_exponent) / (self.fisher_exponent - 2.0)

    @property
    def spectral_dimension(self) -> float:
        """d_s = 2 D / (D + zeta), of the random walk on the incipient infinite cluster."""
        return 2.0 * self.fractal_dimension / (self.fractal_dimension + self.resistance_exponent)

    @property
    def free_field_exponent(self) -> float:
        """zeta / D = 2 / d_s - 1, of the loss of 1-NN on the Gaussian free field."""
        return self.resistance_exponent / self.fractal_dimension

    def cluster_exponent(self, approximation_order: float = 2.0) -> float:
        """Return gamma = c/D, of a target with approximation order c >= 0."""
        order = checks.real("approximation_order", approximation_order, minimum=0.0)
        return order / self.fractal_dimension


_MEAN_FIELD = "mean field (upper critical dimension 6)"
_ZHANG = "Zhang, Hou, Fang, Hu and Deng 2021 (arXiv:2004.11289)"
#: By dimension; mean field from 6 on.
EXPONENTS = {
    2: CriticalExponents(
        *(2, 187 / 91, 91 / 48, 36 / 91, 4 / 3, 1.13077, 0.9825),
        "exact (Coulomb gas, SLE); d_min Zhou et al. 2012 (arXiv:1112.3428); zeta Grassberger 1999",
    ),
    3: CriticalExponents(
        *(3, 2.18909, 2.52293, 0.4522, 0.8764, 1.3756, 1.282),
        "Monte Carlo, Wang et al. 2013 (arXiv:1302.0421), Xu et al. 2014 (arXiv:1310.5399); "
        "zeta Batrouni, Hansen and Larson 1996 (cond-mat/9508041)",
    ),
    4: CriticalExponents(
        *(4, 2.3138, 3.0446, 0.4799, 0.6845, 1.6042, 1.534),
        f"Monte Carlo, {_ZHANG}; zeta from d_s = 1.330(10), Lee and Nakanishi 2000",
    ),
    5: CriticalExponents(
        *(5, 2.4180, 3.5260, 0.4943, 0.5737, 1.8137, 1.785),
        f"Monte Carlo, {_ZHANG}; zeta = phi/nu, phi = 1 + (6 - d)/42 to first order",
    ),
    6: CriticalExponents(
        *(6, 5 / 2, 4.0, 1 / 2, 1 / 2, 2.0, 2.0), _MEAN_FIELD + ", with logarithmic corrections"
    ),
}


def critical_exponents(dimension: int) -> CriticalExponents:
    """Return the percolation exponents in two or more dimensions, with their source.

    From 6 dimensions on they are those of the Bethe lattice. tau, sigma and D of 2 to 5 dimensions obey
    hyperscaling, tau = 1 + d/D and sigma = 1/(nu D). Raises ValueError below 2 dimensions.
    """
    d = checks.integer("dimension", dimension, minimum=2)
    if d in EXPONENTS:
        return EXPONENTS[d]
    return CriticalExponents(d, 5 / 2, 4.0, 1 / 2, 1 / 2, 2.0, 2.0, _MEAN_FIELD)


_MERTENS = "Mertens and Moore 2018 (arXiv:1806.08067)"
#: Site and bond thresholds, and their source.
THRESHOLDS = {
    1: (1.0, 1.0, "exact"),
    2: (0.59274605079, 0.5, "site: Jacobsen 2015 (arXiv:1507.03027); bond: exact (Kesten 1980)"),
    3: (0.31160768, 0.24881182, "site: Xu et al. 2014 (arXiv:1310.5399); bond: Wang et al. 2013"),
    4: (0.19688561, 0.16013122, _MERTENS),
    5: (0.14079633, 0.11817145, _MERTENS),
    6: (0.109016661, 0.09420165, _MERTENS),
    7: (0.088951121, 0.078675230, _MERTENS),
    8: (0.075210128, 0.0677084181, _MERTENS),
}

#: Probabilities that clusters of critical bond percolation wind round a square torus, from Pinson's
#: closed form (1994), which tests/test_published.py evaluates.
WRAPPING_ALONG_AXIS = 0.521058289248822
WRAPPING_EITHER = 0.690473724570169
WRAPPING_BOTH = 0.351642853927475


def hypercubic_threshold(dimension: int, kind: Kind = "bond") -> float:
    """Return p_c of the hypercubic lattice in 1 to 8 dimensions, from the literature.

    Parameters
    ----------
    dimension : int
        1 to 8.
    kind : {"bond", "site"}

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For other dimensions and kinds.

    Examples
    --------
    >>> hypercubic_threshold(2), hypercubic_threshold(3, "site")
    (0.5, 0.31160768)
    """
    site, bond, _ = _threshold(dimension)
    return bond if checks.choice("kind", kind, ("bond", "site")) == "bond" else site


def threshold_source(dimension: int) -> str:
    """Return the source of the two thresholds in a dimension from 1 to 8."""
    return _threshold(dimension)[2]


def _threshold(dimension: int) -> tuple[float, float, str]:
    return THRESHOLDS[checks.integer("dimension", dimension, minimum=1, maximum=8)]
