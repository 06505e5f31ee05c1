"""What the figures of neural scaling share: curves with convergence marks, exponents beside theory."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.plots import (
    Plot,
    series,
    slug,
)
from percolaw.report.style import BLACK, CYCLE, new

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
            for key, label in (("wide", "tangent kernel, unit biases"), ("own", "own limit")):
                if key in c:
                    name_of = f"{c['teacher']}, {label}"
                    below = c[key]["mean"]
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
