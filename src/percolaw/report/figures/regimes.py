"""The phase diagram: local exponents of the data law by p and number of points."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from percolaw.report.style import BLACK, colour_bar, new

#: Local exponents shown; those of slow or noisy ends are cut.
LOWEST, HIGHEST = 0.0, 1.2
#: Colour of numbers of points at which nothing was measured.
EMPTY = "#dddddd"


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the phase diagram of a regimes record."""
    return {"regimes-phase-diagram": _phase_diagram(record["tables"]["lattices"])}


def _phase_diagram(lattices: list[dict[str, Any]]) -> Any:
    """Local exponent of the data law: number of points across, p up."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    figure, axes = new(len(lattices), min(2, len(lattices)), width=3.5, height=2.8)
    image = None
    for axis, lattice in zip(axes, lattices, strict=True):
        table = [e for e in lattice["table"] if len(e.get("t", [])) > 2]
        table.sort(key=itemgetter("ratio"))
        ratios = np.array([e["ratio"] for e in table])
        longest = max((e["t"] for e in table), key=len)
        x = np.log10(longest)
        value = np.full((len(table), x.size), np.nan)
        for i, e in enumerate(table):
            local = np.array(e["local"], dtype=float)
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
        axis.set_facecolor(EMPTY)
        axis.grid(False)
    if image is not None:
        colour_bar(figure, image, axes, "local exponent of the loss")
    points = Line2D([], [], color="white", marker="o", mec=BLACK, ms=4, ls="none")
    nothing = Rectangle((0.0, 0.0), 0.0, 0.0, facecolor=EMPTY)
    words = (
        "one point in every cluster of the cutoff size, $\\xi^D$ sites: to the left clusters go unseen\n"
        "(below $p_c$, the white line) or a smooth manifold is seen (above); to the right, the fractal\n"
        "inside $\\xi$",
        "more points than a fifth of the sites kept in the smallest box: not measured",
    )
    figure.legend(
        [points, nothing],
        words,
        loc="outside lower left",
    )
    figure.set_figheight(figure.get_figheight() + 1.3)
    return figure


def _above(lattice: dict[str, Any]) -> str:
    return f"c/d = {lattice['above']:.2f}" if lattice["above"] else "no c/d"
