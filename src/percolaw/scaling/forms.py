"""Which form describes a learning curve: a power law, one with an offset, or a predicted curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.scaling.fit import _line, _losses, _sizes, aggregate, exponential

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ModelComparison:
    """How well competing forms describe one curve.

    Attributes
    ----------
    residual : dict
        Root mean square residual of log loss of each form.
    aicc : dict
        Small-sample Akaike criterion of each form, less the smallest; under 2 is a tie, above 10
        decisive.
    best : str
        Name of the form with the least criterion.
    parameters : dict
        Fitted parameters of each form: (exponent, prefactor) of ``power law``, (exponent, prefactor,
        offset) of ``power law + offset``, (factor,) of ``prediction``.
    """

    residual: dict[str, float]
    aicc: dict[str, float]
    best: str
    parameters: dict[str, tuple[float, ...]]


def compare_forms(
    size: npt.ArrayLike, loss: npt.ArrayLike, prediction: npt.ArrayLike | None = None
) -> ModelComparison:
    """Hold a power law, a power law with offset and a predicted curve against measured losses.

    Parameters
    ----------
    size, loss
        As in `percolaw.scaling.fit.fit_power_law`; seeds are averaged geometrically.
    prediction : array, shape (n_sizes,), optional
        Predicted curve, compared up to a constant factor (one parameter).

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        With fewer than 6 sizes, for a prediction that is not one positive curve, and for sizes
        or losses that `fit_power_law` refuses.

    Notes
    -----
    The offset form is a size^-e + c with a, c >= 0. Residuals are of log loss, equally weighted, and
    every form is fitted to them, so the offset form is never behind the power law, its case c = 0.
    """
    x = _sizes(size)
    y = aggregate(_losses(loss, x.size))
    if x.size < 6:
        raise ValueError(f"comparing forms needs at least 6 sizes; got {x.size}.")
    log_x, log_y = np.log(x), np.log(y)
    fitted: dict[str, FloatArray] = {}
    parameters: dict[str, tuple[float, ...]] = {}
    (slope, intercept), _ = _line(log_x, log_y)
    fitted["power law"] = slope * log_x + intercept
    parameters["power law"] = (-slope, exponential("prefactor", intercept))

    fitted["power law + offset"], parameters["power law + offset"] = _offset_form(
        log_x, log_y, -slope
    )
    if prediction is not None:
        if np.ndim(prediction) != 1:
            raise ValueError(f"prediction must be one curve; got shape {np.shape(prediction)}.")
        curve = np.log(_losses(prediction, x.size)[0])
        shift = float(np.mean(log_y - curve))
        fitted["prediction"] = curve + shift
        parameters["prediction"] = (exponential("factor", shift),)
    n = x.size
    residual, criterion = {}, {}
    for name, model in fitted.items():
        k = len(parameters[name]) + 1
        square = float(np.mean((model - log_y) ** 2))
        residual[name] = square**0.5
        correction = 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf
        criterion[name] = n * np.log(max(square, 1e-300)) + 2 * k + correction
    least = min(criterion.values())
    relative = {name: float(value - least) for name, value in criterion.items()}
    return ModelComparison(residual, relative, min(relative, key=lambda m: relative[m]), parameters)


def _offset_form(
    log_x: FloatArray, log_y: FloatArray, straight: float
) -> tuple[FloatArray, tuple[float, ...]]:
    """Fit log(a size^-e + c) to log losses by least squares; return it and (e, a, c).

    The form is a constant times (size/largest)^-e + r: two parameters, on a grid and then refined;
    the constant is a mean. The power law (`straight`, r = 0) is among the candidates, so that the form
    cannot be behind it.
    """
    from scipy.optimize import least_squares

    z = log_x - log_x[-1]

    def shape(exponent: float, log_r: float) -> FloatArray:
        return np.asarray(np.logaddexp(-exponent * z, log_r))

    def residual(parameter: FloatArray) -> FloatArray:
        gap = log_y - shape(*parameter)
        return np.asarray(gap - gap.mean())

    def cost(parameter: FloatArray) -> float:
        return float(np.sum(residual(parameter) ** 2))

    low, high = min(1e-3, straight - 1e-9), max(4.0, 2.0 * straight)
    grid = [
        np.array([e, r])
        for e in np.linspace(max(low, 1e-3), high, 40)
        for r in np.linspace(-5.0, 2.0 - e * z[0], 30)
    ]
    start = min(grid, key=cost)
    refined = least_squares(residual, start, bounds=([low, -np.inf], [high + 1e-9, np.inf])).x
    candidates = [np.array([straight, -np.inf]), start, refined]
    exponent, log_r = (float(value) for value in min(candidates, key=cost))
    level = float(np.mean(log_y - shape(exponent, log_r)))
    scale = exponential("prefactor", level + exponent * log_x[-1])
    return shape(exponent, log_r) + level, (exponent, scale, float(np.exp(level + log_r)))
