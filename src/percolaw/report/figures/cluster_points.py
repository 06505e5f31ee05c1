"""The infinite cluster at growing numbers of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import colour_bar, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the nested 2-D picture and a 3-D view of the largest set of drawn points."""
    t = record["tables"]
    pictures = t["pictures"]
    drawn = [p for p in pictures if "place" in p]
    limit = np.quantile(np.abs(np.concatenate([p["value"] for p in drawn])), 0.98)
    colours = {"cmap": "RdYlBu_r", "vmin": -limit, "vmax": limit}
    label = f"label: a random linear function of the {t['dim']} coordinates"
    every = np.concatenate([np.array(p["place"])[:, :2] for p in drawn])
    low, high = every.min(axis=0), every.max(axis=0)
    middle, side = 0.5 * (low + high), 0.54 * (high - low).max()
    width = 7.0 / len(pictures)
    figure, axes = new(len(pictures), width=width, height=width + 0.9)
    for axis, item in zip(axes, pictures, strict=True):
        if "place" in item:
            dots = _points(axis, item, colours)
        else:
            _pixels(axis, item, t["n_pixels"], colours)
        axis.set(
            xlim=(middle[0] - side, middle[0] + side), ylim=(middle[1] - side, middle[1] + side)
        )
        axis.set_aspect("equal")
        axis.set(xticks=[], yticks=[], xlabel="principal axis 1", title=f"{item['n']:,} points")
    axes[0].set_ylabel("principal axis 2")
    colour_bar(figure, dots, axes, label)
    view = _view(drawn[-1], t["dim"], colours, label.replace(" function", "\nfunction"))
    return {"cluster-points": figure, "cluster-points-3d": view}


def _points(axis: Any, item: dict[str, Any], colours: dict[str, Any]) -> Any:
    place = np.array(item["place"])
    return axis.scatter(
        place[:, 0],
        place[:, 1],
        c=item["value"],
        s=max(0.7, 1000 / len(place)),
        linewidths=0.1,
        edgecolors="#555555",
        **colours,
    )


def _pixels(axis: Any, item: dict[str, Any], n: int, colours: dict[str, Any]) -> None:
    """Mean values of n x n pixels, fainter where few points lie."""
    from matplotlib.colors import LogNorm

    mean = np.full(n * n, np.nan)
    mean[item["pixel"]] = item["mean"]
    count = np.zeros(n * n)
    count[item["pixel"]] = item["count"]
    most = max(2.0, np.quantile(item["count"], 0.98))
    alpha = LogNorm(0.5, most, clip=True)(np.maximum(count, 0.5))
    axis.imshow(
        mean.reshape(n, n),
        origin="lower",
        extent=(-item["side"], item["side"], -item["side"], item["side"]),
        alpha=np.asarray(alpha).reshape(n, n),
        interpolation="nearest",
        **colours,
    )


def _view(item: dict[str, Any], dim: int, colours: dict[str, Any], label: str) -> Any:
    """A figure of the points along the first three principal axes."""
    from matplotlib.figure import Figure

    place = np.array(item["place"])
    figure = Figure(figsize=(3.5, 4.1))
    figure.set_layout_engine("none")  # it knows no axes in three dimensions
    space: Any = figure.add_axes((0.0, 0.24, 0.94, 0.68), projection="3d")
    dots = space.scatter(*place[:, :3].T, c=item["value"], s=2, linewidths=0, **colours)
    figure.suptitle(f"{item['n']:,} points of the infinite cluster,\n3 of {dim} dimensions")
    names = {f"{name}label": f"principal axis {i}" for i, name in enumerate("xyz", 1)}
    space.set(**names, xticks=[], yticks=[], zticks=[])
    space.margins(0.0)
    for one in (space.xaxis, space.yaxis, space.zaxis):
        one.labelpad = -12
    space.set_box_aspect(np.ptp(place[:, :3], axis=0), zoom=1.05)
    bar = figure.add_axes((0.15, 0.16, 0.7, 0.02))
    figure.colorbar(dots, cax=bar, orientation="horizontal").set_label(label)
    return figure
