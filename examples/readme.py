"""The example of the README; its output stands there."""

import numpy as np

import percolaw as pl
from percolaw.laws.scaling_laws import mean_nearest_distance_at_rate

data = pl.make_cluster(42_000, dim=64, rng=0)  # points of the infinite critical cluster, exact
sizes = pl.geometric(1e2, 4e4, 12)
curve = pl.scaling_curve(pl.NearestNeighbors(k=1), data.X, data.y, sizes)
print(curve.fit(), "predicted 0.5")

tree = pl.conditioned_clusters(10_000_000, coordination_number=6, rng=0)
sites = np.random.default_rng(0).integers(0, tree.n_sites, 10_000)
distance, nearest = tree.nearest(sites)
exact = float(mean_nearest_distance_at_rate(1e-3, 6))
print(f"{tree}: mean distance to 10,000 sites {distance.mean():.1f}, exact {exact:.1f}")
