"""The infinite cluster at growing numbers of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import colour_bar, new


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
    middle, side = 0.5 * (low + high), 0.54 * (high - low).max()
    wide = 7.0 / len(pictures)
    figure, axes = new(len(pictures), width=wide, height=wide + 0.9)
    colour = f"label: a random linear function of the {t['dim']} coordinates"
    for axis, item in zip(axes, pictures, strict=True):
        if "place" in item:
            place = np.array(item["place"])
            dots = axis.scatter(
                place[:, 0],
                place[:, 1],
                c=item["value"],
                cmap="RdYlBu_r",
                vmin=-limit,
                vmax=limit,
                s=max(0.7, 1000 / len(place)),
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
        axis.set_aspect("equal")
        axis.set(xticks=[], yticks=[], xlabel="principal axis 1", title=f"{item['n']:,} points")
    axes[0].set_ylabel("principal axis 2")
    colour_bar(figure, dots, axes, colour)
    last = drawn[-1]
    place = np.array(last["place"])
    view = Figure(figsize=(3.5, 4.1))
    view.set_layout_engine("none")  # it knows no axes in three dimensions
    space: Any = view.add_axes((0.0, 0.24, 0.94, 0.68), projection="3d")
    dots = space.scatter(
        *place[:, :3].T,
        c=last["value"],
        cmap="RdYlBu_r",
        vmin=-limit,
        vmax=limit,
        s=2,
        linewidths=0,
    )
    view.suptitle(f"{last['n']:,} points of the infinite cluster,\n3 of {t['dim']} dimensions")
    names = {f"{name}label": f"principal axis {i}" for i, name in enumerate("xyz", 1)}
    space.set(**names, xticks=[], yticks=[], zticks=[])
    space.margins(0.0)
    for one in (space.xaxis, space.yaxis, space.zaxis):
        one.labelpad = -12
    space.set_box_aspect(np.ptp(place[:, :3], axis=0), zoom=1.05)
    view.colorbar(
        dots, cax=view.add_axes((0.15, 0.16, 0.7, 0.02)), orientation="horizontal"
    ).set_label(colour.replace(" function", "\nfunction"))
    return {"cluster-points": figure, "cluster-points-3d": view}
