"""Scan of allocations over (b, k_br)."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, BLUE, RED, new, plain_numbers


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a dof-scan record."""
    t = record["tables"]
    figure, (axis, right) = new(2, width=5.6, height=4.9)
    loss = np.array(t["loss"])
    order = np.argsort(-loss)
    points = axis.scatter(
        np.array(t["break_rank"])[order],
        np.array(t["shape"])[order],
        c=np.log10(loss[order]),
        cmap="viridis",
        s=14,
        linewidths=0,
    )
    figure.colorbar(points, ax=axis, label=r"$\log_{10}$ loss")
    b, k = t["predicted"]["paper"]
    axis.plot(k, b, "*", color=RED, ms=15, mec="white", label="predicted (paper)")
    b, k = t["predicted"]["optimum"]
    axis.plot(k, b, "P", color=RED, ms=10, mec="white", label="predicted (true optimum)")
    b, k = t["valley"]
    axis.plot(k, b, "o", mfc="none", mec=BLACK, ms=11, mew=1.8, label="measured valley")
    axis.set(
        xscale="log",
        xlabel="break rank $k_{br}$",
        ylabel="shape $b$",
        title=f"Loss of random allocations at N = {t['degrees_of_freedom']:g}, "
        f"{t['n_seeds']} seeds",
    )
    axis.legend(loc="upper left", bbox_to_anchor=(0.0, -0.14), borderaxespad=0)
    right.scatter(t["theory"], loss, s=8, linewidths=0, color=BLUE, alpha=0.6)
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
    right.legend()
    return {"dof-scan": figure}
