"""Cluster drawings with the target as colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a cluster-drawings record."""
    from matplotlib.collections import LineCollection

    drawings = record["tables"]["drawings"]
    columns = min(2, len(drawings))
    rows = -(-len(drawings) // columns)
    figure, axes = new(columns, rows, width=4.6, height=4.6)
    for axis in axes[len(drawings) :]:
        axis.set_visible(False)
    for axis, item in zip(axes, drawings, strict=False):
        place = np.stack([item["x"], item["y"]], axis=1)
        value = np.array(item["value"])
        parent = np.array(item["parent"])
        child = np.flatnonzero(parent >= 0)
        edges: Any = np.stack([place[parent[child]], place[child]], axis=1)
        color = 0.5 * (value[parent[child]] + value[child])
        limit = np.abs(value).max()
        n = value.size
        lines = LineCollection(
            edges, array=color, cmap="RdYlBu_r", linewidths=max(0.7, 18 / n**0.5)
        )
        lines.set_clim(-limit, limit)
        axis.add_collection(lines)
        axis.scatter(
            place[:, 0],
            place[:, 1],
            c=value,
            cmap="RdYlBu_r",
            vmin=-limit,
            vmax=limit,
            s=max(1.5, 1500 / n),
            linewidths=0.2,
            edgecolors="#333333",
            zorder=2,
        )
        axis.set_aspect("equal")
        axis.axis("off")
        axis.autoscale_view()
        more = "" if n == item["size"] else f" (tree spanned by a sample: {n} nodes)"
        axis.set_title(f"{item['size']:,} sites{more}", fontsize=9)
    figure.suptitle(
        "Colour: values of a walk along the edges, from low (blue) to high (red)", fontsize=10.5
    )
    return {"cluster-drawings": figure}
