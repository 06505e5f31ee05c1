"""Loss against learning rate: by width with muP and without, and by training size."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.figures._neural import floats, log_scales
from percolaw.report.records import series
from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a nn-tuning record."""
    t = record["tables"]
    figure, axes = new(3, width=4.4, height=3.8)
    for axis, (title, own) in zip(axes, _groups(t), strict=True):
        for c, color in zip(own, CYCLE, strict=False):
            y = floats(c["mean"])
            axis.plot(t["rates"], y, "o-", color=color, ms=4, label=_name(c))
            if (y == y).any():
                best = min(range(y.size), key=lambda i, y=y: y[i] if y[i] == y[i] else 1e300)  # type: ignore[misc]
                axis.plot(t["rates"][best], y[best], "*", color=color, ms=13)
        axis.axvline(t["chosen"], color=BLACK, lw=1, ls="--")
        log_scales(axis, [v for c in own for v in c["mean"]])
        axis.set(xlabel="learning rate", title=title)
        if own:
            axis.legend()
    axes[0].set_ylabel("validation loss / variance")
    return {"nn-tuning": figure}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the three families of curves."""
    t = record["tables"]
    return [
        Plot(
            f"nn-tuning-{i}",
            title,
            "Validation loss has one minimum in the learning rate.",
            "learning rate",
            "validation loss / variance",
            True,
            True,
            tuple(
                series(_name(c), "measured", t["rates"], c["mean"], n_seeds=t["n_seeds"])
                for c in own
            ),
            fit=False,
        )
        for i, (title, own) in enumerate(_groups(t))
        if own
    ]


def _groups(t: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    by_width = [c for c in t["curves"] if c["by"] == "width"]
    return [
        ("muP: the best rate (star) stays", [c for c in by_width if c["parametrization"] == "mup"]),
        (
            "standard: it falls with width",
            [c for c in by_width if c["parametrization"] == "standard"],
        ),
        ("muP, by training points", [c for c in t["curves"] if c["by"] == "size"]),
    ]


def _name(c: dict[str, Any]) -> str:
    return f"n = {c['n']}" if c["by"] == "size" else f"width {c['width']}"
