"""Cluster drawings with the target as colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import colour_bar, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a cluster-drawings record."""
    from matplotlib.collections import LineCollection

    drawings = record["tables"]["drawings"]
    figure, axes = new(len(drawings), min(2, len(drawings)), width=3.5, height=3.6)
    for axis, item in zip(axes, drawings, strict=True):
        place = np.stack([item["x"], item["y"]], axis=1)
        # Values of each drawing are shown over its own largest, as a walk spreads with the size.
        value = np.array(item["value"]) / np.abs(item["value"]).max()
        parent = np.array(item["parent"])
        child = np.flatnonzero(parent >= 0)
        edges: Any = np.stack([place[parent[child]], place[child]], axis=1)
        color = 0.5 * (value[parent[child]] + value[child])
        n = value.size
        lines = LineCollection(
            edges, array=color, cmap="RdYlBu_r", linewidths=max(0.6, 14 / n**0.5)
        )
        lines.set_clim(-1.0, 1.0)
        axis.add_collection(lines)
        dots = axis.scatter(
            place[:, 0],
            place[:, 1],
            c=value,
            cmap="RdYlBu_r",
            vmin=-1.0,
            vmax=1.0,
            s=max(1.0, 900 / n),
            linewidths=0.2,
            edgecolors="#333333",
            zorder=2,
        )
        axis.set_aspect("equal", "datalim")  # all titles at one height
        axis.axis("off")
        axis.autoscale_view()
        more = "" if n == item["size"] else f"\n(tree spanned by a sample: {n} nodes)"
        axis.set_title(f"{item['size']:,} sites{more}")
    colour_bar(figure, dots, axes, "target: a walk along the edges, over its largest |value|")
    return {"cluster-drawings": figure}
