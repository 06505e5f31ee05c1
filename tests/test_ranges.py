"""Numeric functions outside the range where they were tried: the right number, or a sentence."""

from __future__ import annotations

import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
from scipy.integrate import quad

import percolaw as pl
from percolaw import checks, resources
from percolaw.clusters.hypercubic.box import HypercubicLattice
from percolaw.clusters.hypercubic.newman_ziff import Sweep
from percolaw.errors import ResourceError
from percolaw.laws import scaling_laws, single_cluster
from percolaw.laws.allocation import optimal_allocation, weighted_allocation
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.scaling_laws import data_scaling_loss, model_scaling_loss
from percolaw.laws.single_cluster import mean_nearest_distance, nearest_neighbor_loss
from percolaw.scaling import fit
from percolaw.scaling.fit import fit_power_law
from percolaw.scaling.intervals import bootstrap_interval

HOSTILE = (
    0,
    -1,
    5e-324,
    1e-300,
    1e-17,
    0.5,
    1,
    True,
    2.0,
    50,
    1e10,
    1e15,
    1e300,
    math.inf,
    math.nan,
)
#: Every public function of the laws, and how many numbers it takes; a new one must be entered here.
MODULES = (scaling_laws, single_cluster)
LAWS = {
    "single_cluster_loss": 3,
    "mean_nearest_distance": 1,
    "nearest_neighbor_loss": 1,
    "nearest_distance_survival": 2,
    "mean_nearest_distance_at_rate": 1,
    "offspring_variance": 1,
    "finite_rate_factor": 1,
    "posterior_constant": 0,
    "zipf_weights": 2,
    "optimal_break_capacity": 1,
    "allocation_shape": 2,
    "model_break_rank": 3,
    "model_scaling_loss": 3,
    "data_scaling_loss": 3,
    "model_exponent": 2,
    "data_exponent": 2,
    "quanta_exponents": 1,
    "manifold_exponents": 2,
}


def test_every_law_is_entered():
    public = {
        name
        for module in MODULES
        for name, f in inspect.getmembers(module, callable)
        if getattr(f, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert public == set(LAWS)


@pytest.mark.parametrize("name", sorted(LAWS))
def test_laws_return_a_number_or_refuse(name, monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 24)
    function = next(getattr(m, name) for m in MODULES if hasattr(m, name))
    some = HOSTILE if LAWS[name] < 3 else HOSTILE[2::2]  # those of three take a millisecond each
    for arguments in itertools.product(some, repeat=LAWS[name]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found = function(*arguments)
            except (ValueError, TypeError, ResourceError):
                continue
        assert np.all(np.isfinite(np.asarray(found, dtype=np.float64))), arguments


@pytest.mark.parametrize("n", [1e9, 1e10, 1e15, 1e300])
def test_one_neighbor_at_large_numbers(n):
    assert float(nearest_neighbor_loss(n)) == pytest.approx(4 / math.sqrt(math.pi * n), rel=1e-8)
    assert float(mean_nearest_distance(n)) == pytest.approx(math.sqrt(2 / n), rel=1e-8)


@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 80.0), (0.5, 200.0), (2.0, 0.3), (1e-17, 0.5)])
def test_discrete_data_law_by_direct_sum(alpha, gamma):
    k = np.arange(1, 4_000_000, dtype=np.float64)
    if alpha < 1e-9:  # nothing is learned from finitely many points of infinitely many equal ranks
        assert float(data_scaling_loss(1e4, alpha, gamma, convention="discrete")) == pytest.approx(
            1
        )
        return
    tail = (k[-1] + 0.5) ** -alpha / alpha
    p = k ** -(1 + alpha) / (np.sum(k ** -(1 + alpha)) + tail)
    rest = 1 - p.sum()
    for t in (1.0, 37.0, 1e4):
        direct = float(np.sum(p * np.maximum(p * t, 1.0) ** -gamma)) + rest
        found = data_scaling_loss(t, alpha, gamma, convention="discrete", normalized=False)
        assert float(found) == pytest.approx(direct, rel=1e-6)
    with pytest.raises(ValueError, match="use the integral convention"):
        data_scaling_loss(1e300, alpha, gamma, convention="discrete")


@pytest.mark.parametrize(
    ("alpha", "gamma"), [(0.3, 2.0), (0.5, 1.0), (0.5, 0.2), (1.5, 0.7), (1.0, 0.5)]
)
def test_data_law_by_quadrature_and_beside_the_published_norm(alpha, gamma):
    aa = alpha / (1 + alpha)

    def integral(t):
        def density(x):
            n = alpha * t * math.exp(-(1 + alpha) * x)
            return alpha * math.exp(-alpha * x) * max(n, 1.0) ** -gamma

        kink = max(math.log(alpha * t) / (1 + alpha), 0.0)
        return quad(density, 0, kink)[0] + quad(density, kink, 60 / alpha, limit=500)[0]

    def formula(t):
        x = alpha * t
        if gamma == aa:
            return (1 + gamma * math.log(x)) * x**-gamma
        return x**-aa / (1 - aa / gamma) + x**-gamma / (1 - gamma / aa)

    for t in (1.5, 3.0, 100.0, 1e4):
        ours = float(data_scaling_loss(t, alpha, gamma, normalized=False))
        assert ours == pytest.approx(integral(t), rel=1e-6)
        if alpha * t >= 1:
            assert ours == pytest.approx(formula(t), rel=1e-12)
            published = formula(t) / formula(1.0)  # its norm is the formula at T = 1
            assert published == pytest.approx(ours / formula(1.0), rel=1e-12)
    if alpha < 1:
        assert float(data_scaling_loss(1 / alpha, alpha, gamma)) == 1.0
    assert float(data_scaling_loss(1e4, 0.5, 1.0)) == pytest.approx(0.08762, rel=1e-3)


def test_model_law_where_the_loss_at_one_vanishes():
    assert float(model_scaling_loss(1.0, 1e10, 50.0, normalized=False)) == 0.0
    with pytest.raises(ValueError, match="normalized=False"):
        model_scaling_loss(0.0, 1e10, 50.0)


@pytest.mark.parametrize("z", [3, 200, 2**31, math.inf])
def test_bethe_laws_stay_finite(z):
    for mean in (0.0, 1e-17, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 2.0, 100.0):
        if not math.isinf(z) and mean > z - 1:
            continue
        lattice = BetheLattice(z, mean_offspring=mean)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for size in (1, 10, 1e9, 1e15, 1e300):
                assert not np.any(np.isnan(lattice.log_site_cluster_size(size)))
            for end in (1, 1e10, 1e15):
                assert 0.0 <= lattice.survival(end) <= 1 + 1e-9
    with pytest.raises(ValueError, match="2\\^31"):
        BetheLattice(1e308)


@pytest.mark.parametrize("e", [1e-3, 1e-6, 1e-9])
def test_cutoff_near_the_threshold(e):
    # 1/s_cut = e^2/2 (z - 1)/(z - 2) to leading order.
    for z, factor in ((math.inf, 1.0), (3, 2.0), (200, 199 / 198)):
        lattice = BetheLattice(z, mean_offspring=1.0 - e)
        assert 1.0 / lattice.cutoff_size == pytest.approx(0.5 * e * e * factor, rel=3 * e + 1e-6)


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8])
def test_records_of_a_sweep_stand_for_their_surroundings(stride):
    lattice = HypercubicLattice(2, 32, periodic=True)
    n = np.arange(0, lattice.n_bonds + 1, stride)
    nothing = np.zeros(n.size)
    made = Sweep(
        lattice, n, nothing.astype(int), nothing, nothing.astype(int), np.zeros((n.size, 2), bool)
    )
    weights = made.weights(0.5)[0]
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ n == pytest.approx(0.5 * lattice.n_bonds, abs=1e-6)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, math.nan, math.inf, "x"])
def test_levels_of_intervals(level):
    size = np.geomspace(10, 1e4, 8)
    loss = np.exp(np.random.default_rng(0).normal(0, 0.05, (5, 8))) * size**-0.5
    for call in (
        lambda: fit_power_law(size, loss, level=level),
        lambda: bootstrap_interval(loss[0], level=level),
    ):
        with pytest.raises((ValueError, TypeError), match="level"):
            call()
    assert (
        fit_power_law(size, loss, n_bootstrap=1e3).interval
        == fit_power_law(size, loss, n_bootstrap=1000).interval
    )
    for wrong in (0, -1, 2.5, True, math.nan):
        with pytest.raises((ValueError, TypeError), match="n_bootstrap"):
            fit_power_law(size, loss, n_bootstrap=wrong)
        with pytest.raises((ValueError, TypeError), match="n_bootstrap"):
            bootstrap_interval(loss[0], n_bootstrap=wrong)


def test_the_nested_form_is_never_behind():
    from percolaw.scaling.forms import compare_forms

    cases = [([10, 30, 100, 300, 1000, 3000], [1.64, 0.21, 0.47, 0.18, 0.07, 0.05])]
    rng = np.random.default_rng(1)
    for _ in range(25):
        x = np.geomspace(10, 1e4, 8)
        cases.append((x, (x ** -rng.uniform(0.1, 1.5) + 0.01) * np.exp(0.3 * rng.normal(size=8))))
    for x, y in cases:
        residual = compare_forms(x, y).residual
        assert residual["power law + offset"] <= residual["power law"] * (1 + 1e-12)


def test_allocations_at_the_ends():
    assert np.all(np.isfinite(optimal_allocation(1e300, 100, 1.0, 0.5)))
    with pytest.raises(ValueError, match="divide by the largest"):
        weighted_allocation(10.0, [1e308, 1e308], 0.5)
    with pytest.raises(ValueError, match="stop"):
        fit.geometric(1, 1e300)


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    import percolaw as pl

    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 22)
    x = np.random.default_rng(0).random((3000, 8))
    for call in (
        lambda: pl.make_manifold("sphere", 100_000, 20),
        lambda: pl.sample_sizes("cluster", 100_000),
        lambda: pl.RandomFeatures(2000).fit(x, x[:, 0]),
        lambda: pl.ReluTeacher(width=20_000).sample(8),
        lambda: pl.FourierTeacher(n_waves=100_000).sample(20),
        lambda: pl.MaternTeacher(n_features=100_000).sample(20),
        lambda: pl.LinearTeacher(1000).sample(10_000),
        lambda: pl.nearest_neighbors(x, x, 1000),
        lambda: pl.optimal_allocation(1e6, 1_000_000, 1.0, 0.5),
        lambda: fit_power_law([1, 10, 100], np.ones((5, 3)) * [1, 0.5, 0.2], n_bootstrap=1e7),
    ):
        with pytest.raises(ResourceError, match="available"):
            call()


def test_memory_of_one_large_cluster(monkeypatch):
    """The points of a cluster are made beside those of all."""
    import percolaw as pl

    def made(available: int) -> None:
        monkeypatch.setattr(checks, "available_memory", lambda: available)
        pl.make_distribution(20_000, 200, n_clusters=1, labels="none")

    points = 4 * 20_000 * 200
    with pytest.raises(ResourceError, match="20000 points in 200 dimensions needs"):
        made(int(1.5 * points))
    made(int(2.5 * points))


@pytest.mark.parametrize("group", ["", "job", "job/step", "job/step/task"])
@pytest.mark.parametrize("version", [2, 1])
def test_limits_of_containers_and_batch_jobs_are_seen(tmp_path, monkeypatch, version, group):
    """The limit is that of the process's group or of one around it; file cache counts as free."""
    (tmp_path / "job/step/task").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (own := tmp_path / "own").write_text(
        f"3:cpu,memory:/{group}\n1:name=systemd:/other\n0::/{group if version == 2 else 'other'}\n"
    )
    _, _, limit, used, cache = resources._CONTROL_GROUPS[2 - version]
    limited = "" if group == "" else "job/step" if "step" in group else "job"
    for place in (limited, "other", "job/step/task"):
        few = "1" if place == "other" else "max" if place != limited else None
        (tmp_path / place / limit).write_text(few or "17179869184")
        (tmp_path / place / used).write_text("17127440384")
        (tmp_path / place / "memory.stat").write_text(f"anon 1\n{cache} 15500000000\n")
    monkeypatch.setattr(resources, "_PROCESS_GROUPS", own)
    kinds = [(str(tmp_path), *kind[1:]) for kind in resources._CONTROL_GROUPS]
    monkeypatch.setattr(resources, "_CONTROL_GROUPS", [kinds[2 - version]])
    assert resources._container_memory() == 17179869184 - 17127440384 + 15500000000


def test_a_limit_on_the_address_space_is_seen():
    import subprocess
    import sys

    code = (
        "import resource as r; r.setrlimit(r.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "from percolaw import checks; print(checks.available_memory())"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 3 << 30


@pytest.mark.parametrize("number", [np.int8(2), np.float16(2.0), np.float32(2.0), np.array(2.0)])
def test_numbers_of_any_type_are_kept_as_plain_ones(number):
    x = np.random.default_rng(0).standard_normal((40, 2))
    for kernel, name in ((pl.Matern, "smoothness"), (pl.NeuralTangent, "bias_scale")):
        np.testing.assert_array_equal(kernel(**{name: number})(x, x), kernel(**{name: 2.0})(x, x))
    assert pl.predicted_exponent(number, number, pl.NearestNeighbors()) == 1.0
    if number.ndim == 0 and not isinstance(number, np.ndarray):
        learner = pl.NearestNeighbors(number).fit(x, x[:, 0])
        np.testing.assert_array_equal(
            learner.predict(x), pl.NearestNeighbors(2).fit(x, x[:, 0]).predict(x)
        )


HUGE = {
    "scaling_curve": lambda x: pl.scaling_curve(
        pl.NearestNeighbors(), x, x[:, 0], [9], n_test=9, n_repeats=1 << 40
    ),
    "learning_curve": lambda x: pl.learning_curve(
        pl.Cube(2), pl.LinearTeacher(), pl.NearestNeighbors(), [9], 1 << 40
    ),
    "Cube": lambda x: pl.Cube(2, 1 << 40).sample(20),
    "nonlinearity": lambda x: pl.nonlinearity(np.sum, 1 << 30),
    "kernels": lambda x: pl.NeuralTangent(1 << 40),
    "networks": lambda x: pl.MLP(1 << 40),
    "transformers": lambda x: pl.Transformer(1 << 40),
    "radii": lambda x: pl.CorrelationDimension(n_radii=1 << 40),
    "neighbours": lambda x: pl.CorrelationDimension(highest=1e300),
}


@pytest.mark.parametrize("name", HUGE)
def test_counts_beyond_memory_are_refused_before_the_work(name):
    with pytest.raises((ResourceError, ValueError), match=r"needs|must be") as caught:
        HUGE[name](np.random.default_rng(0).standard_normal((40, 2)))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("wrong", [None, "3", 1j, math.nan, -1.0, np.ma.masked, [2.0, 3.0]])
def test_exponents_of_what_is_no_number(wrong):
    learner = pl.NearestNeighbors()
    for arguments in ((wrong, 1.0), (4.0, wrong)):
        with pytest.raises((TypeError, ValueError), match=r"the (dimension|order)"):
            pl.predicted_exponent(*arguments, learner)


def test_a_number_that_requires_gradients_is_named():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"smoothness must be a number; got tensor\(0.5"):
        pl.Matern(torch.tensor(0.5, requires_grad=True))
    for wrong in ("3", -math.inf, math.nan):
        with pytest.raises((TypeError, ValueError), match="clip must be"):
            pl.Training(clip=wrong)
    with pytest.raises((TypeError, ValueError), match="max_queries must be"):
        pl.estimate_dimension(np.random.default_rng(0).random((200, 2)), max_queries=-math.inf)
