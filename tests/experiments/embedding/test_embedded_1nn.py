"""Nearest neighbours on embedded clusters: what is concluded and drawn of made-up rows."""

import numpy as np
import pytest

from percolaw.experiments.embedding.embedded_1nn import Embedded1nn


def test_losses_are_drawn_in_units_of_the_variance():
    e = Embedded1nn(
        n_seeds=3, largest=3000, neighbors=(1, 5), dims=(32,), coordination_numbers=(3,)
    )
    law = e.sizes() ** -0.5
    rows = [
        {**cell, "k": k, "loss": ((2.0 + cell["seed"]) * law).tolist(), "unit": 1.0}
        | {"variance": 2.0 + cell["seed"], "pair_square": 1.0}
        for cell in e.cells()
        for k in e.neighbors
    ]
    found = e.conclude(rows)
    exponents = [c for c in found.claims if "exponent" in c.name]
    assert [c.measured for c in exponents] == pytest.approx([0.5] * len(exponents))
    drawn = [
        series
        for plot in found.plots
        if plot.y_label == "mean squared error / variance"
        for series in plot.series
        if series.kind == "measured"
    ]
    assert len(drawn) == 1 + 2 + 2 + 3, "by dimension, z, neighbours and scheme"
    for series in drawn:
        np.testing.assert_allclose(series.y, law)
