"""How often intervals of extrapolated losses hold the truth, and what budgets too short are taken for.

    python benchmarks/budget_coverage.py

Losses L_inf + B steps^-b of seven sizes, five seeds, with scatter common to a seed, to a seed and size,
and of each loss alone. Printed for each scatter: how far the largest budget is above the limit, how many
limits count as determined, the share of their 95% intervals that hold the truth, and the same of the
exponent in the size. About 3 minutes on one core.
"""

from __future__ import annotations

import numpy as np

from percolaw.scaling.budget import extrapolate

SIZE = np.array([49, 97, 161, 337, 577, 1249, 2177.0])
EXPONENT, SEEDS, SAMPLES = 0.5, 5, 100
SCATTER = ((0.1, 0.02, 0.01), (0.1, 0.05, 0.02), (0.02, 0.02, 0.02), (0.5, 0.05, 0.02))
#: Name, exponent and height of the part that falls with the steps, steps of the smallest size.
CURVES = (("long", 0.7, 60.0, 5000.0), ("short", 0.4, 10.0, 100.0), ("shorter", 0.3, 10.0, 10.0))


def line(
    name: str, exponent: float, height: float, first: float, scatter: tuple[float, ...]
) -> str:
    """One line of the table."""
    steps = first * (SIZE[:, None] / SIZE[0]) ** 0.5 * 2.0 ** np.arange(-3, 2)
    limit = 3.0 * SIZE**-EXPONENT
    loss = limit[:, None] + height * steps**-exponent
    held = determined = slopes = fits = 0
    for sample in range(SAMPLES):
        rng = np.random.default_rng(sample)
        shapes = ((SEEDS, 1, 1), (SEEDS, SIZE.size, 1), (SEEDS, *steps.shape))
        z = sum(s * rng.standard_normal(n) for s, n in zip(scatter, shapes, strict=True))
        out = extrapolate(SIZE, steps, loss * np.exp(z))
        held += int(((out.low <= limit) & (limit <= out.high))[out.determined].sum())
        determined += int(out.determined.sum())
        fitted = out.fit((SIZE[0], SIZE[-1]))
        if fitted is not None:
            fits += 1
            slopes += fitted.interval[0] <= EXPONENT <= fitted.interval[1]
    far = loss[:, -1] / limit - 1.0
    text = f"{name:8} {scatter} {far.min():6.2f} to {far.max():5.2f} above  determined {determined} of "
    text += f"{SIZE.size * SAMPLES}"
    if determined:
        text += f"  held {held / determined:.1%}  exponent {slopes} of {fits}"
    return text


for scatter in SCATTER:
    for curve in CURVES:
        print(line(*curve, scatter), flush=True)
