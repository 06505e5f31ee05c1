"""Loss at a fixed number of points against p, and the best p against that number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.experiments.plots import CONFIDENCE, Plot, slug
from percolaw.report.records import count, number, numbers, series
from percolaw.report.style import BLACK, CYCLE, new

#: Learner -> (label, width of its line).
_LEARNERS = {"nearest": ("plain 1-NN", 1.8), "adjusted": ("distance-adjusted 1-NN", 0.8)}


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a learnability record."""
    return {"learnability": _losses(record), "learnability-best": _best(record)}


def _array(values: Any) -> npt.NDArray[np.float64]:
    return np.array(numbers(values), dtype=np.float64)


def _lattices(record: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(str(e["label"]) for e in record["tables"]["table"]))


def _entry(record: dict[str, Any], lattice: str, learner: str) -> dict[str, Any] | None:
    return next(
        (e for e in record["tables"]["table"] if (e["label"], e["learner"]) == (lattice, learner)),
        None,
    )


def _points(budget: int) -> str:
    return f"{budget:,} points"


def _interval(pair: Any, low: float, high: float) -> tuple[float, float]:
    """An interval of the best p, which lies between the ends of what was scanned; NaN if unknown."""
    found = _array(pair)
    return float(np.clip(found[0], low, high)), float(np.clip(found[1], low, high))


def _losses(record: dict[str, Any]) -> Any:
    lattices = _lattices(record)
    budgets = [count(b) for b in record["tables"]["budgets"]]
    columns = 1 if len(lattices) == 1 else 2
    figure, axes = new(
        columns, -(-len(lattices) // columns), width=5.0 if columns > 1 else 7.0, height=3.7
    )
    for axis, lattice in zip(axes, lattices, strict=False):
        for learner, (_, width) in _LEARNERS.items():
            entry = _entry(record, lattice, learner)
            if entry is None:
                continue
            ratios = _array(entry["ratios"])
            for i, loss in enumerate(map(_array, entry["loss"])):
                color = CYCLE[i % len(CYCLE)]
                axis.plot(ratios, loss, color=color, lw=width)
                if learner == "nearest":
                    _mark(axis, entry, i, ratios, loss, color)
        axis.axvline(1.0, color=BLACK, lw=1, ls="--")
        axis.set(yscale="log", title=lattice)
    for axis in axes[len(lattices) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(lattices) - columns) : len(lattices)]:
        axis.set_xlabel("$p / p_c$")
    for axis in axes[::columns]:
        axis.set_ylabel("mean squared error / variance")
    first = axes[0]
    handles = [
        *(
            first.plot([], [], "o-", color=CYCLE[i % len(CYCLE)], ms=5, label=_points(budget))[0]
            for i, budget in enumerate(budgets)
        ),
        *(
            first.plot([], [], color="#555555", lw=width, label=label)[0]
            for label, width in _LEARNERS.values()
        ),
        first.errorbar(
            [], [], xerr=[], fmt="o", color="#555555", ms=5, lw=1.2, label="best $p$, 95% interval"
        ),
        first.plot([], [], ">", color="#555555", ms=6, label="best at the end of the range")[0],
        first.plot([], [], "--", color=BLACK, lw=1, label="$p_c$")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _mark(axis: Any, entry: dict[str, Any], i: int, ratios: Any, loss: Any, color: str) -> None:
    """The best p of a budget on its curve, with its interval."""
    best = number(entry["best"][i])
    usable = np.isfinite(loss)
    if best is None or not usable.any():
        return
    x, y = ratios[usable], np.log(loss[usable])
    low, high = _interval(entry["best_interval"][i], ratios[0], ratios[-1])
    height = math.exp(float(np.interp(best, x, y)))
    if math.isfinite(low) and math.isfinite(high):
        axis.plot([low, high], [height, height], "|-", color=color, lw=1.2, ms=6)
    axis.plot(
        best,
        height,
        ">" if _at_end(best, ratios) else "o",
        color=color,
        ms=7,
        mec="white",
        mew=0.8,
        zorder=4,
    )


def _at_end(best: float, ratios: Any) -> bool:
    """Whether the best p is the last one scanned, so that a better one may lie beyond."""
    return best >= float(ratios[-1]) * (1 - 1e-6)


def _best(record: dict[str, Any]) -> Any:
    lattices = _lattices(record)
    budgets = np.array([count(b) for b in record["tables"]["budgets"]], dtype=np.float64)
    tolerance = number(record["config"]["tolerance"]) or 0.0
    last = max(float(_array(e["ratios"])[-1]) for e in record["tables"]["table"])
    figure, axes = new(2, height=4.2)
    for axis, (learner, (title, _)) in zip(axes, _LEARNERS.items(), strict=True):
        axis.axhspan(1 - tolerance, 1 + tolerance, color="#999999", alpha=0.15, linewidth=0)
        axis.axhline(1.0, color=BLACK, lw=1, ls="--")
        axis.axhline(last, color="#888888", lw=1, ls=":")
        for j, lattice in enumerate(lattices):
            entry = _entry(record, lattice, learner)
            if entry is None:
                continue
            ratios, best = _array(entry["ratios"]), _array(entry["best"])
            # Side by side: many end at the same p.
            x = budgets * 1.13 ** (j - 0.5 * (len(lattices) - 1))
            ends = np.array(
                [_interval(pair, ratios[0], ratios[-1]) for pair in entry["best_interval"]]
            ).T
            bars = np.where(np.isfinite(ends), np.abs(ends - best), 0.0)
            axis.errorbar(
                x, best, bars, fmt="o-", color=CYCLE[j % len(CYCLE)], ms=5.5, lw=1.2, label=lattice
            )
        axis.set(
            xscale="log",
            xlabel="training points",
            ylabel="best $p / p_c$",
            title=title,
            xlim=(budgets[0] / 2, budgets[-1] * 2),
        )
        axis.set_xticks(budgets, [f"{int(b):,}" for b in budgets])
        axis.set_xticks([], minor=True)
    low = min(axis.get_ylim()[0] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, last + 0.06 * (last - low))
    axes[0].plot([], [], "--", color=BLACK, lw=1, label="$p_c$, and what counts as it")
    axes[0].plot([], [], ":", color="#888888", lw=1, label="largest $p$ scanned")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3)
    return figure


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the loss against p of every lattice and learner, and the best p against the budget."""
    t = record["tables"]
    budgets = [count(b) for b in t["budgets"]]
    found = [
        Plot(
            f"learnability-{slug(str(e['label']))}-{slug(str(e['learner']))}",
            f"{e['label']}: loss against p, {_LEARNERS[e['learner']][0]}",
            "Loss with a fixed number of points drawn at random against p over p_c, one curve a number.",
            "p / p_c",
            "mean squared error / variance",
            False,
            True,
            tuple(
                series(_points(budget), "measured", e["ratios"], loss)
                for budget, loss in zip(budgets, e["loss"], strict=True)
            ),
            fit=False,
        )
        for e in t["table"]
    ]
    found.append(
        Plot(
            "learnability-best",
            "Best p against the number of points",
            "The p at which the loss is least, over p_c, by lattice and learner; 1 would be p_c.",
            "training points",
            "best p / p_c",
            True,
            False,
            (
                *(
                    series(
                        f"{e['label']}, {_LEARNERS[e['learner']][0]}",
                        "measured",
                        budgets,
                        e["best"],
                        low=[pair[0] for pair in e["best_interval"]],
                        high=[pair[1] for pair in e["best_interval"]],
                        interval=CONFIDENCE,
                    )
                    for e in t["table"]
                ),
                series("p_c", "reference", budgets, [1.0] * len(budgets)),
            ),
            fit=False,
        )
    )
    return found
