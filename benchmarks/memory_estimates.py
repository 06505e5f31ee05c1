"""Memory that public functions ask for before they start, against what they then take.

Every case runs in a fresh process, once small (imports, compiled kernels) and once large. Asked is the
largest of what a check asks plus what is held when it asks; taken is the peak of resident memory above
what was resident before. `python benchmarks/memory_estimates.py [WORD]` runs the cases with WORD in
their name.
"""

import json
import subprocess
import sys

import numpy as np
from _timing import header

#: Taken over asked must lie between. Less is taken than asked where asked is the worst case (every site
#: a cluster of its own) or arrays are not touched everywhere.
LOW, HIGH = 0.4, 1.5

#: Preparation, run, a small size, two large ones.
CASES = {
    "nearest_neighbors, many points": (
        "x = RNG.standard_normal((n, 20)); q = x[:500]",
        "pl.nearest_neighbors(x, q, 5)",
        (5000, 500_000, 1_500_000),
    ),
    "nearest_neighbors, many queries": (
        "x = RNG.standard_normal((3000, 3)); q = RNG.standard_normal((n, 3))",
        "pl.nearest_neighbors(x, q, 50)",
        (500, 100_000, 250_000),
    ),
    "nearest_neighbors, wide": (
        "x = RNG.standard_normal((n, 20_000)).astype(np.float32); q = x[:300]",
        "pl.nearest_neighbors(x, q, 5)",
        (50, 2000, 4000),
    ),
    "NearestNeighbors.predict": (
        "x = RNG.standard_normal((3000, 3)); q = RNG.standard_normal((n, 3))\n"
        "f = pl.NearestNeighbors(50).fit(x, np.repeat(x, 2, axis=1))",
        "f.predict(q)",
        (500, 50_000, 100_000),
    ),
    "KernelRegression, factorised": (
        "x = RNG.standard_normal((n, 4)); y = x[:, 0]",
        "pl.KernelRegression(ridge=0.1).fit(x, y)",
        (300, 4000, 6000),
    ),
    "nested_curve": (
        "from percolaw.learners.kernel import nested_curve\n"
        "from percolaw.numerics.covariance import Matern\n"
        "x = RNG.standard_normal((n, 4)); y = x[:, 0]",
        "nested_curve(Matern(0.5), x, y, x[: n // 2], [n // 2, n])",
        (300, 3000, 5000),
    ),
    "RandomFeatures": (
        "x = RNG.standard_normal((n, 4)); y = x[:, 0]",
        "pl.RandomFeatures(n // 2).fit(x, y)",
        (300, 1500, 2500),
    ),
    "RandomFeatures, more features than points": (
        "x = RNG.standard_normal((n, 4)); y = x[:, 0]",
        "pl.RandomFeatures(20 * n).fit(x, y)",
        (100, 500, 900),
    ),
    "RandomFeatures.predict": (
        "x = RNG.standard_normal((500, 4)); f = pl.RandomFeatures(500).fit(x, x[:, 0])\n"
        "q = RNG.standard_normal((n, 4))",
        "f.predict(q)",
        (500, 40_000, 100_000),
    ),
    "smoother_trace": (
        "from percolaw.numerics.degrees_of_freedom import smoother_trace\nk = np.eye(n)",
        "smoother_trace(k, [1.0])",
        (100, 1500, 2500),
    ),
    "greedy_kernel_variance": (
        "from percolaw.learners.designs import greedy_kernel_variance\n"
        "from percolaw.numerics.covariance import Matern\nx = RNG.standard_normal((n, 4))",
        "greedy_kernel_variance(Matern(0.5), x, 200)",
        (300, 100_000, 200_000),
    ),
    "kernel(x, y)": (
        "from percolaw.numerics.covariance import Matern\nx = RNG.standard_normal((n, 4))",
        "Matern(0.5)(x, x)",
        (300, 4000, 6000),
    ),
    "bootstrap_interval": (
        "from percolaw.scaling.fit import bootstrap_interval\nx = RNG.standard_normal(50)",
        "bootstrap_interval(x, n_bootstrap=n)",
        (1000, 100_000, 300_000),
    ),
    "fit_power_law": (
        "s = np.geomspace(10, 1000, 8); y = s**-0.5 * np.exp(0.1 * RNG.standard_normal((20, 8)))",
        "pl.fit_power_law(s, y, n_bootstrap=n)",
        (1000, 200_000, 400_000),
    ),
    "geometric": ("", "pl.geometric(1, 1e15, n)", (1000, 3_000_000, 6_000_000)),
    "optimal_allocation": (
        "",
        "pl.optimal_allocation(1e12, n, 1.0, 0.5)",
        (1000, 2_000_000, 5_000_000),
    ),
    "weighted_allocation": (
        "from percolaw.laws.allocation import weighted_allocation\nw = RNG.random(n) + 0.1",
        "weighted_allocation(1e5, w, 0.5)",
        (1000, 1_000_000, 3_000_000),
    ),
    "shared_curve_allocation": (
        "from percolaw.laws.allocation import shared_curve_allocation\nw = RNG.random(n) + 0.1\n"
        "s = np.concatenate([[0.0], np.geomspace(1, 1e4, 40)]); y = (s + 1) ** -0.5",
        "shared_curve_allocation(1e5, w, s, y)",
        (100, 30_000, 80_000),
    ),
    "shared_curve_losses": (
        "from percolaw.laws.allocation import shared_curve_losses\nw = RNG.random(n) + 0.1\n"
        "s = np.concatenate([[0.0], np.geomspace(1, 1e4, 40)]); y = (s + 1) ** -0.5",
        "shared_curve_losses([1e3, 1e5], w, s, y)",
        (100, 30_000, 80_000),
    ),
    "numerical_allocation": (
        "w = RNG.random(n) + 0.1; s = np.concatenate([[0.0], np.geomspace(1, 1e4, 400)])\n"
        "y = np.tile((s + 1) ** -0.5, (n, 1))",
        "pl.numerical_allocation(1e5, w, s, y)",
        (10, 4000, 8000),
    ),
    "embed_tree": (
        "t = pl.conditioned_clusters(n, rng=0)",
        "pl.embed_tree(t, 64, 0)",
        (1000, 500_000, 1_000_000),
    ),
    "embed_sites": (
        "t = pl.conditioned_clusters(20 * n, rng=0); s = RNG.integers(0, 20 * n, n)",
        "pl.embed_sites(t, s, 64, 0)",
        (1000, 200_000, 400_000),
    ),
    "embed_sites, sphere": (
        "t = pl.conditioned_clusters(2 * n, rng=0); s = RNG.integers(0, 2 * n, n)",
        "pl.embed_sites(t, s, 16, 0, 'sphere')",
        (1000, 400_000, 800_000),
    ),
    "embed_sites, few columns": (
        "t = pl.conditioned_clusters(4 * n, rng=0); s = RNG.integers(0, 4 * n, n)",
        "pl.embed_sites(t, s, 1, 0)",
        (1000, 500_000, 1_000_000),
    ),
    "sample_large_cluster": ("", "pl.sample_large_cluster(n, rng=0)", (1000, 4_000_000, 8_000_000)),
    "embed_sampled": (
        "c = pl.sample_large_cluster(n, rng=0)",
        "pl.embed_sampled(c, 32, 0)",
        (1000, 1_000_000, 2_000_000),
    ),
    "embed_sampled, few columns": (
        "c = pl.sample_large_cluster(n, rng=0)",
        "pl.embed_sampled(c, 2, 0)",
        (1000, 3_000_000, 6_000_000),
    ),
    "two_level_cloud": (
        "from percolaw.embedding.two_level import two_level_cloud",
        "two_level_cloud(n, 100, 1000, 64, 0)",
        (10, 5000, 10_000),
    ),
    "faithfulness": (
        "from percolaw.embedding.faithfulness import faithfulness\n"
        "t = pl.conditioned_clusters(n, rng=0); x = pl.embed_tree(t, 16, 0)",
        "faithfulness(t, x, n_centres=100)",
        (1000, 200_000, 400_000),
    ),
    "conditioned_clusters": (
        "",
        "pl.conditioned_clusters(n, rng=0)",
        (1000, 30_000_000, 60_000_000),
    ),
    "make_cluster": ("", "pl.make_cluster(n, 32, 0)", (1000, 1_000_000, 2_000_000)),
    "make_cluster, one column": ("", "pl.make_cluster(n, 2, 0)", (1000, 2_000_000, 4_000_000)),
    "make_cluster, finite": (
        "",
        "pl.make_cluster(n, 32, 0, size=3 * n, coordination_number=4)",
        (1000, 400_000, 800_000),
    ),
    "make_distribution, walk": (
        "",
        "pl.make_distribution(n, 32, 0)",
        (1000, 1_000_000, 2_000_000),
    ),
    "make_distribution, few columns": (
        "",
        "pl.make_distribution(n, 3, 0, ensemble='cluster')",
        (1000, 2_000_000, 4_000_000),
    ),
    "make_distribution, yule": (
        "",
        "pl.make_distribution(n, 16, 0, ensemble='yule')",
        (1000, 1_000_000, 2_000_000),
    ),
    "make_distribution, yule linear": (
        "",
        "pl.make_distribution(n, 16, 0, ensemble='yule', labels='linear')",
        (1000, 1_000_000, 2_000_000),
    ),
    "make_manifold": (
        "",
        "pl.make_manifold([('sphere', 8)], n, rng=0)",
        (1000, 500_000, 1_000_000),
    ),
    "make_manifold, turned": (
        "",
        "pl.make_manifold([('torus', 4)], n, dim=64, rng=0)",
        (1000, 300_000, 600_000),
    ),
    "make_lattice": ("", "pl.make_lattice(n, 3, rng=0)", (1000, 300_000, 600_000)),
    "make_lattice, turned": (
        "",
        "pl.make_lattice(n, 2, rng=0, dim=64)",
        (1000, 150_000, 300_000),
    ),
    "estimate_dimension": (
        "x = RNG.standard_normal((n, 6))",
        "pl.estimate_dimension(x, max_queries=400)",
        (1000, 100_000, 200_000),
    ),
    "estimate_dimension, float32": (
        "x = RNG.standard_normal((n, 40)).astype(np.float32)",
        "pl.estimate_dimension(x, max_queries=400)",
        (1000, 30_000, 60_000),
    ),
    "MLE.fit": (
        "from percolaw.dimension.mle import MLE\nx = RNG.standard_normal((n, 40))",
        "MLE(5).fit(x[:, :])",
        (500, 10_000, 20_000),
    ),
    "CorrelationDimension.fit": (
        "from percolaw.dimension.correlation import CorrelationDimension\n"
        "x = RNG.standard_normal((n, 40))",
        "CorrelationDimension(max_centres=50).fit(x)",
        (500, 20_000, 40_000),
    ),
    "local_dimension": (
        "from percolaw.dimension.mle import local_dimension\nx = RNG.standard_normal((n, 3))",
        "local_dimension(x, 400)",
        (1000, 10_000, 20_000),
    ),
    "standardized_inputs": (
        "x = RNG.standard_normal((n, 20))",
        "pl.standardized_inputs(x)",
        (1000, 1_000_000, 2_000_000),
    ),
}

PROGRAM = """
import json, sys, warnings
import numpy as np
import percolaw as pl
from percolaw import resources
warnings.simplefilter("ignore")
RNG = np.random.default_rng(0)

def field(name):
    return 1024 * resources._field("/proc/self/status", name)

prepare, work, small, large = json.loads(sys.argv[1])
def run(n):
    global result
    scope = {"n": n, "np": np, "pl": pl, "RNG": RNG, "checks": checks}
    exec(prepare, scope)
    before = field("VmRSS:")
    asked = []
    real = checks.memory
    checks.memory = lambda n_bytes, *text: asked.append((n_bytes, field("VmRSS:") - before))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    try:
        result = eval(work, scope)
    finally:
        checks.memory = real
    return field("VmHWM:") - before, asked

run(small)
taken, asked = run(large)
print(json.dumps([taken, max((a + max(0, h) for a, h in asked), default=0), asked[0][0] if asked else 0]))
"""


def measure(name: str, size: int) -> tuple[float, float, float]:
    """Bytes taken, bytes asked for at the worst, and by the first check, in a fresh process."""
    prepare, work, sizes = CASES[name]
    given = json.dumps([prepare, work, sizes[0], size])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, given], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-800:]}")
    taken, asked, first = json.loads(done.stdout)
    return taken, asked, first


def main() -> None:
    """Print a line a case and size; end with the cases that are off."""
    header("")
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"{'case':<42} {'n':>10} {'taken':>8} {'asked':>8}  MiB   taken / asked")
    off = []
    chosen = {name: case for name, case in CASES.items() if word in name}
    assert chosen, f"no case has {word!r} in its name"
    for name, (_, _, sizes) in chosen.items():
        for size in sizes[1:]:
            taken, asked, first = np.array(measure(name, size)) / 2**20
            ratio = taken / asked if asked else np.inf
            bad = not LOW <= ratio <= HIGH
            note = "  OFF" if bad else ""
            print(
                f"{name:<42} {size:>10} {taken:8.0f} {asked:8.0f} {first:8.0f} {ratio:10.2f}{note}",
                flush=True,
            )
            if bad:
                off.append(name)
    assert not off, f"asked for something else than is taken: {', '.join(dict.fromkeys(off))}"


if __name__ == "__main__":
    main()
