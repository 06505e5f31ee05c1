"""Whether one learning rate is best at every width of a model-scaling experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.nn_tuning import GOOD, best_rate
from percolaw.scaling.curve import LearningCurve

if TYPE_CHECKING:
    from percolaw.experiments.networks.nn_model_scaling import NnModelScaling

#: Decades by which the best rate may move from the smallest width to the largest.
MOVES_BY = 0.4
SOURCE = "Yang et al. (2022); docs/theory.md, 9"


def conclude(experiment: NnModelScaling, rows: list[Row]) -> tuple[list[Claim], plots.Plot]:
    """Say how far the best rate moves with width, and what the rate used loses at the largest one.

    Losses are validation losses, averaged geometrically over teachers.

    Parameters
    ----------
    experiment : NnModelScaling
    rows : list of dict

    Returns
    -------
    claims : list of Claim
    plot : Plot
    """
    tried = [r for r in rows if r["kind"] == "rates"]
    said: list[Claim] = []
    series = []
    for source in experiment.settings:
        mine = [r for r in tried if r["points"] == source.word]
        widths = sorted({r["width"] for r in mine})
        loss = {w: _table([r for r in mine if r["width"] == w], experiment.rates) for w in widths}
        for width in widths:
            curve = LearningCurve(np.array(experiment.rates), loss[width])
            series.append(plots.curve(f"{source}, width {width}", curve))
        about = {"source": source.label, "learner": experiment.architecture}
        said.append(_moves(source.label, loss, experiment.rates, about))
        if experiment.training.learning_rate in experiment.rates:
            chosen = experiment.rates.index(experiment.training.learning_rate)
            said.append(
                _good(source.label, widths[-1], loss[widths[-1]], experiment, chosen, about)
            )
    plot = plots.log_log(
        f"{experiment.name}-rates",
        f"Budget {experiment.rate_budget:g}: loss against learning rate",
        "The least loss is at one rate for all widths.",
        ("learning rate", "validation loss / variance"),
        series,
        fit=False,
    )
    return said, plot


def _table(rows: list[Row], rates: tuple[float, ...]) -> neural.FloatArray:
    """Losses (seeds, rates), geometric means over teachers; infinite where a student diverged."""
    seeds, teachers = (sorted({r[key] for r in rows}) for key in ("seed", "teacher"))
    loss = np.full((len(seeds), len(rates), len(teachers)), np.inf)
    for r in rows:
        if r["validation"] is not None:
            place = seeds.index(r["seed"]), rates.index(r["rate"]), teachers.index(r["teacher"])
            loss[place] = r["validation"]
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


def _good(
    name: str,
    width: int,
    loss: neural.FloatArray,
    experiment: NnModelScaling,
    chosen: int,
    about: dict[str, str],
) -> Claim:
    """The loss at the rate used over the least one, at the largest width."""
    ratio = loss[:, chosen] / loss.min(axis=1)
    return claims.mean(
        f"{name}: loss at rate {experiment.training.learning_rate:g} over the best, width {width}",
        SOURCE,
        1.0,
        np.where(np.isfinite(ratio), ratio, 1e3),
        GOOD - 1.0,
        "",
        {**about, "quantity": "loss over the best"},
    )
