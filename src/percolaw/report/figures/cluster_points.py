"""The infinite cluster at growing numbers of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the nested 2-D picture and a 3-D view of the largest set of drawn points."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    t = record["tables"]
    pictures = t["pictures"]
    drawn = [p for p in pictures if "place" in p]
    limit = np.quantile(np.abs(np.concatenate([p["value"] for p in drawn])), 0.98)
    every = np.concatenate([np.array(p["place"])[:, :2] for p in drawn])
    low, high = every.min(axis=0), every.max(axis=0)
    middle, side = 0.5 * (low + high), 0.6 * (high - low).max()
    figure, axes = new(len(pictures), width=4.0, height=4.4)
    for axis, item in zip(axes, pictures, strict=True):
        if "place" in item:
            place = np.array(item["place"])
            axis.scatter(
                place[:, 0],
                place[:, 1],
                c=item["value"],
                cmap="RdYlBu_r",
                vmin=-limit,
                vmax=limit,
                s=max(1.0, 2000 / len(place)),
                linewidths=0.1,
                edgecolors="#555555",
            )
        else:
            n = t["n_pixels"]
            mean = np.full(n * n, np.nan)
            mean[item["pixel"]] = item["mean"]
            count = np.zeros(n * n)
            count[item["pixel"]] = item["count"]
            alpha = LogNorm(0.5, max(2.0, np.quantile(item["count"], 0.98)), clip=True)(
                np.maximum(count, 0.5)
            )
            extent = (-item["side"], item["side"], -item["side"], item["side"])
            axis.imshow(
                mean.reshape(n, n),
                origin="lower",
                extent=extent,
                cmap="RdYlBu_r",
                vmin=-limit,
                vmax=limit,
                alpha=np.asarray(alpha).reshape(n, n),
                interpolation="nearest",
            )
        axis.set(
            xlim=(middle[0] - side, middle[0] + side), ylim=(middle[1] - side, middle[1] + side)
        )
        axis.text(
            0.5,
            0.99,
            f"{item['n']:,} points",
            transform=axis.transAxes,
            ha="center",
            va="top",
            fontsize=12,
        )
        axis.set_aspect("equal")
        axis.axis("off")
    figure.suptitle("Colour: a linear function, from low (blue) to high (red)", fontsize=10.5)
    last = drawn[-1]
    place = np.array(last["place"])
    view = Figure(figsize=(5.2, 4.8))
    axis = view.add_subplot(projection="3d")
    axis.scatter(
        place[:, 0],
        place[:, 1],
        place[:, 2],
        c=last["value"],
        cmap="RdYlBu_r",
        vmin=-limit,
        vmax=limit,
        s=3,
        linewidths=0,
    )
    axis.set_title(f"{last['n']:,} points of the infinite cluster, 3 of {t['dim']} dimensions")
    axis.set_box_aspect(None, zoom=1.35)
    axis.set_axis_off()
    return {"cluster-points": figure, "cluster-points-3d": view}
