"""What the rows of quanta-data say: thresholds, losses against finite sums, exponents, plots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Conclusion, Row
from percolaw.experiments.quanta.parity_students import LEARNED, MICHAUD, FloatArray, slope
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.scaling.curve import LearningCurve

PAGE = "docs/quanta.md"
#: Sizes at which elimination is held against its law.
EXACT_SIZES = 16


def conclude(config: Any, rows: list[Row]) -> Conclusion:
    """Hold the three learners against laws of finitely many tasks.

    Parameters
    ----------
    config : QuantaData
    rows : list of dict

    Returns
    -------
    Conclusion
    """
    weight = config.weight
    each = {name: _errors(config, rows, name) for name in ("network", "kernel")}
    curves = {
        name: LearningCurve(np.array(config.sizes), 2.0 * error @ weight)
        for name, error in each.items()
    }
    thresholds = _thresholds(config, weight, each["network"])
    special = [r for r in rows if r["learner"] == "elimination"]
    needed = np.nanmean(seeds_of(special, "needed"), axis=1)
    curves["elimination"] = _exact_curve(config, weight, seeds_of(special, "known"))
    kernel = float(np.exp(np.log(seeds_of(special, "kernel")).mean()))  # NaN: beyond its sizes
    typical = float(np.exp(np.nanmean(np.log(thresholds)))) if _any(thresholds) else math.nan
    said = (
        *_elimination(config, curves["elimination"], needed, weight),
        *_network(config, curves["network"], thresholds, typical, weight),
    )
    table = {
        "samples of a task": {
            "elimination": float(np.nanmean(needed)),
            "network": typical,
            "kernel": kernel,
        }
    }
    return Conclusion(said, table, _plots(config, curves, thresholds, needed, weight, typical))


def _exact_curve(config: Any, weight: FloatArray, known: FloatArray) -> LearningCurve:
    """Share of use not known, mean over repeats, where the law lies between 98% and 1%."""
    from percolaw.laws.sparse_parity import elimination_loss

    grid = np.unique(np.geomspace(4, np.nanmax(known), 200).astype(np.int64))
    subsets = math.comb(config.n_bits, config.subset_size)
    law = elimination_loss(grid, config.rank_exponent, config.n_tasks, subsets)
    inside = np.flatnonzero((law < 0.98) & (law > 0.01))
    size = grid[inside[np.linspace(0, inside.size - 1, EXACT_SIZES).astype(np.int64)]]
    loss = [[np.mean(~(each <= n) @ weight) for n in size] for each in known]
    return LearningCurve(size, np.array(loss), None, np.interp(size, grid, law))


def _any(values: FloatArray) -> bool:
    return bool(np.isfinite(values).any())


def _errors(config: Any, rows: list[Row], learner: str) -> FloatArray:
    """Errors (seeds, sizes, tasks)."""
    mine = [r for r in rows if r["learner"] == learner]
    return seeds_of(mine, "error").reshape(-1, len(config.sizes), config.n_tasks)


def _thresholds(config: Any, weight: FloatArray, error: FloatArray) -> FloatArray:
    """Expected samples of each task when it is learned, (seeds, tasks); NaN if it is not in all sizes.

    In the middle, by logarithm, of the largest size at which it is not learned and the next one.
    """
    size = np.array(config.sizes, dtype=np.float64)
    learned = np.flip(np.logical_and.accumulate(np.flip(error < LEARNED, axis=1), axis=1), axis=1)
    first = learned.argmax(axis=1)
    between = np.sqrt(size[np.maximum(first - 1, 0)] * size[first])
    return np.where(learned.any(axis=1) & (first > 0), between * weight, math.nan)


def _elimination(
    config: Any, curve: LearningCurve, needed: FloatArray, weight: FloatArray
) -> list[claims.Claim]:
    """The oracle against its law: loss, mean samples, and the same for all tasks."""
    from percolaw.laws.sparse_parity import parity_samples

    subsets = math.comb(config.n_bits, config.subset_size)
    assert curve.predicted is not None
    about = {"learner": "elimination"}
    slopes = [slope(weight[np.isfinite(n)], n[np.isfinite(n)]) for n in needed]
    text = f"{subsets} subsets, log2 is {math.log2(subsets):.2f}"
    return [
        seed_mean(
            "samples of a task until one subset is left",
            PAGE,
            parity_samples(subsets),
            np.nanmean(needed, axis=1),
            config.sample_tolerance,
            text,
            {**about, "quantity": "threshold"},
        ),
        seed_mean(
            "elimination: loss over its law of finitely many tasks",
            PAGE,
            1.0,
            (curve.loss / curve.predicted).mean(axis=1),
            config.exact_tolerance,
            f"{curve.size[0]} to {curve.size[-1]} samples",
            {**about, "quantity": "loss by samples"},
        ),
        seed_mean(
            "elimination: samples of a task, exponent in its frequency",
            PAGE,
            0.0,
            slopes,
            config.exponent_tolerance,
            about={**about, "quantity": "threshold exponent"},
        ),
    ]


def _network(
    config: Any,
    curve: LearningCurve,
    thresholds: FloatArray,
    typical: float,
    weight: FloatArray,
) -> list[claims.Claim]:
    """Whether a network has one threshold, and whether it makes the loss."""
    law = _law(config, typical)
    use = (law > 0.02) & (law < 0.98) & (curve.mean() > 0.02)
    slopes = [slope(weight[np.isfinite(t)], t[np.isfinite(t)]) for t in thresholds]
    about = {"learner": "network"}
    size = curve.size[use].astype(np.float64)
    measured = [-slope(size, each[use]) for each in curve.loss]
    ratio = np.exp(np.log(np.maximum(curve.loss[:, use], 1e-6) / law[use]).mean(axis=1))
    text = f"T = {typical:.0f} samples, sizes {size[:1].sum():.0f} to {size[-1:].sum():.0f}"
    limit = config.rank_exponent / (1.0 + config.rank_exponent)
    by_samples = {**about, "quantity": "loss by samples"}
    return [
        seed_mean(
            "samples of a task until it is learned, exponent in its frequency",
            MICHAUD,
            0.0,
            slopes,
            config.exponent_tolerance,
            f"{np.isfinite(thresholds).sum(axis=1).mean():.1f} of {config.n_tasks} tasks, to a factor "
            "of the square root of the ratio of sizes",
            {**about, "quantity": "threshold exponent"},
        ),
        seed_mean(
            f"loss over the sum of {config.n_tasks} tasks with one threshold",
            MICHAUD,
            1.0,
            ratio,
            config.loss_tolerance,
            text,
            by_samples,
        ),
        seed_mean(
            f"exponent of the loss in samples, against that of the sum over {config.n_tasks} tasks",
            PAGE,
            -slope(size, law[use]),
            measured,
            config.exponent_tolerance,
            text,
            by_samples,
        ),
        seed_mean(
            "exponent of the loss in samples, against alpha/(1 + alpha) of infinitely many tasks",
            MICHAUD,
            limit,
            measured,
            config.exponent_tolerance,
            text,
            by_samples,
        ),
    ]


def _law(config: Any, typical: float) -> FloatArray:
    """Loss of K tasks with one threshold."""
    from percolaw.laws.quanta import sample_loss

    if not math.isfinite(typical):
        return np.full(len(config.sizes), math.nan)
    needed = max(1, round(typical))
    return sample_loss(config.sizes, config.rank_exponent, needed, config.n_tasks)


def _plots(
    config: Any,
    curves: dict[str, LearningCurve],
    thresholds: FloatArray,
    needed: FloatArray,
    weight: FloatArray,
    typical: float,
) -> tuple[plots.Plot, ...]:
    size, exact = np.array(config.sizes), curves["elimination"]
    series = [
        plots.curve(
            "elimination", curves["elimination"], how="mean", prediction="law of elimination"
        ),
        plots.line(
            "law of elimination", "theory", exact.size, exact.predicted, group="elimination"
        ),
        plots.curve(
            "network", curves["network"], how="mean", prediction="one threshold for K tasks"
        ),
        plots.line(
            "one threshold for K tasks", "theory", size, _law(config, typical), group="network"
        ),
        plots.curve("kernel", curves["kernel"], how="mean"),
    ]
    loss = plots.log_log(
        "quanta-data-loss",
        f"{config.n_tasks} parities of {config.subset_size} of {config.n_bits} bits",
        "Errors over chance against the samples of all tasks, for three learners and finite sums.",
        ("training samples of all tasks", "errors / errors of chance"),
        series,
        figure="quanta-data",
        y_limits=(3e-3, 1.5),
    )
    by_task = []
    for name, values in (("elimination", needed), ("network", thresholds)):
        use = np.isfinite(values).any(axis=0)
        x, y = weight[use], values[:, use]
        mean = np.nanmean(y, axis=0)
        by_task.append(
            plots.points(
                name,
                x,
                mean,
                np.nanmin(y, axis=0),
                np.nanmax(y, axis=0),
                interval="range over seeds",
            )
        )
    threshold = plots.log_log(
        "quanta-data-threshold",
        "Samples of a task until it is learned",
        "Samples of each task until it is learned, against its frequency.",
        ("frequency of the task", "samples of it until learned"),
        by_task,
        fit=False,
        figure="quanta-data",
    )
    return loss, threshold
