"""Dimension estimates on 10^5 points in 64 dimensions, and the nonlinearity score."""

import time

from _timing import header

import percolaw as pl
from percolaw.dimension.estimate import estimate_dimension

header("")
pl.nearest_neighbors([[0.0], [1.0]], [[0.2]], 1)  # compile
x = pl.make_cluster(100_000, 64, 0, labels="none").X
started = time.perf_counter()
report = estimate_dimension(x)
seconds = time.perf_counter() - started
assert seconds < 60, seconds
assert abs(report.dimension - 4.0) < 0.2, report
assert report.interval[0] < 4.0 < report.interval[1]
print(
    f"all estimators and scales, 100,000 x 64: {seconds:.1f} s wall (bar 60 s); "
    f"dimension {report.dimension:.2f} [{report.interval[0]:.2f}, {report.interval[1]:.2f}]"
)
teacher = pl.ReluTeacher(2, 100).sample(20, 0)
started = time.perf_counter()
score = pl.nonlinearity(teacher, 20, 0)
seconds = time.perf_counter() - started
assert seconds < 1, seconds
assert abs(pl.nonlinearity(pl.LinearTeacher().sample(20, 0), 20).score - 1.0) < 1e-9
print(
    f"nonlinearity, 200 repeats, d = 20, ReLU 2 x 100: {seconds:.2f} s (bar 1 s); {score.score:.3f}"
)
