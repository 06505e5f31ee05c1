"""The picture of all exponents of networks holds what was measured, with its intervals."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from network_cases import sources, targets

from percolaw.experiments.networks.neural_scaling import Scaling, exponents_plot


def scaling(predicted, exponent, interval):
    (source,), (target,) = sources("cluster d = 8"), targets("Matérn 0.5")
    line = SimpleNamespace(exponent=exponent, interval=interval)
    return Scaling(source, target, None, line, predicted, (), np.array([]), {}, None)


@pytest.mark.parametrize(
    ("interval", "least", "most"),
    [((0.85, 0.95), 1.0, 1.2), ((0.6, 1.3), 1.3, 1.5), ((-np.inf, np.inf), 1.0, 1.2)],
)
def test_intervals_lie_in_the_picture(interval, least, most):
    measured = [scaling(0.25, 0.3, (0.25, 0.35)), scaling(1.0, 0.9, interval)]
    plot = exponents_plot("nn-data-scaling", "t", measured)
    low, high = plot.y_limits
    assert low == 0.0
    assert least < high < most
    diagonal = plot.series[-1]
    assert diagonal.x == diagonal.y == (0.0, high)


def test_nothing_measured_is_an_empty_picture():
    assert exponents_plot("nn-data-scaling", "t", []).y_limits == (0.0, 0.11)
