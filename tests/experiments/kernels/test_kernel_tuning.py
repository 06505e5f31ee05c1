"""Kernel tuning: what a unit measures, against dense matrices."""

import numpy as np
import pytest
from kernel_cases import by_hand

from percolaw.datasets.make import make_cluster
from percolaw.experiments.kernels.kernel_tuning import KernelTuning
from percolaw.numerics.covariance import Matern
from percolaw.rng import Streams
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import standardized_inputs


def test_losses_are_of_disjoint_validation_and_test_points():
    e = KernelTuning(n_train=30, n_test=20, smoothness=1.5, length_scale=2.0, ridge=0.5)
    (row,) = e.measure({"seed": 3})
    streams = Streams(3)
    x = standardized_inputs(make_cluster(70, 16, streams, labels="none").X)
    y = MaternTeacher(0.5).on_points(x, streams, method="cholesky").value
    noisy = y[:30] + 0.3 * streams.generator("evaluation").standard_normal(30)
    for kernel, ridge, place, name in (
        (Matern(1.5, 2.0), 0.5, slice(30, 50), "validation"),
        (Matern(1.5, 2.0), 0.5, slice(50, 70), "test"),
        (Matern(0.5), 0.09, slice(50, 70), "test_best"),
    ):
        prediction = by_hand(kernel, x[:30], noisy, x[place], ridge)[0]
        assert row[name] == pytest.approx(np.mean((prediction - y[place]) ** 2)), name
    variance = by_hand(Matern(0.5), x[:30], noisy, x[30:], 0.09)[1]
    assert row["posterior_variance"] == pytest.approx(variance.mean())
