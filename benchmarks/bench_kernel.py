"""Kernel regression on 8000 points, and a whole learning curve from one factorisation."""

import time

import numpy as np
from _timing import header

import percolaw as pl
from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.numerics.covariance import Matern, NeuralTangent

header("")
n = 8000
x = pl.standardized_inputs(np.random.default_rng(0).random((n + 500, 4)))
y = pl.MaternTeacher(1.5).sample(4, 0)(x)
for kernel in (Matern(1.5), Matern(1.0), NeuralTangent(2)):
    started = time.perf_counter()
    fitted = KernelRegression(kernel).fit(x[:n], y[:n])
    predicted = fitted.predict(x[n:])
    seconds = time.perf_counter() - started
    assert seconds < 15, seconds
    # Interpolation: the training points are met, the test points nearly.
    assert np.abs(fitted.predict(x[:50]) - y[:50]).max() < 1e-6
    assert np.mean((predicted - y[n:]) ** 2) < 0.01
    print(f"{type(kernel).__name__}: fit {n} and predict 500: {seconds:.1f} s wall (bar 15 s)")
sizes = pl.geometric(50, n, 20)
started = time.perf_counter()
curve = nested_curve(Matern(1.5), x[:n], y[:n], x[n:], sizes)
seconds = time.perf_counter() - started
alone = KernelRegression(Matern(1.5)).fit(x[: sizes[10]], y[: sizes[10]]).predict(x[n:])
assert np.abs(curve.prediction[10, :, 0] - alone).max() < 1e-8
print(f"{sizes.size} sizes up to {n} from one factorisation: {seconds:.1f} s wall")
