"""The example of the README; its output stands there."""

import percolaw as pl

data = pl.make_cluster(42_000, dim=64, rng=0)  # 42,000 points of the infinite critical cluster
curve = pl.scaling_curve(
    pl.NearestNeighbors(k=1), data.X, data.y, sizes=pl.geometric(1e2, 4e4, 12)
)
print(data)
print("1-NN:", curve.fit(), "predicted 0.500")

tree = pl.conditioned_clusters(10_000_000, coordination_number=6, rng=0)  # exact, half a second
sites = range(0, tree.n_sites, 1000)
distance, nearest = tree.nearest(list(sites))
print(tree, "mean distance to the nearest of 10,000 sites:", round(distance.mean(), 2))
