"""Degrees of freedom: loss against them, trace against divergence, and what width gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot, slug
from percolaw.report.records import claims_beside, series
from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of an effective-dof record: a row a setting."""
    t = {**record["tables"], "curves": [c for c in record["tables"]["curves"] if c["loss"]]}
    names = list(dict.fromkeys(c["points"] for c in t["curves"]))
    figure, axes = new(3, max(1, len(names)), width=4.4, height=3.8)
    predicted = {
        name: next(
            c["predicted"] for c in record["claims"] if c["name"].startswith(f"{name}, decay")
        )
        for name in names
        if any(c["name"].startswith(f"{name}, decay") for c in record["claims"])
    }
    for row, name in enumerate(names):
        own = [c for c in t["curves"] if c["points"] == name]
        left, middle, right = axes[3 * row : 3 * row + 3]
        _loss(left, own, name, predicted.get(name))
        _trace(middle, own)
        for c in own:
            if c["by"] == "width":
                _width(right, c, t["n_width"])
    return {"effective-dof": figure}


def _label(c: dict[str, Any]) -> str:
    return f"decay {c['decay']:g}, dropout {c['dropout']:g}"


def _loss(axis: Any, own: list[dict[str, Any]], name: str, predicted: float | None) -> None:
    decays = sorted({c["decay"] for c in own})
    for c in [c for c in own if c["by"] == "n"]:
        x, y = np.mean(c["divergence"], axis=0), np.exp(np.mean(np.log(c["loss"]), axis=0))
        style = "-" if not c["dropout"] else ":"
        color = CYCLE[decays.index(c["decay"]) % len(CYCLE)]
        good = x > 0
        axis.plot(x[good], y[good], f"o{style}", color=color, ms=4, lw=1.2, label=_label(c))
    if predicted is not None:
        x = np.array([20.0, 1000.0])
        axis.plot(x, 0.8 * (x / 20.0) ** -predicted, "--", color=BLACK, lw=1)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="effective degrees of freedom",
        ylabel="test loss / variance",
        title=f"{name} (dashed: slope $-c/D$)",
    )
    axis.legend(fontsize=6)


def _trace(axis: Any, own: list[dict[str, Any]]) -> None:
    for shown, color in ((0.0, CYCLE[0]), (None, CYCLE[1])):
        part = [c for c in own if (not c["dropout"]) == (shown == 0.0)]
        x = np.concatenate([np.ravel(c["divergence"]) for c in part]) if part else np.zeros(0)
        y = np.concatenate([np.ravel(c["trace"]) for c in part]) if part else np.zeros(0)
        good = (x > 0) & (y > 0)
        axis.plot(
            x[good],
            y[good],
            ".",
            color=color,
            ms=5,
            label="no dropout" if shown == 0.0 else "dropout",
        )
    ends = np.array([3.0, 1500.0])
    axis.plot(ends, ends, "--", color=BLACK, lw=1)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="divergence (changed values, trained again)",
        ylabel="trace (tangent kernel, ridge matched)",
        title="Two measures of degrees of freedom",
    )
    axis.legend()


def _width(axis: Any, c: dict[str, Any], n: int) -> None:
    p = np.mean(c["n_parameters"], axis=0)
    axis.plot(p, np.mean(c["divergence"], axis=0), "o-", color=CYCLE[0], label="divergence")
    axis.plot(p, np.mean(c["trace"], axis=0), "s-", color=CYCLE[1], label="trace")
    axis.plot(p, np.minimum(p, n), "--", color=BLACK, lw=1, label="min(parameters, points)")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="parameters",
        ylabel="effective degrees of freedom",
        title=f"{n} training points, no regularisation",
    )
    axis.legend()


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return loss against degrees of freedom, a plot for each setting."""
    t = record["tables"]
    found = []
    for name in dict.fromkeys(c["points"] for c in t["curves"]):
        own = [c for c in t["curves"] if c["points"] == name and c["by"] == "n" and c["loss"]]
        lines = []
        for c in own:
            x = np.mean(c["divergence"], axis=0)
            order = np.argsort(x)
            text = f"{name}, {_label(c)}: loss"
            stored = claims_beside(record, lambda claim, p=text: claim.startswith(p))  # type: ignore[misc]
            lines.append(
                series(
                    _label(c),
                    "measured",
                    [float(v) if v > 0 else None for v in x[order]],
                    np.mean(c["loss"], axis=0)[order].tolist(),
                    n_seeds=t["n_seeds"],
                    stored=stored,
                )
            )
        found.append(
            Plot(
                f"effective-dof-{slug(name)}",
                f"{name}: loss against degrees of freedom",
                "Loss falls with the effective degrees of freedom until noise in fitting undoes it.",
                "effective degrees of freedom",
                "test loss / variance",
                True,
                True,
                tuple(lines),
                fit=False,
            )
        )
    return found
