"""Pictures of the features that networks form: shares by layer and time, R^2 by size, context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.experiments import plots
from percolaw.experiments.base import Row

FloatArray = npt.NDArray[np.float64]
SHARES = ("context", "component", "surface")


def per_seed(rows: list[Row], form: str, key: str) -> FloatArray:
    """Return one number a seed of a representation.

    Parameters
    ----------
    rows : list of dict
    form : str
        Name of the representation.
    key : str
        Name of the number; ``r2 0.25`` is the R^2 for parts of a quarter.

    Returns
    -------
    array of float64, shape (n_seeds,)
    """
    outer, _, inner = key.partition(" ")
    return np.array(
        [row[outer][inner] if inner else row[outer] for row in rows if row["form"] == form]
    )


def feature_plots(
    rows: list[Row],
    title: str,
    *,
    width: int,
    depth: int,
    steps: dict[float, int],
    parts: Sequence[float],
) -> tuple[plots.Plot, ...]:
    """Return the panels of one figure.

    Parameters
    ----------
    rows : list of dict
    title : str
        What was trained on what.
    width, depth : int
        Units of a layer, hidden layers.
    steps : dict of float to int
        Steps by part of the training budget.
    parts : sequence of float
        Sizes of the parts of a cluster, as shares of it.

    Returns
    -------
    tuple of Plot
    """
    end = f"width {width}, time 1"
    hidden = range(1, depth + 1)
    places = ["input", *(f"layer {i}, {end}" for i in hidden), f"output, {end}"]
    untrained = [f"layer {i}, width {width}, time 0" for i in hidden]
    ticks = ("input", *(f"layer {i}" for i in hidden), "output", "labels")
    x = list(range(len(places) + 1))
    by_layer = [_means(rows, [*places, "labels"], key, x, key) for key in SHARES]
    last = [f"layer {depth}, width {width}, time {t:g}" for t in steps]
    by_time = [_means(rows, last, key, list(steps.values()), key) for key in SHARES]
    context = [
        _means(rows, places[:-1], key, x[:-2], f"{text}, trained", group=text)
        for text, key in (("single unit", "f1"), ("linear probe", "probe_f1"))
    ] + [
        _means(rows, untrained, key, x[1:-2], f"{text}, untrained", group=f"{text} untrained")
        for text, key in (("single unit", "f1"), ("linear probe", "probe_f1"))
    ]
    return (
        _panel(
            *("features", title, "share of the variance", by_layer, "layer"),
            x_ticks=ticks,
            y_limits=(-0.05, 1.05),
        ),
        _panel(
            "features-time", f"Layer {depth}, by training time", "share of the variance", by_time
        ),
        _panel(
            "features-place",
            "R^2 of the place in a cluster",
            "R^2 inside clusters",
            _by_size(
                rows,
                {
                    "input": "input",
                    f"layer {depth}": last[-1],
                    "output": places[-1],
                    "labels": "labels",
                },
                parts,
            ),
            "part of a cluster",
        ),
        _panel(
            *("features-context", "Which cluster", "F1", context, "layer"),
            x_ticks=ticks[: depth + 1],
        ),
    )


def _by_size(rows: list[Row], forms: dict[str, str], parts: Sequence[float]) -> list[plots.Series]:
    """R^2 inside clusters against the size of the parts, beside what is known exactly."""
    shown = []
    for name, form in forms.items():
        values = [per_seed(rows, form, f"r2 {p:g}") for p in parts]
        more = {"prediction": f"{name}, exact"} if name in ("input", "labels") else {}
        shown.append(plots.seed_means(name, parts, values, group=name, **more))
        if more:
            law = [per_seed(rows, f"exact {name}", f"r2 {p:g}").mean() for p in parts]
            shown.append(plots.line(f"{name}, exact", "theory", parts, law, group=name))
    return shown


def _means(
    rows: list[Row], forms: Sequence[str], key: str, x: Sequence[float], name: str, **more: Any
) -> plots.Series:
    """One number of several representations, against a place for each."""
    return plots.seed_means(name, x, [per_seed(rows, form, key) for form in forms], **more)


def _panel(
    identity: str, title: str, label: str, series: list[plots.Series], x: str = "steps", **more: Any
) -> plots.Plot:
    make = plots.linear if x == "layer" else plots.log_linear
    return make(
        identity,
        title,
        f"Features of networks: {title}, {label} against {x}.",
        (x, label),
        series,
        figure="features",
        **more,
    )
