"""c/D against alpha by dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, BLUE, GREEN, ORANGE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of an exponents-by-dimension record."""
    table = record["tables"]["table"]
    figure, (left, right) = new(2)
    alpha = np.array([row["rank_exponent"] for row in table])
    gamma = np.array([row["cluster_exponent"] for row in table])
    line = np.geomspace(alpha.min() / 2, alpha.max() * 2, 50)
    left.plot(line, line, "--", color=BLACK, lw=1, label="c/D = alpha (model law changes sides)")
    left.plot(
        line, line / (1 + line), ":", color=BLACK, lw=1.2, label="c/D = alpha/(1+alpha) (data)"
    )
    left.plot(alpha, gamma, "o", color=BLUE)
    last = [i for i, row in enumerate(table) if row["dimension"] == 6]
    for i, row in enumerate(table):
        if row["dimension"] > 6 and last:
            continue
        text = f"d = {row['dimension']}" + ("+" if row["dimension"] == 6 else "")
        left.annotate(text, (alpha[i], gamma[i]), textcoords="offset points", xytext=(6, 4))
    left.set(
        xscale="log",
        yscale="log",
        xlabel="rank exponent alpha = (3 - tau)/(tau - 2)",
        ylabel="cluster exponent c/D",
        title="Where real lattices lie at p_c",
        xlim=(line[0], line[-1]),
        ylim=(0.15, 2.5),
    )
    left.legend(loc="lower right")
    d = [row["dimension"] for row in table]
    right.plot(d, [row["model_exponent"] for row in table], "o-", color=ORANGE, label="model")
    right.plot(d, [row["data_exponent"] for row in table], "s-", color=GREEN, label="data")
    right.set(xlabel="lattice dimension $d$", ylabel="scaling exponent", title="Implied exponents")
    right.legend()
    return {"exponents-by-dimension": figure}
