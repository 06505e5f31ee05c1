"""Scan of allocations over (b, k_br)."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, BLUE, RED, new, plain_numbers


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a dof-scan record."""
    t = record["tables"]
    figure, (axis, right) = new(2, width=3.5, height=3.6)
    loss = np.array(t["loss"])
    order = np.argsort(-loss)
    points = axis.scatter(
        np.array(t["break_rank"])[order],
        np.array(t["shape"])[order],
        c=np.log10(loss[order]),
        cmap="viridis",
        s=8,
        linewidths=0,
    )
    figure.colorbar(points, ax=axis, label=r"$\log_{10}$ loss")
    b, k = t["predicted"]["paper"]
    axis.plot(k, b, "*", color=RED, ms=11, mec="white", label="predicted (paper)")
    b, k = t["predicted"]["optimum"]
    axis.plot(k, b, "P", color=RED, ms=8, mec="white", label="predicted (true optimum)")
    b, k = t["valley"]
    axis.plot(k, b, "o", mfc="none", mec=BLACK, ms=9, mew=1.5, label="measured valley")
    axis.set(
        xscale="log",
        xlabel="break rank $k_{br}$",
        ylabel="shape $b$",
        title=f"Random allocations at N = {t['degrees_of_freedom']:g}, {t['n_seeds']} seeds",
    )
    axis.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2), borderaxespad=0)
    right.scatter(
        t["theory"],
        loss,
        s=6,
        linewidths=0,
        color=BLUE,
        alpha=0.6,
        label="an allocation, mean over seeds",
    )
    ends = [0.9 * loss.min(), 1.1 * loss.max()]
    right.plot(ends, ends, "--", color=BLACK, lw=1, label="measured = theory, nothing fitted")
    right.set(
        xscale="log",
        yscale="log",
        xlabel="theory summed on the clusters drawn",
        ylabel="measured loss",
        title="Every allocation tried",
    )
    for one in (right.xaxis, right.yaxis):
        plain_numbers(one)
    right.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2), borderaxespad=0)
    return {"dof-scan": figure}
