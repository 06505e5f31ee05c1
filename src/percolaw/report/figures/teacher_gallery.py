"""Slices of teachers by depth and width, other families beside them, and learners on a data plane."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from percolaw.report.style import new

#: Of one picture, in inches: four stand beside each other on a page.
WIDTH, HEIGHT = 1.75, 2.3


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a teacher-gallery record."""
    t = record["tables"]
    pictures = {p["picture"]: p for p in t["pictures"] if p["where"] == "origin"}
    learned = [p for p in t["pictures"] if p["where"] == "data"]
    names = [f"ReLU {d} x {w}" for d in t["depths"] for w in t["widths"]]
    grid, axes = new(len(names), len(t["widths"]), width=WIDTH, height=HEIGHT)
    for axis, name in zip(axes, names, strict=True):
        _show(axis, pictures[name])
    grid.suptitle(f"Random ReLU teachers, depth x width\nplane through the origin, d = {t['dim']}")
    other = [p for name, p in pictures.items() if name not in names]
    beside, axes = new(len(other), 4, width=WIDTH, height=HEIGHT)
    for axis, picture in zip(axes, other, strict=True):
        _show(axis, picture)
    beside.suptitle(f"Other families of teachers\nplane through the origin, d = {t['dim']}")
    learners, axes = new(len(learned), 4, width=WIDTH, height=HEIGHT)
    low, high = min(p["low"] for p in learned), max(p["high"] for p in learned)
    for axis, picture in zip(axes, learned, strict=True):
        _show(axis, picture, (low, high))
    learners.suptitle(
        f"A teacher and its learners from {t['n_train']} points: the plane through three of them"
    )
    return {
        "teacher-gallery": grid,
        "teacher-gallery-families": beside,
        "teacher-gallery-learners": learners,
    }


def _show(axis: Any, picture: dict[str, Any], limits: tuple[float, float] | None = None) -> None:
    low, high = picture["low"], picture["high"]
    image = low + (high - low) * np.array(picture["steps"]) / 9999.0
    half = picture["half_width"]
    shown = limits or (low, high)
    axis.imshow(
        image,
        origin="lower",
        extent=(-half, half, -half, half),
        cmap="viridis",
        vmin=shown[0],
        vmax=shown[1],
        interpolation="nearest",
    )
    for x, y in picture["marks"]:
        axis.plot(x, y, "o", mfc="none", mec="white", ms=4)
    score = "" if picture["score"] is None else f", score {picture['score']:.2f}"
    name = textwrap.fill(picture["picture"], 24)
    axis.set_title(f"{name}\n{low:.2g} to {high:.2g}{score}", fontsize=8)
    axis.grid(False)
    axis.set(xticks=[-half, 0.0, half], yticks=[-half, 0.0, half])
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter("{x:.2g}")
