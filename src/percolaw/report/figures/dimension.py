"""The truth table as a picture, and estimates against scale and number of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot, slug
from percolaw.report.records import series
from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a dimension record."""
    t = record["tables"]
    return {"dimension": _table(t), "dimension-scale": _scale(t)}


def tables(record: dict[str, Any]) -> dict[str, str]:
    """Return the truth table as Markdown: mean estimate, stated interval, share that holds the truth."""
    t = record["tables"]
    lines = [
        f"Mean estimate over {t['n_seeds']} seeds [mean ends of the stated intervals] share of the "
        "intervals that contain the truth.",
        "",
        "| shape | points | truth | " + " | ".join(t["estimators"]) + " |",
        "|---|---|---|" + "---|" * len(t["estimators"]),
    ]
    for shape in t["shapes"]:
        for n in t["sizes"]:
            own = {e["estimator"]: e for e in t["table"] if (e["shape"], e["n"]) == (shape, n)}
            truth = next(iter(own.values()))["truth"]
            cells = []
            for name in t["estimators"]:
                e = own[name]
                low, high = (v if v is not None else float("nan") for v in e["mean_interval"])
                share = "" if e["inside"] is None else f" {e['inside']:.0%}"
                cells.append(f"{e['dimension']:.2f} [{low:.2f}, {high:.2f}]{share}")
            known = "steps" if truth is None else f"{truth:g}"
            lines.append(f"| {shape} | {n} | {known} | " + " | ".join(cells) + " |")
    return {"dimension-table": "\n".join(lines) + "\n"}


def _table(t: dict[str, Any]) -> Any:
    largest = max(t["sizes"])
    shapes = t["shapes"]
    figure, (axis,) = new(1, width=9.0, height=0.32 * len(shapes) + 1.6)
    for j, (name, color) in enumerate(zip(t["estimators"], CYCLE, strict=False)):
        offset = 0.7 * (j / max(1, len(t["estimators"]) - 1) - 0.5)
        for entry in t["table"]:
            if entry["estimator"] != name or entry["n"] != largest:
                continue
            y = shapes.index(entry["shape"]) + offset
            scale = entry["truth"] or 4.0
            low, high = (v if v is not None else np.nan for v in entry["mean_interval"])
            axis.plot([low / scale, high / scale], [y, y], color=color, lw=1.2, alpha=0.7)
            axis.plot(entry["dimension"] / scale, y, "o", color=color, ms=3)
        axis.plot([], [], "o-", color=color, ms=3, lw=1.2, label=name)
    axis.axvline(1.0, color=BLACK, lw=1, ls="--")
    axis.set(
        yticks=np.arange(len(shapes)),
        xlabel="estimate / truth (whole clusters: estimate / 4); line: stated interval, mean over seeds",
        title=f"Truth table of intrinsic dimension, {largest} points, {t['n_seeds']} seeds",
        xlim=(0.5, 2.0),
    )
    axis.set_yticklabels(shapes, fontsize=8)
    axis.set_ylim(len(shapes) - 0.4, -0.6)
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7.5
    )
    return figure


def _scale(t: dict[str, Any]) -> Any:
    largest = max(t["sizes"])
    shown = _shown(t)
    figure, axes = new(3, 2, width=4.2, height=3.4)
    for axis, shape in zip(axes, shown, strict=False):
        for name, color in zip(t["estimators"], CYCLE, strict=False):
            for e in t["table"]:
                if (e["shape"], e["estimator"], e["n"]) == (shape, name, largest):
                    axis.plot(
                        e["n_points"], e["level"], "o-", color=color, ms=3, lw=1.2, label=name
                    )
        truth = next(e["truth"] for e in t["table"] if e["shape"] == shape) or 4.0
        axis.axhline(truth, color=BLACK, lw=1, ls="--")
        twin = axis.twiny()
        for entry in t["neighbors"]:
            if entry["shape"] == shape:
                twin.plot(entry["k"], entry["likelihood"], ":", color="#777777", lw=1.4)
        twin.set_xscale("log")
        twin.set_xlabel("neighbours k of the MLE (dotted)", fontsize=7)
        twin.tick_params(labelsize=6)
        twin.grid(False)
        ticks = next(e["n_points"] for e in t["table"] if (e["shape"], e["n"]) == (shape, largest))
        axis.set_title(shape, fontsize=9)
        axis.set(xscale="log", xlabel="points (subsets of one sample)", ylabel="estimate")
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.set_xticks([], minor=True)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return estimates against the number of points, and of neighbours, for some shapes."""
    t = record["tables"]
    largest = max(t["sizes"])
    shown = _shown(t)
    found = []
    for shape in shown:
        own = [e for e in t["table"] if e["shape"] == shape and e["n"] == largest]
        truth = own[0]["truth"]
        line = "truth" if truth else "4, of infinite clusters"
        found.append(
            Plot(
                f"dimension-{slug(shape)}",
                str(shape),
                f"Estimates of the dimension of {shape} against the number of points, "
                "one curve an estimator.",
                "points (subsets of one sample)",
                "estimated dimension",
                True,
                False,
                (
                    *(
                        series(
                            str(e["estimator"]),
                            "measured",
                            e["n_points"],
                            e["level"],
                            n_seeds=t["n_seeds"],
                        )
                        for e in own
                    ),
                    series(
                        line,
                        "reference",
                        own[0]["n_points"],
                        [truth or 4.0] * len(own[0]["n_points"]),
                    ),
                ),
            )
        )
    found.append(
        Plot(
            "dimension-neighbors",
            "Maximum likelihood by number of neighbours",
            "Maximum likelihood estimates against the number of neighbours used, one curve a shape.",
            "neighbours k",
            "estimated dimension",
            True,
            False,
            tuple(
                series(str(e["shape"]), "measured", e["k"], e["likelihood"], n_seeds=t["n_seeds"])
                for e in t["neighbors"]
                if e["shape"] in shown
            ),
        )
    )
    return found


def _shown(t: dict[str, Any]) -> list[Any]:
    """The shapes of which dependence on scale is shown."""
    wanted = [s for s in t["shapes"] if "d =" in s]
    last = wanted[-1].split()[-1] if wanted else ""
    shown = [s for s in wanted if s.endswith(f"d = {last}")][:5]
    return shown + [s for s in t["shapes"] if "d =" not in s][-1:]
