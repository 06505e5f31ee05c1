"""Whether one learning rate is best at every width of a model-scaling experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from percolaw.datasets.sources import parse_source
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.nn_tuning import GOOD, best_rate
from percolaw.experiments.seeds import pivot
from percolaw.scaling.curve import LearningCurve

#: Decades by which the best rate may move from the smallest width to the largest.
MOVES_BY = 0.4
SOURCE = "Yang et al. (2022); docs/theory.md, 9"


def rate_claims(
    rows: Sequence[Row], rates: tuple[float, ...], rate: float, architecture: str
) -> list[Claim]:
    """Say how far the best rate moves with width, and what the rate used loses at the largest one.

    Losses are validation losses, averaged geometrically over teachers.

    Parameters
    ----------
    rows : sequence of dict
        One for each setting, width, rate, teacher and seed.
    rates : tuple of float
        Learning rates tried, rising.
    rate : float
        The one used elsewhere.
    architecture : str

    Returns
    -------
    list of Claim
    """
    said = []
    for name, loss in _losses(rows).items():
        about = {"source": name, "learner": architecture}
        said.append(_moves(name, loss, rates, about))
        if rate in rates:
            widest = max(loss)
            with np.errstate(invalid="ignore"):  # all rates diverged
                ratio = loss[widest][:, rates.index(rate)] / loss[widest].min(axis=1)
            said.append(
                claims.mean(
                    f"{name}: loss at rate {rate:g} over the best, width {widest}",
                    SOURCE,
                    1.0,
                    np.where(np.isfinite(ratio), ratio, 1e3),
                    GOOD - 1.0,
                    "",
                    {**about, "quantity": "loss over the best"},
                )
            )
    return said


def rate_plot(experiment: str, rows: Sequence[Row], rates: tuple[float, ...]) -> plots.Plot:
    """Return losses against rates, a curve for each setting and width.

    Parameters
    ----------
    experiment : str
    rows, rates
        As in `rate_claims`.

    Returns
    -------
    Plot
    """
    series = []
    for name, by_width in _losses(rows).items():
        for width, loss in by_width.items():
            whole = np.where(np.isfinite(loss).all(axis=0), loss, np.nan)
            curve = LearningCurve(np.array(rates), whole)
            series.append(plots.curve(f"{name}, width {width}", curve))
    return plots.log_log(
        f"{experiment}-rates",
        "One learning rate for every width",
        "The least loss is at one rate for all widths.",
        ("learning rate", "validation loss / variance"),
        series,
        fit=False,
    )


def _losses(rows: Sequence[Row]) -> dict[str, dict[int, neural.FloatArray]]:
    """Losses (seeds, rates) by setting and width."""
    return {
        parse_source(word).label: {
            width: _table([r for r in rows if (r["points"], r["width"]) == (word, width)])
            for width in sorted({r["width"] for r in rows if r["points"] == word})
        }
        for word in dict.fromkeys(r["points"] for r in rows)
    }


def _table(rows: list[Row]) -> neural.FloatArray:
    """Losses (seeds, rates), geometric means over teachers; infinite where a student diverged."""
    loss = pivot(rows, "validation", "seed", "rate", "teacher", missing=math.inf)
    return np.asarray(np.exp(np.log(loss).mean(axis=2)))


def _moves(
    name: str,
    loss: dict[int, neural.FloatArray],
    rates: tuple[float, ...],
    about: dict[str, str],
) -> Claim:
    """Decades that the best rate moves by, from the smallest width to the largest."""
    widths = sorted(loss)
    best = [np.array([best_rate(rates, one) for one in loss[w]]) for w in widths]
    places = [int(np.log(loss[w]).mean(axis=0).argmin()) for w in widths]
    inside = all(0 < place < len(rates) - 1 for place in places)
    values = ", ".join(f"{10 ** one.mean():.2g}" for one in best)
    return claims.mean(
        f"{name}: decades the best rate moves, width {widths[0]} to {widths[-1]}",
        SOURCE,
        0.0,
        best[-1] - best[0],
        MOVES_BY,
        f"best rates {values} at widths {', '.join(map(str, widths))}, "
        f"{'inside' if inside else 'one at an end of'} the range",
        {**about, "quantity": "best rate"},
    )
