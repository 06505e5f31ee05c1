"""Plausible mistakes for benchmarks/mutations.py: by file, the right text and the wrong one."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A mistake: file below the package, the right text, the wrong one."""

    file: str
    right: str
    wrong: str


MISTAKES = {
    "experiments/embedding/embedded_1nn.py": [
        ("float(np.mean(error**2))", "float(np.sqrt(np.mean(error**2)))"),
        ("value[index[:, :k]].mean(axis=1)", "value[index[:, k - 1 : k]].mean(axis=1)"),
        ("float(np.sum(weights**2)) / dim", "float(np.sum(weights**2))"),
        ("nearest_neighbors(train[:n], test,", "nearest_neighbors(train, test,"),
        ('np.array(r["loss"]) / r["variance"]', 'np.array(r["loss"])'),
    ],
    "experiments/embedding/embedding_faithfulness.py": [
        (
            'points = embed_tree(tree, cell["dim"], streams, cell["steps"])',
            'points = embed_tree(tree, cell["dim"], streams, cell["steps"])[::-1]',
        ),
    ],
    "experiments/embedding/dimension.py": [
        (
            'estimate_dimension(shape.points(cell["n"], streams), streams)',
            'estimate_dimension(shape.points(cell["n"], streams)[:, :1], streams)',
        ),
    ],
    "experiments/embedding/cluster_points.py": [
        ("place = (x - centre) @ axes.T", "place = x @ axes.T"),
    ],
    "experiments/brill2024/cluster_sizes.py": [
        (
            "grow_clusters(lattice, self.n_clusters, 1,",
            "grow_clusters(lattice, self.n_clusters, 2,",
        ),
        ("return alpha + 1.0, sigma", "return alpha, sigma"),
    ],
    "experiments/brill2024/single_cluster.py": [
        ("raw = losses[index] * (data.variance / unit)", "raw = losses[index] / unit"),
    ],
    "experiments/brill2024/dof_scan.py": [
        ("capacity *= self.degrees_of_freedom / capacity.sum()", "pass"),
    ],
    "experiments/brill2024/model_scaling.py": [
        ("capacity * factor / sizes)", "capacity / sizes)"),
    ],
    "experiments/brill2024/data_scaling.py": [
        ("n * factor / data.tree.n_sites)", "n / data.tree.n_sites)"),
    ],
    "experiments/brill2024/cluster_drawings.py": [
        (
            "tree, value = part.tree, value[part.site]",
            "tree, value = part.tree, value[: part.tree.n_sites]",
        ),
    ],
    "experiments/kernels/kernel_tuning.py": [
        ("(curve.prediction[0, :, 0] - y[n:]) ** 2", "np.abs(curve.prediction[0, :, 0] - y[n:])"),
        ("float(square[0][:m].mean())", "float(square[0].mean())"),
    ],
    "experiments/kernels/teachers.py": [
        ("linear_pieces(layers, zero, b)", "linear_pieces(layers, b, b)"),
    ],
    "experiments/kernels/kernel_scaling.py": [
        (
            "part = square[:, i * N_DRAWS : (i + 1) * N_DRAWS].mean(axis=1)",
            "part = square.mean(axis=1)",
        ),
        ('Learned(f"nu = {nu:g}", 2.0 * nu,', 'Learned(f"nu = {nu:g}", 2.0 * nu + 1.0,'),
    ],
    "experiments/lattices/mean_field_check.py": [
        (
            'total["tree"][j] += float(bethe.nearest(order[:n], child)[0].mean())',
            'total["tree"][j] += float(bethe.nearest(order[:n], child)[0].mean()) / 2.0',
        ),
    ],
    "experiments/lattices/box_curves.py": [
        ("train = order[: round(count)]", "train = order"),
    ],
    "experiments/lattices/boxes.py": [
        (
            "value = np.asarray(coordinates @ (direction / np.linalg.norm(direction)))",
            "value = np.asarray(coordinates @ np.abs(direction))",
        ),
    ],
    "experiments/lattices/pruning.py": [
        ("(EASY, order[:kept])", "(EASY, order[-kept:])"),
    ],
    "experiments/lattices/sampling.py": [
        ("variance += expected_variance(tree)[0]", "variance = expected_variance(tree)[0]"),
    ],
    "experiments/networks/effective_dof.py": [
        (
            "divergence(signs[:n], out[i, 1:, learned].T, step)",
            "divergence(signs[:n], out[i, 1:, learned].T, 2.0 * step)",
        ),
    ],
    "experiments/networks/layer_dimension.py": [
        (
            "layer_activations(trained, fresh, j).items()",
            "layer_activations(untrained, fresh, 0).items()",
        ),
    ],
    "experiments/labelled.py": [
        (
            "square = (estimators[name].estimate(part) - data.value[test]) ** 2",
            "square = np.abs(estimators[name].estimate(part) - data.value[test])",
        ),
        ("return np.asarray(losses @ data.share)", "return np.asarray(losses.mean(axis=1))"),
    ],
    "experiments/claims.py": [
        ("INTERVAL_TOLERANCES = 3.0", "INTERVAL_TOLERANCES = 30.0"),
        (
            "if high < predicted - least or low > predicted + least:",
            "if high < predicted - least and low > predicted + least:",
        ),
        ("centre = float(np.exp(np.log(x).mean()))", "centre = float(x.mean())"),
        ("betaincinv(hits, n - hits + 1, 0.025)", "betaincinv(hits, n - hits + 1, 0.05)"),
    ],
    "experiments/plots.py": [
        (
            "loss = fitted.prefactor * middle**-fitted.exponent",
            "loss = fitted.prefactor * middle**fitted.exponent",
        ),
    ],
    "experiments/brill2024/parameters_vs_dof.py": [
        ("stdtrit(n_models - 2, 0.975)", "stdtrit(n_models, 0.975)"),
    ],
    "experiments/networks/nn_tuning.py": [
        ("return float(x[i] - 0.5 * b / a)", "return float(x[i] + 0.5 * b / a)"),
    ],
    "scaling/curve.py": [
        (
            "LearningCurve(self.size, self.loss / other.loss, usable)",
            "LearningCurve(self.size, other.loss / self.loss, usable)",
        ),
        ("last / 10.0**width", "last / np.e**width"),
        ("np.quantile(values, 0.16)", "np.quantile(values, 0.25)"),
    ],
    "scaling/intervals.py": [
        ("np.sqrt(n_seeds / (n_seeds - 1)) * stdtrit", "1.0 * stdtrit"),
    ],
    "scaling/fit.py": [
        ("power * np.maximum(log_x - log_f, 0.0)", "power * (log_x - log_f)"),
        ("curvature=float(-2.0 * bend", "curvature=float(2.0 * bend"),
        ("square -= centred * (centred @ square) / (centred @ centred)", "pass"),
    ],
    "laws/bethe.py": [
        ("return (1.0 + self.p) / (1.0 - self.branching)", "return 1.0 / (1.0 - self.branching)"),
        ("return self.branching * (1.0 - self.p)", "return self.branching"),
        ("self.extinction_probability**2", "self.extinction_probability"),
    ],
    "laws/size_law.py": [
        ("u_high = float(high + 1) ** -power", "u_high = float(high) ** -power"),
        ("end = min(float(max_size) + 0.5,", "end = min(float(max_size),"),
    ],
    "laws/allocation.py": [
        ("share = w[order] ** (1.0 / (1.0 + gamma))", "share = w[order] ** (1.0 / gamma)"),
        ("left = mass.sum() - np.cumsum(mass)", "left = mass.sum() - np.cumsum(mass) + mass"),
        ("sum(axis=1) / m", "sum(axis=1)"),
    ],
    "laws/hypercubic.py": [
        (
            "return self.resistance_exponent / self.fractal_dimension",
            "return 2.0 / self.fractal_dimension",
        ),
    ],
    "laws/ensembles.py": [
        (
            "loss = nothing + factor * 4.0 * (i0e(n / 2.0) - nothing)",
            "loss = factor * 4.0 * (i0e(n / 2.0) - nothing)",
        ),
        (
            "(1.0 - out[first]) * np.sqrt(grid[:first] / grid[first])",
            "(1.0 - out[first]) * (grid[:first] / grid[first])",
        ),
    ],
    "laws/single_cluster.py": [
        ("q = t * math.exp(log_keep)", "q = t"),
        ("factor = 1.0 - lost * math.sqrt(rho / _SMALL_RATE)", "factor = 1.0 - lost"),
        ("- 3.0 * np.exp(-n)", "- 4.0 * np.exp(-n)"),
    ],
    "laws/scaling_laws.py": [
        ("math.exp(math.log1p(gamma) / gamma)", "math.exp(math.log1p(gamma) / (1.0 + gamma))"),
    ],
    "laws/ranks.py": [
        ("abs(gamma - aa), min(gamma, aa)", "abs(gamma - aa), max(gamma, aa)"),
    ],
    "numerics/degrees_of_freedom.py": [
        ("(2.0 * step)", "step"),
    ],
    "numerics/neighbors.py": [
        ("nearest = np.take_along_axis(candidate, order, axis=1)", "nearest = candidate[:, :k]"),
        ("doubtful.size:", "doubtful.size > 10**9:"),
    ],
    "dimension/mle.py": [
        (
            "return 1.0 / mean if mean > 0.0 else np.inf",
            "return 1.0 / mean * (self.k - 2) / (self.k - 1) if mean > 0.0 else np.inf",
        ),
    ],
    "dimension/two_nn.py": [
        (
            "height = -np.log1p(-(empirical ** (1.0 / (self.k - 1))))",
            "height = -np.log1p(-empirical)",
        ),
    ],
    "dimension/sample.py": [
        (
            "low, high = (min(end, most) if",
            "low, high = (end if",
        ),
        ("drift = abs(float(mean[0] - mean[1])) if mean.size > 1 else 0.0", "drift = 0.0"),
    ],
    "learners/kernel.py": [
        ("else 2.0 * smoothness + dimension + 1.0", "else 2.0 * smoothness"),
        (
            'left -= float(np.einsum("ij,ij->", part, part)) / q.shape[0]',
            'left -= float(np.einsum("ij,ij->", part, part)) / n',
        ),
        ("best = ridges[int(np.argmin(errors))]", "best = ridges[int(np.argmax(errors))]"),
    ],
    "learners/tree_nearest.py": [
        (
            "prediction /= 1.0 + distance[query] / scale",
            "prediction /= 1.0 + distance[query] / scale**2",
        ),
    ],
    "learners/random_features.py": [
        ("shrunk = s / (s * s + self.ridge)", "shrunk = 1.0 / (s + self.ridge)"),
    ],
    "learners/neighbors.py": [
        ("self.values_[index[rows]].mean(axis=1)", "np.median(self.values_[index[rows]], axis=1)"),
    ],
    "learners/designs.py": [
        (
            "row = kernel(x[i : i + 1], x)[0] - factor[:k, i] @ factor[:k]",
            "row = kernel(x[i : i + 1], x)[0]",
        ),
    ],
    "targets/tree_walk.py": [
        ("value *= np.sqrt(tree.length)", "value *= tree.length"),
        (
            "below * (size - below) / size**2",
            "below * (size - below) / (size * np.maximum(size - 1.0, 1.0))",
        ),
    ],
    "targets/relu.py": [
        (
            "weights *= self.weight_scale / math.sqrt(before)",
            "weights *= self.weight_scale / math.sqrt(after)",
        ),
        ("value, mixed, slope = b2 + 0.5 * w2 * value,", "value, mixed, slope = b2 + w2 * value,"),
    ],
    "targets/fourier.py": [
        ("math.sqrt(2.0 / ph", "math.sqrt(1.0 / ph"),
    ],
    "targets/nonlinearity.py": [
        ("ratio = np.where(flat, 1.0,", "ratio = np.where(flat, 0.0,"),
        ("scores.std(ddof=1) / np.sqrt(repeats)", "scores.std(ddof=1)"),
    ],
    "targets/slices.py": [
        ("(1.0 + 2.0 * room)", "(1.0 + room)"),
    ],
    "targets/free_field.py": [
        ("step -= value[high]", "step += value[high]"),
    ],
    "targets/combined.py": [
        ("end - size, end) for", "0, end) for"),
    ],
    "targets/matern.py": [
        ("np.minimum(k, rows)", "np.minimum(1, rows)"),
    ],
    "clusters/brownian.py": [
        ('streams.key("clusters", 1))', 'streams.key("clusters", 0))'),
    ],
    "datasets/make.py": [
        ("integers(0, sites_total, n)", "integers(0, max(1, sites_total // 2), n)"),
        (
            "share = np.cumsum(sizes) / float(sizes.sum())",
            "share = np.arange(1, sizes.size + 1) / sizes.size",
        ),
    ],
    "clusters/hypercubic/box.py": [
        ("float(self.size.max()) ** 2", "float(self.size.max())"),
        (
            'u = as_streams(rng).generator("clusters", 1).integers(0, self.n_open, count)',
            'u = as_streams(rng).generator("clusters", 1).integers(0, self.n_open // 2, count)',
        ),
    ],
    "clusters/hypercubic/grown.py": [
        ("if n_loops > room:", "if n_loops > 10**9:"),
    ],
    "clusters/conditioned.py": [
        ("else int(z) - 1", "else int(z)"),
    ],
    "clusters/growth.py": [
        ("bdtr(np.arange(z), z - 1, lattice.p)", "bdtr(np.arange(z), z, lattice.p)"),
        (
            "neighbors = lattice.coordination_number - (level[0] > 0)",
            "neighbors = lattice.coordination_number",
        ),
    ],
    "datasets/labels.py": [
        ("y[:reference].std()", "y.std()"),
    ],
    "datasets/cloud.py": [
        ("math.sqrt(width / self.dim)", "math.sqrt(self.dim / width)"),
    ],
    "embedding/two_level.py": [
        ("np.float32(size**0.25)", "np.float32(size**0.5)"),
        ("level(k + 1, n_fine_points) + coarse[k]", "level(k + 1, n_fine_points) + coarse[0]"),
    ],
    "clusters/ensembles.py": [
        (
            "conditioned_clusters(np.sort(sizes)[::-1], z, streams)",
            "conditioned_clusters(np.sort(sizes), z, streams)",
        ),
    ],
    "clusters/hypercubic/newman_ziff.py": [
        ("0.5 * nearer", "nearer - 0.5"),
    ],
    "embedding/faithfulness.py": [
        ("float(spectrum[-1] / spectrum.mean())", "float(spectrum[-1] / spectrum[0])"),
        ("right / edges", "kept / edges"),
    ],
    "embedding/skeleton.py": [
        ("return points[span.index], span", "return points[span.index[::-1]], span"),
    ],
    "datasets/sources.py": [
        ("x[:, : self.side_dim] = data.X - 0.5", "x[:, : self.side_dim] = data.X"),
        (
            "if self.ratio > 1.0:\n            return float(self.lattice_dimension)",
            "if self.ratio >= 1.0:\n            return float(self.lattice_dimension)",
        ),
        ("choice(place.shape[0], n, replace=False)", "choice(n, n, replace=False)"),
    ],
    "scaling/diagnose.py": [
        (
            "    jump &= _jumps(log_x, np.median(np.log(every), axis=0))[2]",
            "    jump &= True",
        ),
        (
            "if large < 0.7 * small:",
            "if large < 0.1 * small:",
        ),
    ],
    "analysis/contest.py": [
        (
            "max(ratios) + reach, min(ratios) - reach",
            "ratios[0] + reach, ratios[0] - reach",
        ),
    ],
    "analysis/verdict.py": [
        (
            "if np.all(known == value):",
            "if False:",
        ),
    ],
    "experiments/base.py": [
        (
            "if given != found and given == given:",
            "if False:",
        ),
        (
            "        if text in seen:",
            "        if False:",
        ),
    ],
    "report/colors.py": [
        (
            "if panels and alike and few else",
            "if False else",
        ),
    ],
    "numerics/components.py": [
        (
            "    if d <= n:",
            "    if True:",
        ),
    ],
    "learning.py": [
        (
            "float(np.mean(f[:tests].var(axis=0)))",
            "float(f[:tests].var())",
        ),
        (
            "seed_streams = streams.child(seed, *source.key)",
            "seed_streams = streams.child(0, *source.key)",
        ),
        ("order = min(order, limit)", "order = float(order)"),
    ],
    "learners/expected.py": [
        ("slope * (variance - expected)", "0.0 * (variance - expected)"),
        (" + rest**2 * mean", ""),
        ("square += 2.0 * rest * (mean_x", "square += 0.0 * rest * (mean_x"),
    ],
    "scaling/criteria.py": [
        ("given = np.where(known[column] == labels, given, 0.0)", "given = given + 0.0"),
        ("- np.median(values, axis=0)", "- np.mean(values, axis=0)"),
    ],
    "scaling/losses.py": [
        (
            "usable = measured.mean(axis=0) > floor",
            "usable = measured.mean(axis=0) > 0.0",
        ),
        ("count[one] <= to_spare", "True"),
        (
            "np.concatenate([order[aside][:n_test], order[~aside]])",
            "np.concatenate([order[aside][:n_test], order[aside][n_test:], order[~aside]])",
        ),
    ],
}
MUTANTS = tuple(
    Mutant(file, *mistake) for file, mistakes in MISTAKES.items() for mistake in mistakes
)
