"""Parameters against degrees of freedom: how model width grows with size in language models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Conclusion, Row, TheoryCheck
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import Range
from percolaw.experiments.series import Stored
from percolaw.laws import scaling_laws as theory
from percolaw.scaling.fit import FloatArray

#: Millions of parameters and residual width of the 50 models of Hoffmann et al. 2022, table A9
#: (arXiv:2203.15556), to which the 2024 paper fits its law.
CHINCHILLA_MODELS = (
    *((44, 512), (57, 576), (74, 640), (90, 640), (106, 640), (117, 768), (140, 768), (163, 768)),
    *((175, 896), (196, 896), (217, 896), (251, 1024), (278, 1024), (306, 1024), (425, 1280)),
    *((489, 1280), (509, 1408), (552, 1280), (587, 1408), (632, 1536), (664, 1408), (724, 1536)),
    *((816, 1536), (893, 1792), (1018, 1792), (1143, 1792), (1266, 2048), (1424, 2176)),
    *((1429, 2048), (1593, 2048), (1609, 2176), (1731, 2304), (1794, 2176), (2007, 2304)),
    *((2283, 2304), (2298, 2560), (2639, 2560), (2980, 2560), (3530, 2688), (3802, 2816)),
    *((4084, 2944), (4516, 3072), (6796, 3584), (9293, 4096), (11452, 4352), (12295, 4608)),
    *((12569, 4608), (13735, 4864), (14940, 4992), (16183, 5120)),
)
#: The same of the eight GPT-3 models (Brown et al. 2020, table 2.1, arXiv:2005.14165).
GPT3_MODELS = (
    *((125, 768), (350, 1024), (760, 1536), (1300, 2048)),
    *((2700, 2560), (6700, 4096), (13000, 5140), (175000, 12288)),
)
CHINCHILLA = "50 Chinchilla models (Hoffmann et al. 2022, table A9)"
GPT3 = "8 GPT-3 models (Brown et al. 2020, table 2.1)"
SOURCE = "Brill 2024, plots.ipynb, cell 6: 0.57(5) P^0.387(4)"
FAMILIES = {CHINCHILLA: CHINCHILLA_MODELS, GPT3: GPT3_MODELS}


@dataclass(frozen=True)
class WidthLaw:
    """A fitted law width = prefactor P^exponent.

    Attributes
    ----------
    prefactor, exponent : float
    prefactor_error, exponent_error : float
        Standard errors, from the scatter of the residuals.
    interval : tuple of float
        95% interval of the exponent: Student's t with two degrees of freedom fewer than models.
    """

    prefactor: float
    exponent: float
    prefactor_error: float
    exponent_error: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.prefactor:.2f} P^{self.exponent:.3f}"


def fit_logarithms(parameters: FloatArray, width: FloatArray) -> WidthLaw:
    """Fit the law by least squares on log width: every model counts by its relative deviation.

    Parameters
    ----------
    parameters, width : array of float64, shape (n_models,), n_models >= 3

    Returns
    -------
    WidthLaw
    """
    (slope, intercept), covariance = np.polyfit(np.log(parameters), np.log(width), 1, cov=True)
    error = np.sqrt(np.diag(covariance))
    prefactor = float(np.exp(intercept))
    return _law((prefactor, float(slope)), (prefactor * error[1], error[0]), width.size)


def fit_widths(parameters: FloatArray, width: FloatArray) -> WidthLaw:
    """Fit the law by unweighted least squares on the widths themselves: the largest models decide.

    The 2024 paper's way. Parameters are those of `fit_logarithms`.

    Parameters
    ----------
    parameters, width : array of float64, shape (n_models,), n_models >= 3

    Returns
    -------
    WidthLaw
    """
    from scipy.optimize import curve_fit

    start = fit_logarithms(parameters, width)
    fitted, covariance = curve_fit(
        lambda p, a, x: a * p**x, parameters, width, p0=(start.prefactor, start.exponent)
    )
    return _law(fitted, np.sqrt(np.diag(covariance)), width.size)


def _law(estimates: Iterable[float], errors: Iterable[float], n_models: int) -> WidthLaw:
    """Prefactor and exponent, and their standard errors, with the interval of the exponent."""
    from scipy.special import stdtrit

    (a, x), (da, dx) = map(float, estimates), map(float, errors)
    reach = float(stdtrit(n_models - 2, 0.975)) * dx
    return WidthLaw(a, x, da, dx, (x - reach, x + reach))


@dataclass(frozen=True)
class ParametersVsDof(TheoryCheck):
    """Width against parameters, and what it makes of the model exponent."""

    name: ClassVar[str] = "parameters-vs-dof"
    title: ClassVar[str] = "d_model ~ P^0.387: if N grows like the width, exponents in P shrink so"
    source: ClassVar[str] = (
        "Brill 2024, d_model = 0.57(5) P^0.387(4) (plots.ipynb); Hoffmann et al. 2022, table A9; "
        "Brown et al. 2020, table 2.1; docs/published.md"
    )

    prefactor: Annotated[float, Range(1e-6)] = 0.57
    """a in the paper's d_model = a P^x, with standard error 0.05."""
    width_exponent: Annotated[float, Range(1e-6)] = 0.387
    """x in the paper's d_model = a P^x, with standard error 0.004."""
    rank_exponent: Annotated[float, Range(1e-6)] = 1.0
    """alpha of the exponents quoted."""
    cluster_exponent: Annotated[float, Range(1e-6)] = 0.5
    """gamma = c/D of the exponents quoted."""
    rounding: Annotated[tuple[float, float], Range(0.0)] = (0.005, 0.0005)
    """Half a unit in the last printed digit of a and of x: the paper's own fit must repeat so well."""
    tolerance: Annotated[float, Range(0.0)] = 0.01
    """Deviation of x by another fit or family that counts as agreement: 6% in width over the 2.6
    decades of the 50 models, less than the step from one width to the next (median 10%)."""

    def __post_init__(self) -> None:
        fields.check(self)
        if len(self.rounding) != 2:
            raise ValueError(f"rounding must hold two numbers, of a and x; got {self.rounding!r}.")

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Fit the published model sizes in both ways and derive the exponents in parameters."""
        laws = {}
        for family in FAMILIES:
            size, width = sizes_of(family)
            laws[family] = fit_widths(size, width), fit_logarithms(size, width)
        every = [*self._repeated(laws[CHINCHILLA][0])]
        notes = ("the paper fits the widths", "not the paper's models")
        every += [
            claims.judge(
                f"exponent of width in parameters: {family}, least squares on log width",
                SOURCE,
                self.width_exponent,
                law.exponent,
                law.interval,
                self.tolerance,
                note,
                {"source": family, "quantity": "exponent"},
            )
            for (family, (_, law)), note in zip(laws.items(), notes, strict=True)
        ]
        return Conclusion(
            tuple(every), plots=(self._width_plot(laws, every), self._exponent_plot())
        )

    def _repeated(self, law: WidthLaw) -> list[Claim]:
        """Hold the paper's models, fitted its way, against its numbers."""
        return [
            claims.judge(
                f"{quantity} of width in parameters: {CHINCHILLA}, least squares on widths",
                SOURCE,
                printed,
                value,
                (value, value),
                rounding,
                f"the paper's models and fit, to its last digit; standard error here {error:.2g}",
                {"source": CHINCHILLA, "quantity": quantity},
            )
            for quantity, printed, value, error, rounding in (
                (
                    "exponent",
                    self.width_exponent,
                    law.exponent,
                    law.exponent_error,
                    self.rounding[1],
                ),
                ("prefactor", self.prefactor, law.prefactor, law.prefactor_error, self.rounding[0]),
            )
        ]

    def _width_plot(
        self, laws: dict[str, tuple[WidthLaw, WidthLaw]], every: list[Claim]
    ) -> plots.Plot:
        """Width against parameters, with both fits of each family and the paper's law."""
        line = parameter_range()
        paper = WidthLaw(self.prefactor, self.width_exponent, 0.0, 0.0, (0.0, 0.0))
        shown = {f"paper: {paper}": paper}
        series = []
        for family, (widths, logarithms) in laws.items():
            name = family.split(" (")[0]
            stored = [
                Stored.of(c)
                for c in every
                if (c.about["source"], c.about["quantity"]) == (family, "exponent")
            ]
            more: dict[str, Any] = {"joined": False, "stored": tuple(stored)}
            series.append(plots.line(name, "measured", *sizes_of(family), **more))
            shown[f"{name}, widths: {widths}"] = widths
            shown[f"{name}, logarithms: {logarithms}"] = logarithms
        series += [
            plots.line(name, "theory", line, law.prefactor * line**law.exponent)
            for name, law in shown.items()
        ]
        return plots.log_log(
            "parameters-vs-dof",
            "Model width against parameters",
            "Width of the Chinchilla models, which the paper fits, and of the GPT-3 models rises as "
            "a power of their parameters.",
            ("parameters P", "width d_model"),
            series,
            growth=True,
        )

    def _exponent_plot(self) -> plots.Plot:
        """Degrees of freedom against parameters, by what they might grow like."""
        model = theory.model_exponent(self.rank_exponent, self.cluster_exponent)
        line = parameter_range()
        powers = {
            "N ~ P": 1.0,
            "N ~ d_model^2": 2 * self.width_exponent,
            "N ~ d_model": self.width_exponent,
        }
        return plots.log_log(
            "parameters-vs-dof-exponents",
            f"Exponent in P if the exponent in N is {model:g}",
            "If degrees of freedom grow more slowly than parameters, the exponent in parameters is "
            "smaller.",
            ("parameters P", "degrees of freedom N (relative)"),
            [
                plots.line(
                    f"{name}: loss ~ P^-{power * model:.2f}",
                    "theory",
                    line,
                    (line / line[0]) ** power,
                )
                for name, power in powers.items()
            ],
            growth=True,
            figure="parameters-vs-dof",
        )


def sizes_of(family: str) -> tuple[FloatArray, FloatArray]:
    """Return parameters and widths of a family's models, each of shape (n_models,)."""
    size, width = np.array(FAMILIES[family], dtype=np.float64).T * [[1e6], [1.0]]
    return size, width


def parameter_range() -> FloatArray:
    """Return parameters from half the smallest model to twice the largest, for lines."""
    every = np.concatenate([sizes_of(family)[0] for family in FAMILIES])
    return np.geomspace(every.min() / 2, every.max() * 2, 50)
