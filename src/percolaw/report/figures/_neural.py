"""What the figures of neural scaling share: curves with convergence marks, exponents beside theory."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import PERCENTILES, Plot, Series, slug
from percolaw.report.records import claims_beside, fit_window, series, stored_fit
from percolaw.report.style import BLACK, CYCLE, new, window

#: Marker and colour of every teacher, the same in all figures.
MARKERS = "os^Dv<>phX*"


def colors(curves: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return colour and marker by teacher, in the order of the record."""
    names = list(dict.fromkeys(c["teacher"] for c in curves))
    return {
        name: (CYCLE[i % len(CYCLE)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)
    }


def log_scales(axis: Any, y: list[float | None]) -> None:
    """Make both axes logarithmic, if there is anything to show on them."""
    if any(v is not None and v > 0 for v in y):
        axis.set(xscale="log", yscale="log")
    else:
        axis.text(0.5, 0.5, "all diverged", ha="center", transform=axis.transAxes)


def floats(values: Any) -> Any:
    """Return a list of a record as floats, NaN for null."""
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def curve(axis: Any, c: dict[str, Any], style: tuple[str, str]) -> None:
    """Draw one learning curve: filled where it converged, hollow where not, theory through the window."""
    color, marker = style
    x, y = floats(c["sizes"]), floats(c["mean"])
    low, high = floats(c["low"]), floats(c["high"])
    axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    value = "-" if c["exponent"] is None else f"{c['exponent']:.2f}"
    predicted = "" if c["predicted"] is None else f" ({c['predicted']:.2f})"
    axis.plot(x, y, "-", color=color, lw=1.2, label=f"{c['teacher']}: {value}{predicted}")
    good = np.array(c["converged"], dtype=bool)
    axis.plot(x[good], y[good], marker, color=color, ms=4.5)
    axis.plot(x[~good], y[~good], marker, color=color, mfc="white", ms=4.5)
    if c["window"] and c["predicted"] is not None:
        ends = np.array(c["window"])
        at = float(np.interp(np.log(ends[0]), np.log(x), np.log(np.maximum(y, 1e-300))))
        axis.plot(
            ends, 0.8 * np.exp(at) * (ends / ends[0]) ** -c["predicted"], ":", color=BLACK, lw=1
        )


def panels(t: dict[str, Any], x_label: str) -> Any:
    """Draw all curves, a panel for each setting; curves of a limit under ``wide`` are dashed."""
    names = list(dict.fromkeys(c["points"] for c in t["curves"]))
    style = colors(t["curves"])
    columns = min(3, len(names))
    figure, axes = new(columns, -(-len(names) // columns), width=4.4, height=3.7)
    for axis, name in zip(axes, names, strict=False):
        own = [c for c in t["curves"] if c["points"] == name]
        for c in own:
            curve(axis, c, style[c["teacher"]])
            if "wide" in c:
                wide = floats(c["wide"]["mean"])
                axis.plot(c["sizes"], wide, "--", color=style[c["teacher"]][0], lw=0.9)
        found = [c["window"] for c in own if c["window"]]
        if found:
            window(axis, min(w[0] for w in found), max(w[1] for w in found))
        log_scales(axis, [v for c in own for v in c["mean"]])
        axis.set(
            xlabel=x_label,
            title=f"{name} (D = {own[0]['dimension']:g})",
        )
        axis.legend(fontsize=6, title="exponent (predicted)", title_fontsize=6)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[:: max(1, columns)]:
        axis.set_ylabel("test loss / variance")
    return figure


def exponents(t: dict[str, Any], title: str, wide: bool) -> Any:
    """Draw measured exponents against predicted ones, all settings and teachers."""
    figure, (axis,) = new(1, width=6.4, height=5.2)
    style = colors(t["curves"])
    settings = list(dict.fromkeys(c["points"] for c in t["curves"]))
    seen: set[str] = set()
    tops = [0.1]
    for c in t["curves"]:
        if c["predicted"] is None or c["exponent"] is None:
            continue
        color, marker = style[c["teacher"]]
        x = c["predicted"] * (1.0 + 0.012 * (settings.index(c["points"]) - len(settings) / 2))
        ends = [c["exponent"] if v is None else v for v in c["interval"]]
        error = np.abs(np.array(ends)[:, None] - c["exponent"])
        label = None if c["teacher"] in seen else c["teacher"]
        seen.add(c["teacher"])
        cluster = "cluster" in c["points"] or "lattice" in c["points"]
        axis.errorbar(
            [x],
            [c["exponent"]],
            error,
            fmt=marker,
            color=color,
            ms=6,
            lw=1,
            mfc=color if cluster else "white",
            label=label,
        )
        tops += [c["predicted"], c["exponent"]]
        if wide and c["wide"]["exponent"] is not None:
            axis.plot([x], [c["wide"]["exponent"]], "_", color=BLACK, ms=9)
            tops.append(c["wide"]["exponent"])
    top = 1.1 * max(tops)
    axis.plot([0, top], [0, top], "--", color=BLACK, lw=1, label="measured = predicted")
    if wide:
        axis.plot(
            [], [], "_", color=BLACK, ms=9, label="tangent kernel, unit biases (not their limit)"
        )
    axis.set(
        xlabel="predicted exponent $c/D$",
        ylabel="measured exponent, converged points",
        title=f"{title}, {t['n_seeds']} seeds\n(filled: clusters, hollow: cubes and products)",
        xlim=(0, top),
        ylim=(0, top),
    )
    axis.legend(fontsize=8)
    return figure


def plots(record: dict[str, Any], experiment: str, x_label: str) -> list[Plot]:
    """Return one plot a setting, networks and the tangent kernels beside them."""
    t = record["tables"]
    found = []
    for name in dict.fromkeys(c["points"] for c in t["curves"]):
        own = [c for c in t["curves"] if c["points"] == name]
        windows = [fit_window(c["window"]) for c in own if c["window"] is not None]
        lines: list[Series] = []
        for c in own:
            prefix = f"{name}, {c['teacher']}: exponent c/D"
            stored = claims_beside(record, lambda text, p=prefix: text.startswith(p))  # type: ignore[misc]
            lines.append(
                series(
                    c["teacher"],
                    "measured",
                    c["sizes"],
                    c["mean"],
                    low=c["low"],
                    high=c["high"],
                    interval=PERCENTILES,
                    n_seeds=t["n_seeds"],
                    stored=stored or stored_fit(c),
                )
            )
            for key, label in (("wide", "tangent kernel, unit biases"), ("own", "own limit")):
                if key in c:
                    name_of, below = f"{c['teacher']}, {label}", c[key]["mean"]
                    lines.append(series(name_of, "reference", c["sizes"], below))
        found.append(
            Plot(
                f"{experiment}-{slug(name)}",
                f"{name}: every teacher",
                "Test loss falls as a power of the size; steeper for smoother teachers.",
                x_label,
                "test loss / variance",
                True,
                True,
                tuple(lines),
                windows[0] if windows else None,
            )
        )
    return found
