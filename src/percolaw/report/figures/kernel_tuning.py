"""Test loss of the student beside the best possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a kernel-tuning record."""
    t = record["tables"]
    figure, (axis,) = new(1)
    seed = np.arange(len(t["test"]))
    axis.plot(seed, t["test"], "o", color=CYCLE[0], label="student")
    axis.plot(seed, t["test_best"], "x", color=CYCLE[1], label="the field's own kernel")
    axis.plot(seed, t["posterior_variance"], "_", color=BLACK, ms=14, label="posterior variance")
    axis.set(
        xlabel="seed", ylabel="test loss", ylim=(0, None), title="Kernel student on noisy data"
    )
    axis.legend()
    return {"kernel-tuning": figure}
