"""Real lattices against the tree of the same coordination: sizes, radii, loops, learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.experiments.plots import Plot, Stored
from percolaw.report.records import claims_beside, fit_window, numbers, series
from percolaw.report.style import BLACK, CYCLE, new, window

#: Start of a claim's name after "d = 6: " -> which ratio it is of.
_SIZES = "P(S >= s) over the tree's exact one"
_RADIUS = "squared radius of gyration over the tree's"
_LOOPS = "loops per site"
_LOSS = "1-NN loss over the tree's"
#: Title of legends that name the means.
_MEAN = "mean in the window, 95% interval (squares)"


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a mean-field-check record."""
    return {"mean-field-check": _sizes(record), "mean-field-check-learning": _learning(record)}


def _array(values: Any) -> npt.NDArray[np.float64]:
    return np.array(numbers(values), dtype=np.float64)


def _color(row: dict[str, Any]) -> str:
    return CYCLE[(row["dimension"] - 2) % len(CYCLE)]


def _claim(record: dict[str, Any], row: dict[str, Any], name: str) -> Stored | None:
    start = f"d = {row['dimension']}: {name}"
    return next(iter(claims_beside(record, lambda found: found.startswith(start))), None)


def _label(record: dict[str, Any], row: dict[str, Any], name: str, digits: int = 2) -> str:
    """d and the mean over the window with its interval, where the record has them."""
    text = f"$d = {row['dimension']}$"
    claim = _claim(record, row, name)
    if claim is None or claim.measured is None:
        return text
    text += f": {claim.measured:.{digits}f}"
    low, high = claim.interval
    return text if low is None or high is None else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _means(axis: Any, record: dict[str, Any], name: str, right: float) -> None:
    """The means over the window with their intervals, to the right of the curves."""
    for i, row in enumerate(record["tables"]["table"]):
        claim = _claim(record, row, name)
        if claim is None or claim.measured is None:
            continue
        x, (low, high) = right * 1.6 * 1.35**i, claim.interval
        axis.plot(x, claim.measured, "s", color=_color(row), ms=5)
        if low is not None and high is not None:
            axis.plot([x, x], [low, high], color=_color(row), lw=1.2)


def _sizes(record: dict[str, Any]) -> Any:
    t = record["tables"]
    fitted = fit_window(t["size_window"]) or (1.0, 1.0)
    figure, (survival, radius, loops) = new(3, width=4.5, height=4.2)
    for row in t["table"]:
        color, s = _color(row), _array(row["s"])
        measured = _array(row["survival"])
        seen = measured > 0
        survival.plot(
            s[seen],
            (measured * np.sqrt(s))[seen],
            "o",
            color=color,
            ms=4,
            label=_label(record, row, _SIZES),
        )
        survival.plot(s, _array(row["tree_survival"]) * np.sqrt(s), "--", color=color, lw=1.2)
        size = _array(row["size"])
        if size.size:
            for axis, key, name, digits in (
                (radius, "radius", _RADIUS, 2),
                (loops, "loops", _LOOPS, 4),
            ):
                axis.plot(
                    size,
                    _array(row[key]),
                    "o-",
                    color=color,
                    ms=4,
                    lw=1.2,
                    label=_label(record, row, name, digits),
                )
    right = max((max(_array(row["size"])) for row in t["table"] if row["size"]), default=1.0)
    _means(radius, record, _RADIUS, right)
    _means(loops, record, _LOOPS, right)
    survival.plot([], [], "--", color=BLACK, lw=1.2, label=r"tree, $z = 2d$, exact")
    radius.axhline(1.0, color=BLACK, lw=1, ls="--")
    loops.axhline(0.0, color=BLACK, lw=1, ls="--")
    for axis in (survival, radius, loops):
        window(axis, *fitted)
        axis.set(xscale="log", xlabel="cluster size $s$")
    survival.set(
        ylabel=r"$P(S \geq s)\, s^{1/2}$",
        title="Clusters of random sites at $p_c$",
        ylim=(0, 1.05 * survival.get_ylim()[1]),
    )
    radius.set(ylabel="$R^2$ lattice / $R^2$ tree", title="Squared radius of gyration")
    loops.set(ylabel="loops per site", title="Loops (none on a tree)")
    for axis, title in (
        (survival, "lattice / tree, mean in the window"),
        (radius, _MEAN),
        (loops, _MEAN),
    ):
        _legend_below(axis, title)
    return figure


def _legend_below(axis: Any, title: str | None) -> None:
    """A legend under the axis, where it covers nothing."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), title=title, title_fontsize=8.5
        )


def _learning(record: dict[str, Any]) -> Any:
    t = record["tables"]
    fitted = _learning_window(record)
    figure, (left, right) = new(2, height=4.6)
    for row in t["table"]:
        color, n = _color(row), _array(row["grid"])
        lattice, tree = _array(row["lattice"]), _array(row["tree"])
        left.plot(n, lattice, "o-", color=color, ms=4, lw=1.2, label=f"$d = {row['dimension']}$")
        left.plot(n, tree, "--", color=color, lw=1.2)
        label = _label(record, row, _LOSS)
        right.plot(n, lattice / tree, "o-", color=color, ms=4, lw=1.2, label=label)
    left.plot([], [], "--", color=BLACK, lw=1.2, label="tree, $z = 2d$, measured")
    ratios = [_array(row["lattice"]) / _array(row["tree"]) for row in t["table"]]
    _means(right, record, _LOSS, max(max(_array(row["grid"])) for row in t["table"]))
    right.axhline(1.0, color=BLACK, lw=1, ls="--")
    for axis in (left, right):
        window(axis, *fitted)
        axis.set(xscale="log", xlabel="mean number of observed sites $n$")
    left.set(yscale="log", ylabel="1-NN loss / variance", title="Balls at criticality")
    top = 1.5 * max(1.0, *(float(np.max(ratio)) for ratio in ratios))
    right.set(ylabel="loss, lattice / tree", title="Ratio of the losses", ylim=(0.0, top))
    _legend_below(left, None)
    _legend_below(right, _MEAN)
    return figure


def _learning_window(record: dict[str, Any]) -> tuple[float, float]:
    """Sizes on which learning curves are compared, as the config has them."""
    config = record["config"]
    low, share, size = numbers([config[k] for k in ("learn_from", "learn_share", "field_size")], 3)
    start = low or 1.0
    return start, max(start, (share or 0.0) * (size or 0.0))


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return sizes, radii, loops and learning curves of lattices and trees."""
    t = record["tables"]
    sizes, learned = fit_window(t["size_window"]), fit_window(list(_learning_window(record)))

    def stored(row: dict[str, Any], name: str, at: tuple[float, float] | None) -> Any:
        start = f"d = {row['dimension']}: {name}"
        return claims_beside(record, lambda found: found.startswith(start), at)

    survival, radius, loops, losses = [], [], [], []
    for row in t["table"]:
        d = f"d = {row['dimension']}"
        tree = f"tree, z = {2 * row['dimension']}"
        survival += [
            series(
                d,
                "measured",
                row["s"],
                row["survival"],
                prediction=f"{tree}, exact",
            ),
            series(f"{tree}, exact", "theory", row["s"], row["tree_survival"]),
        ]
        radius.append(
            series(d, "measured", row["size"], row["radius"], stored=stored(row, "2/D less", sizes))
        )
        loops.append(series(d, "measured", row["size"], row["loops"]))
        losses += [
            series(
                d,
                "measured",
                row["grid"],
                row["lattice"],
                prediction=tree,
            ),
            series(tree, "reference", row["grid"], row["tree"]),
        ]
    return [
        Plot(
            "mean-field-check-sizes",
            "Clusters of random sites at criticality",
            "Share of sites whose cluster has at least s sites, on real lattices and on the tree of "
            "the same coordination number.",
            "cluster size s",
            "P(S >= s)",
            True,
            True,
            tuple(survival),
            sizes,
        ),
        Plot(
            "mean-field-check-radius",
            "Squared radius of gyration over the tree's",
            "Squared radius of gyration of lattice clusters over that of trees of the same size.",
            "cluster size s",
            "R^2 lattice / R^2 tree",
            True,
            True,
            tuple(radius),
            sizes,
            growth=True,
        ),
        Plot(
            "mean-field-check-loops",
            "Loops per site",
            "Loops per site of clusters of real lattices; a tree has none.",
            "cluster size s",
            "loops per site",
            True,
            False,
            tuple(loops),
            sizes,
            fit=False,
        ),
        Plot(
            "mean-field-check-learning",
            "1-NN on large balls at criticality",
            "Loss of 1-NN on balls of real lattices and of trees against the number of observed sites.",
            "mean number of observed sites n",
            "loss / variance",
            True,
            True,
            tuple(losses),
            learned,
        ),
    ]
