"""Through the transition: the phase diagram, cluster sizes, learning curves on both sides of p_c."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot
from percolaw.report.records import claims_beside, series
from percolaw.report.style import BLACK, BLUE, GREEN, ORANGE, new

#: Local exponents shown; those of slow or noisy ends are cut.
LOWEST, HIGHEST = 0.0, 1.2


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a regimes record."""
    lattices = record["tables"]["lattices"]
    return {
        "regimes-phase-diagram": _phase_diagram(lattices),
        "regimes-sizes": _sizes(lattices),
        "regimes-laws": _laws(lattices),
        "regimes-crossover": _crossover(lattices),
    }


def _phase_diagram(lattices: list[dict[str, Any]]) -> Any:
    """Local exponent of the data law: number of points across, p up."""
    columns = min(3, len(lattices) + 1)
    rows = -(-(len(lattices) + 1) // columns)
    figure, axes = new(columns, rows, width=4.4, height=3.7)
    image = None
    for axis, lattice in zip(axes, lattices, strict=False):
        table = sorted((e for e in lattice["table"] if "random_local" in e), key=_ratio)
        ratios = np.array([e["ratio"] for e in table])
        longest = max((e["t"] for e in table), key=len)
        x = np.log10(longest)
        value = np.full((len(table), x.size), np.nan)
        for i, e in enumerate(table):
            local = np.array(e["random_local"], dtype=float)
            value[i, : local.size] = local
        step = np.diff(x).mean()
        across = 10.0 ** np.append(x - step / 2, x[-1] + step / 2)
        middle = 0.5 * (ratios[1:] + ratios[:-1])
        up = np.concatenate([[1.5 * ratios[0] - 0.5 * ratios[1]], middle, [ratios[-1] * 1.08]])
        image = axis.pcolormesh(across, up, value, cmap="viridis", vmin=LOWEST, vmax=HIGHEST)
        axis.axhline(1.0, color="white", lw=1.2)
        seen = np.array([e["total"] / max(e["cutoff"], 1.0) for e in table])
        for side in (ratios <= 1.0, ratios > 1.0):
            axis.plot(seen[side], ratios[side], "o--", color="white", ms=3, lw=1)
        axis.set(
            xscale="log",
            xlim=(across[0], across[-1]),
            ylim=(up[0], up[-1]),
            xlabel="training points $T$",
            ylabel="$p / p_c$",
            title=f"{lattice['label']}: c/D = {lattice['below']:.2f}, {_above(lattice)}",
        )
        axis.grid(False)
    spare = axes[len(lattices)]
    spare.axis("off")
    spare.text(
        0.0,
        0.95,
        "Local exponent of the loss,\n"
        "points drawn at random from the clusters\n"
        "of random sites, 1-NN, linear function.\n\n"
        "White line: $p_c$.\n"
        "White points: one point in every cluster of\n"
        "the cutoff size ($\\xi^D$ sites). To their left\n"
        "clusters go unseen (below $p_c$), or a smooth\n"
        "manifold is seen (above); to their right the\n"
        "fractal inside $\\xi$.",
        va="top",
        fontsize=9.5,
        transform=spare.transAxes,
    )
    for axis in axes[len(lattices) + 1 :]:
        axis.axis("off")
    if image is not None:
        figure.colorbar(
            image, ax=spare, orientation="horizontal", label="local exponent", shrink=0.9
        )
    return figure


def _ratio(entry: dict[str, Any]) -> float:
    return float(entry["ratio"])


def _above(lattice: dict[str, Any]) -> str:
    return f"c/d = {lattice['above']:.2f}" if lattice["above"] else "no c/d"


def _shades(n: int) -> Any:
    from matplotlib import colormaps

    return colormaps["plasma"](np.linspace(0.0, 0.9, max(n, 1)))


def _grid(lattices: list[dict[str, Any]], height: float = 3.6) -> Any:
    columns = min(3, len(lattices))
    return new(columns, -(-len(lattices) // columns), width=4.6, height=height)


def _sizes(lattices: list[dict[str, Any]]) -> Any:
    """P(S >= s) of the cluster of a random site at every p up to p_c, and above it."""
    figure, axes = _grid(lattices)
    for axis, lattice in zip(axes, lattices, strict=False):
        table = sorted((e for e in lattice["table"] if e["ratio"]), key=_ratio)
        s = np.array(lattice["sites"], dtype=float)
        for entry, color in zip(table, _shades(len(table)), strict=True):
            survival = np.array(entry["survival"], dtype=float)
            seen = survival > 0
            width = 2.6 if entry["ratio"] == 1.0 else 1.1
            axis.plot(s[seen], survival[seen], color=color, lw=width, label=f"{entry['ratio']:g}")
        axis.set(
            xscale="log",
            yscale="log",
            ylim=(1e-5, 1.5),
            xlabel="size $s$",
            ylabel="P(S $\\geq$ s)",
            title=f"{lattice['label']}: cluster of a random site",
        )
    axes[0].legend(title="$p/p_c$", ncols=2, fontsize=7.5, loc="lower left")
    for axis in axes[len(lattices) :]:
        axis.axis("off")
    return figure


def _laws(lattices: list[dict[str, Any]]) -> Any:
    """Data and model law at p_c with the finite-size predictions."""
    figure, axes = _grid(lattices)
    for axis, lattice in zip(axes, lattices, strict=False):
        entry = next(e for e in lattice["table"] if e["ratio"] == 1.0)
        t = np.array(entry["t"])
        for name, label, color in (
            ("random", "data law (points at random)", BLUE),
            ("placed", "model law (placed optimally)", ORANGE),
        ):
            axis.plot(t, entry[name], "o", ms=3.5, color=color, label=label)
            axis.plot(t, entry[f"{name}_predicted"], "--", color=color, lw=1.2)
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="points $T$",
            ylabel="loss",
            title=f"{lattice['label']} at $p_c$; dashed: predicted on the clusters drawn",
        )
        axis.title.set_fontsize(9)
    axes[0].legend(loc="lower left")
    for axis in axes[len(lattices) :]:
        axis.axis("off")
    return figure


def _crossover(lattices: list[dict[str, Any]]) -> Any:
    """Local exponent on the largest cluster from p_c on: nearest along bonds, and in space (dotted)."""
    figure, axes = _grid(lattices)
    for axis, lattice in zip(axes, lattices, strict=False):
        table = [e for e in lattice["table"] if "single_local" in e]
        inside = sorted((e for e in table if e["ratio"] >= 1.0), key=_ratio)
        for entry, color in zip(inside, _shades(len(inside)), strict=True):
            axis.plot(
                entry["n"], entry["single_local"], color=color, label=f"{entry['ratio']:g}", lw=1.3
            )
            if "space_local" in entry:
                axis.plot(entry["n_space"], entry["space_local"], ":", color=color, lw=1.1)
        for entry in table:
            if entry["ratio"] == 0.0:
                axis.plot(entry["n"], entry["single_local"], color=GREEN, lw=1.3, label="p = 1")
        axis.axhline(lattice["below"], color=BLACK, ls="--", lw=1)
        axis.text(0.02, lattice["below"], "c/D", transform=axis.get_yaxis_transform(), va="bottom")
        if lattice["above"]:
            axis.axhline(lattice["above"], color=BLACK, ls=":", lw=1)
            axis.text(0.02, lattice["above"], "c/d", transform=axis.get_yaxis_transform(), va="top")
        axis.set(
            xscale="log",
            ylim=(0.0, 2.0 * lattice["below"]),
            xlabel="observed sites $n$",
            ylabel="local exponent",
            title=f"{lattice['label']}, largest cluster"
            + ("; dotted: nearest in space" if lattice["above"] else ""),
        )
        axis.legend(title="$p/p_c$", ncols=2, fontsize=7, loc="upper right")
    for axis in axes[len(lattices) :]:
        axis.axis("off")
    return figure


def _begins(start: str, name: str) -> bool:
    return name.startswith(start)


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return data and model laws at p_c, one plot a lattice."""
    found = []
    for lattice in record["tables"]["lattices"]:
        entry = next((e for e in lattice["table"] if e["ratio"] == 1.0), None)
        if entry is None:
            raise ValueError(f"{lattice['label']} has no entry at p_c")
        curves = []
        for name, label, what in (
            ("random", "data law, points at random", "data exponent"),
            ("placed", "model law, points placed optimally", "model exponent"),
        ):
            start = f"{lattice['label']}, p_c: {what}"
            stored = claims_beside(record, partial(_begins, start))
            theory = f"{label}, predicted on the clusters drawn"
            curves.append(
                series(label, "measured", entry["t"], entry[name], prediction=theory, stored=stored)
            )
            curves.append(series(theory, "theory", entry["t"], entry[f"{name}_predicted"]))
        found.append(
            Plot(
                f"regimes-{lattice['dimension']}",
                f"{lattice['label']} at p_c: data and model law",
                "Loss on all clusters met by random sites against the number of points, with the "
                "prediction on the same clusters.",
                "training points T",
                "loss",
                True,
                True,
                tuple(curves),
            )
        )
    return found
