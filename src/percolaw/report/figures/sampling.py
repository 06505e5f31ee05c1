"""Loss against the budget of labels by sampling strategy, and its exponents beside data and model law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.experiments.plots import CONFIDENCE, Plot, Stored, slug
from percolaw.report.records import claims_beside, fit_window, number, numbers, series, stored_fit
from percolaw.report.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    YELLOW,
    new,
    window,
)

#: The strategies that theory is about -> (colour, law whose exponent is the limit).
_LAWS = {"uniform": (BLUE, "data law"), "optimal allocation": (RED, "model law")}
#: Every strategy: colour, width of its line and its line; narrow lines lie on wide ones.
_STRATEGIES: dict[str, tuple[str, float, Any]] = {
    "uniform": (BLUE, 2.8, "-"),
    "optimal allocation": (RED, 2.8, "-"),
    "optimal + farthest": (ORANGE, 1.2, "-"),
    "optimal + greedy": (PURPLE, 1.2, "-"),
    "balanced": (BLACK, 1.2, "-"),
    "farthest point": (SKY, 2.0, "-"),
    "greedy variance": (GREEN, 0.9, "-"),
    "easy kept": ("#888888", 1.2, "-"),
    "hard kept": ("#888888", 1.2, "-."),
}
_OTHER = (YELLOW, 1.2, "-")
#: What a strategy is, where its name does not say it.
_LABELS = {
    "uniform": "uniform (in proportion to weight)",
    "balanced": "balanced (equal shares)",
    "farthest point": "farthest point, by weight",
    "greedy variance": "greedy variance, by weight",
    "easy kept": "pruned, easy kept",
    "hard kept": "pruned, hard kept",
}
_COLUMNS = 3


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a sampling record."""
    return {"sampling": _losses(record), "sampling-exponents": _exponents(record)}


def _array(values: Any) -> npt.NDArray[np.float64]:
    return np.array(numbers(values), dtype=np.float64)


def _style(strategy: str) -> tuple[str, float, Any]:
    return _STRATEGIES.get(strategy, _OTHER)


def _label(strategy: str) -> str:
    return _LABELS.get(strategy, strategy)


def _strategies(cases: list[dict[str, Any]]) -> list[str]:
    """Strategies of all cases, in the order of the legend."""
    names = dict.fromkeys(name for case in cases for name in case["curves"])
    return [*(s for s in _STRATEGIES if s in names), *(s for s in names if s not in _STRATEGIES)]


def _title(case: dict[str, Any]) -> str:
    return rf"{case['case']}: $\alpha = {case['alpha']:g}$, $\gamma = {case['gamma']:g}$"


def _panels(n: int, width: float, height: float) -> tuple[Any, list[Any], Any]:
    """Figure, an axis a case, and a spare one for the legend."""
    columns = min(_COLUMNS, n + 1)
    figure, axes = new(columns, -(-(n + 1) // columns), width=width, height=height)
    for axis in axes[n:]:
        axis.set_axis_off()
    return figure, axes[:n], axes[n]


# --- figures -------------------------------------------------------------------------------------


def _losses(record: dict[str, Any]) -> Any:
    cases = record["tables"]["cases"]
    names = _strategies(cases)
    figure, axes, spare = _panels(len(cases), 4.3, 3.7)
    for i, (axis, case) in enumerate(zip(axes, cases, strict=True)):
        for strategy in names:
            if strategy not in case["curves"]:
                continue
            entry = case["curves"][strategy]
            color, width, line = _style(strategy)
            axis.plot(
                _array(entry["t"]),
                _array(entry["loss"]),
                line,
                color=color,
                lw=width,
                alpha=0.8 if strategy in _LAWS else 1.0,
                zorder=2.8 - 0.2 * width,
            )
        axis.set(xscale="log", yscale="log", title=_title(case))
        low, high = axis.get_ylim()
        for strategy, (color, _) in _LAWS.items():
            t, law = _array(case["theory"]["t"]), _array(case["theory"][strategy])
            # Beside the thick line, where it lies on it.
            axis.plot(t, law, "--", color="white", lw=2.4, zorder=2.85)
            axis.plot(t, law, "--", color=color, lw=1.5, zorder=2.9)
        axis.set_ylim(low, max(high, 1.15))
        fitted = fit_window(case["curves"]["uniform"]["window"])
        if fitted:
            window(axis, max(fitted[0], _float(case["curves"]["uniform"]["t"][0])), fitted[1])
        if i + _COLUMNS >= len(axes):
            axis.set_xlabel("labels $T$")
        if i % _COLUMNS == 0:
            axis.set_ylabel("loss / variance")
    for strategy in names:
        color, width, line = _style(strategy)
        spare.plot([], [], line, color=color, lw=width, label=_label(strategy))
    spare.plot([], [], "--", color="#555555", lw=1.5, label="discrete law, one scale factor a case")
    spare.fill_between([], [], [], color="#999999", alpha=0.25, lw=0, label=_fit_label(record))
    spare.legend(loc="center left", fontsize=9.5)
    return figure


def _fit_label(record: dict[str, Any]) -> str:
    decades = _float(record["config"]["decades"])
    return f"fit of uniform and optimal allocation; of others:\ntheir own upper {decades:g} decades"


def _exponents(record: dict[str, Any]) -> Any:
    cases = record["tables"]["cases"]
    names = _strategies(cases)
    figure, axes, spare = _panels(len(cases), 4.0, 3.5)
    for i, (axis, case) in enumerate(zip(axes, cases, strict=True)):
        for shift, (strategy, (color, _)) in enumerate(_LAWS.items()):
            # Dashes in turn, so that two limits at one place are both seen.
            dashes = (5.0 * shift, (5.0, 5.0))
            axis.axvline(_float(case["limits"][strategy]), color=color, lw=1.4, ls=dashes)
        axis.axvline(0.0, color="#999999", lw=0.8)
        for y, strategy in enumerate(names):
            entry = case["curves"].get(strategy)
            if entry is not None:
                _dot(axis, record, case, strategy, entry, y)
        axis.set(title=_title(case), ylim=(len(names) - 0.4, -0.6))
        axis.set_yticks(range(len(names)), names if i % _COLUMNS == 0 else [])
        axis.grid(visible=False, axis="x")
        if i + _COLUMNS >= len(axes):
            axis.set_xlabel("measured exponent of the loss")
    _exponent_legend(spare)
    return figure


def _dot(
    axis: Any, record: dict[str, Any], case: dict[str, Any], strategy: str, entry: Any, y: int
) -> None:
    """The exponent of a strategy with its interval, and the discrete law's in the same window."""
    color = _style(strategy)[0]
    value = _float(entry["exponent"])
    low, high = _array(entry["interval"])
    if math.isfinite(low) and math.isfinite(high):
        axis.plot([low, high], [y, y], color=color, lw=1.4)
    same = _same_window(entry, case["curves"]["uniform"])
    axis.plot(value, y, "o", color=color, mfc=color if same else "white", ms=6, zorder=3)
    for claim in _claims(record, case, strategy):
        if claim.predicted is not None:
            axis.plot(claim.predicted, y + 0.32, "^", color=BLACK, ms=5, zorder=3)
    gained = _gain(record, case, strategy)
    if gained is not None:
        # Beside the interval, on the side of larger exponents.
        axis.annotate(
            f"{gained:+.2f}".replace("-", "\N{MINUS SIGN}"),
            (np.nanmax([value, high if math.isfinite(high) else value]), y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#444444",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "linewidth": 0},
        )


def _exponent_legend(axis: Any) -> None:
    grey = "#555555"
    axis.plot([], [], "o-", color=grey, ms=6, lw=1.4, label="measured, 95% interval")
    axis.plot([], [], "o", color=grey, mfc="white", ms=6, label="fitted on smaller budgets")
    axis.plot([], [], "^", color=BLACK, ms=5, label="discrete law, same window")
    axis.plot(
        [],
        [],
        marker="$+0.01$",
        color="#444444",
        ms=20,
        lw=0,
        label="less that of the uniform (optimal + ...:\nof the optimal allocation), same budgets",
    )
    for strategy, (color, law) in _LAWS.items():
        axis.plot([], [], "--", color=color, lw=1.4, label=f"limit of the {law} ({strategy})")
    axis.legend(loc="center left", fontsize=9.5)


def _same_window(entry: dict[str, Any], other: dict[str, Any]) -> bool:
    mine, theirs = fit_window(entry["window"]), fit_window(other["window"])
    return mine is not None and theirs is not None and math.isclose(mine[1], theirs[1], rel_tol=0.1)


def _float(value: Any) -> float:
    found = number(value)
    return math.nan if found is None else found


def _claims(record: dict[str, Any], case: dict[str, Any], strategy: str) -> tuple[Stored, ...]:
    """Claims on the exponent of a strategy in a case."""
    start = f"{case['case']}: exponent of {strategy},"
    fitted = fit_window(case["curves"][strategy]["window"])
    return claims_beside(record, lambda name: name.startswith(start), fitted)


def _gain(record: dict[str, Any], case: dict[str, Any], strategy: str) -> float | None:
    """Exponent of a strategy less that of the one it is held against, as the record has it."""
    start = f"{case['case']}: exponent of {strategy} less that of "
    found = claims_beside(record, lambda name: name.startswith(start))
    return found[0].measured if found else None


# --- curves --------------------------------------------------------------------------------------


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the losses of every case and the exponents of all."""
    cases = record["tables"]["cases"]
    return [*(_loss_plot(record, case) for case in cases), _exponent_plot(record)]


def _loss_plot(record: dict[str, Any], case: dict[str, Any]) -> Plot:
    lines = []
    for strategy in _strategies([case]):
        entry = case["curves"][strategy]
        law = f"discrete law, {strategy}"
        lines.append(
            series(
                _label(strategy),
                "measured",
                entry["t"],
                entry["loss"],
                prediction=law if strategy in _LAWS else None,
                stored=_claims(record, case, strategy) or stored_fit(entry),
            )
        )
    for strategy in _LAWS:
        lines.append(
            series(
                f"discrete law, {strategy}", "theory", case["theory"]["t"], case["theory"][strategy]
            )
        )
    return Plot(
        f"sampling-{slug(str(case['case']))}",
        f"{case['case']}: alpha = {case['alpha']:g}, gamma = {case['gamma']:g}",
        "Loss against the number of labels by sampling strategy; dashed the discrete data and model "
        "law with one scale factor.",
        "labels T",
        "loss / variance",
        True,
        True,
        tuple(lines),
        fit_window(case["curves"]["uniform"]["window"]),
    )


def _exponent_plot(record: dict[str, Any]) -> Plot:
    cases = record["tables"]["cases"]
    place = list(range(1, len(cases) + 1))
    lines = []
    for strategy in _strategies(cases):
        own = [(x, case["curves"].get(strategy)) for x, case in zip(place, cases, strict=True)]
        has = [(x, entry) for x, entry in own if entry is not None]
        lines.append(
            series(
                _label(strategy),
                "measured",
                [x for x, _ in has],
                [entry["exponent"] for _, entry in has],
                low=[entry["interval"][0] for _, entry in has],
                high=[entry["interval"][1] for _, entry in has],
                interval=CONFIDENCE,
            )
        )
    for strategy, (_, law) in _LAWS.items():
        limits = [case["limits"][strategy] for case in cases]
        lines.append(series(f"limit of the {law}", "reference", place, limits))
    names = ", ".join(f"{x} {case['case']}" for x, case in zip(place, cases, strict=True))
    return Plot(
        "sampling-exponents",
        "Exponents by strategy",
        f"Exponents of every strategy beside the limits of data and model law, by case: {names}.",
        f"case ({names})",
        "exponent of the loss",
        False,
        False,
        tuple(lines),
        fit=False,
    )
