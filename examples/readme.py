"""The example of the README; its output stands there."""

import percolaw as pl
from percolaw.numerics.covariance import Matern

sizes = pl.geometric(1e2, 3e3, 9)
neighbor = pl.LinearTeacher(), pl.NearestNeighbors()
kernel = pl.MaternTeacher(smoothness=0.5), pl.KernelRegression(Matern(0.5))
for source in (pl.InfiniteCluster(dim=32), pl.Cube(2), pl.LatticeCluster(3)):
    for target, learner in (neighbor, kernel):
        curve = pl.learning_curve(source, target, learner, sizes, seeds=5)
        print(f"{source}, {target}: {curve.fit()}, predicted {curve.predicted_exponent:.2f}")
