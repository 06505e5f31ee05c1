"""Sources and targets as objects: words read in one place, keys that never change, known dimensions."""

import dataclasses

import numpy as np
import pytest

from percolaw.datasets.source import file_digest
from percolaw.datasets.sources import (
    Cube,
    FiniteCluster,
    InfiniteCluster,
    LatticeCluster,
    Manifold,
    PointFile,
    parse_source,
)
from percolaw.rng import Streams
from percolaw.scaling import fit
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.families import parse_target, standardized_values
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher

SOURCES = {
    "cluster d = 16": (InfiniteCluster(16), 4.0),
    "cluster d = 3": (InfiniteCluster(3), 3.0),
    "finite cluster d = 8": (FiniteCluster(8), 4.0),
    "finite cluster d = 8, n_sites = 5000, steps = sphere": (
        FiniteCluster(8, 5000, steps="sphere"),
        4.0,
    ),
    "cube 3": (Cube(3), 3.0),
    "masked cube 4": (Cube(4, 20), 4.0),
    "masked cube 4 in 9": (Cube(4, 9), 4.0),
    "sphere 2 x cube 1": (Manifold(), 3.0),
    "manifold swiss-roll 2": (Manifold((("swiss-roll", 2),)), 2.0),
    "lattice d = 2, 1.3 p_c": (LatticeCluster(2, 1.3), 2.0),
    "lattice d = 3, p_c": (LatticeCluster(3), 2.52293),
}
TARGETS = {
    "linear": LinearTeacher(),
    "Fourier": FourierTeacher(),
    "ReLU 8 x 16": ReluTeacher(8, 16),
    "ReLU 2 x 600, no biases": sharma_kaplan_teacher(),
    "Matérn 0.5": MaternTeacher(0.5),
    "Matérn 2.5": MaternTeacher(2.5),
}


@pytest.mark.parametrize("word", SOURCES)
def test_words_and_sources_are_one_to_one(word):
    source, dimension = SOURCES[word]
    assert parse_source(word) == source
    assert source.word == word
    assert source.dimension == pytest.approx(dimension)
    assert source.key == tuple(word.encode())  # the random stream: never another


@pytest.mark.parametrize("word", SOURCES)
def test_samples_have_the_points_asked_for(word):
    source, dimension = SOURCES[word]
    data = source.sample(120, Streams(3))
    again = source.sample(120, Streams(3))
    assert len(data) == 120
    assert np.array_equal(data.X, again.X)
    assert not np.array_equal(data.X, source.sample(120, Streams(4)).X)
    assert np.unique(data.X, axis=0).shape == data.X.shape
    assert data.truth["dimension"] == pytest.approx(dimension)
    assert not data.y.any()
    inputs = source.inputs(120, Streams(3))
    assert inputs.dtype == np.float64
    assert np.mean(np.sum(inputs**2, axis=1)) == pytest.approx(inputs.shape[1])


@pytest.mark.parametrize("word", ["cluster d = 3", "cube 3", "masked cube 4", "sphere 2 x cube 1"])
def test_estimators_find_the_dimension(word):
    from percolaw.dimension.mle import MLE
    from percolaw.dimension.two_nn import TwoNN

    source, dimension = SOURCES[word]
    x = source.inputs(1500, Streams(1))
    for estimator in (TwoNN(5), MLE(5)):
        assert estimator.fit(x).dimension_ == pytest.approx(dimension, abs=0.5)
    if x.shape[1] > dimension:  # points that fill their columns are told from these
        cloud = np.random.default_rng(0).standard_normal(x.shape)
        assert TwoNN(5).fit(cloud).dimension_ > dimension + 0.5


@pytest.mark.parametrize("d", [1, 3, 20])
def test_masked_coordinates_are_constant(d):
    centred, unit = Cube(d, 20).sample(200, Streams(3)).X, Cube(d).sample(200, Streams(3)).X
    np.testing.assert_array_equal(centred[:, :d], unit - np.float32(0.5))
    assert not centred[:, d:].any()
    assert 0.0 <= unit.min() < 0.1 < 0.9 < unit.max() <= 1.0
    x = Cube(d, 20).inputs(200, Streams(3))
    constant = np.ptp(x, axis=0) == 0.0
    assert constant.sum() == 20 - d
    assert not constant[:d].any()
    bare = Cube(d).inputs(200, Streams(3))
    np.testing.assert_allclose(x[:, :d], bare * np.sqrt(20 / d), atol=1e-6)


def test_equal_provenance_is_equal_data():
    """What differs in the points differs in what is written of their origin."""
    seen = {}
    for source in (
        *(s for s, _ in SOURCES.values()),
        FiniteCluster(8, 6001),
        LatticeCluster(3, 1.2),
    ):
        origin = str(source.sample(60, Streams(3)).provenance)
        assert origin not in seen, (source, seen[origin])
        seen[origin] = source


def test_a_label_is_no_seed():
    class Renamed(InfiniteCluster):
        label = "the cluster of everything"

    renamed = Renamed(16)
    assert str(renamed) == "the cluster of everything"
    assert renamed.key == InfiniteCluster(16).key
    assert np.array_equal(renamed.sample(50, 1).X, InfiniteCluster(16).sample(50, 1).X)


@pytest.mark.parametrize(
    "word",
    [
        *("cluster", "cluster d = 0", "cluster d = 1.5", "cube", "cube -1", "masked cube 21"),
        *("lattice d = 9, p_c", "lattice d = 3, 0.9 p_c", "finite cluster d = 8, colour = 3"),
        *("sphere 2 x", "klein 2 x cube 1", "", "file /nowhere/at/all.npy"),
    ],
)
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match=r"points"):
        parse_source(word)


def test_a_finite_cluster_gives_every_site_once():
    data = FiniteCluster(8, 200).sample(200, 5)
    assert np.unique(data.X, axis=0).shape[0] == 200
    with pytest.raises(ValueError, match="200 sites has no 201 different"):
        FiniteCluster(8, 200).sample(201)
    # The same cluster, whole and in parts.
    part = FiniteCluster(8, 20_000).sample(40, 5)
    same = FiniteCluster(8).sized_for(200).sample(40, 5)
    assert np.array_equal(part.X, same.X)
    assert InfiniteCluster(8).sized_for(200) == InfiniteCluster(8)


def test_own_files_are_sources(tmp_path):
    x = np.random.default_rng(0).random((50, 3))
    file = tmp_path / "mine.npy"
    np.save(file, x)
    source = parse_source(str(file))
    assert isinstance(source, PointFile)
    assert source.dimension is None
    assert source.label == "mine.npy"
    assert parse_source(source.word) == source
    assert parse_source(f"file {file}") == source
    sample = source.sample(30, 1).X
    rows = {tuple(row) for row in np.asarray(x, sample.dtype)}
    assert {tuple(row) for row in np.asarray(sample)} <= rows
    assert np.unique(sample, axis=0).shape[0] == 30
    with pytest.raises(ValueError, match="50 rows, fewer than the 60"):
        source.sample(60)
    np.save(file, x + 1)
    with pytest.raises(ValueError, match="is not the file it was"):
        source.sample(30)
    assert PointFile(str(file)).key != source.key


def test_own_folders_are_sources(tmp_path):
    import percolaw as pl

    folder = tmp_path / "cloud.zarr"
    pl.save(pl.make_cluster(40, 5), folder)
    source = parse_source(str(folder))
    assert source.sample(20).X.shape == (20, 5)
    (folder / "more.txt").write_text("more")
    assert file_digest(folder) != source.digest


@pytest.mark.parametrize("word", TARGETS)
def test_words_and_targets_are_one_to_one(word):
    target = TARGETS[word]
    assert parse_target(word) == target
    assert target.word == word
    assert target.key == tuple(word.encode())


@pytest.mark.parametrize("typed", ["matern 0.5", "RELU 8 X 16", "fourier", "Linear"])
def test_targets_may_be_typed_in_small_letters_and_capitals(typed):
    """What is kept is the word itself, which keys the random streams."""
    assert parse_target(typed).word in ("Matérn 0.5", "ReLU 8 x 16", "Fourier", "linear")


def test_different_targets_have_different_words():
    several = [
        *TARGETS.values(),
        FourierTeacher(7),
        FourierTeacher(low=0.1),
        ReluTeacher(8, 16, bias_scale=0.5),
        ReluTeacher(8, 16, bias_scale=0.0),
        MaternTeacher(0.5, 2.0),
        SumTeacher((LinearTeacher(), MaternTeacher(0.5))),
        SumTeacher((LinearTeacher(), MaternTeacher(0.5)), weights=(1.0, 2.0)),
        ProductTeacher((LinearTeacher(), MaternTeacher(0.5))),
    ]
    assert len({target.word for target in several}) == len(several)


@pytest.mark.parametrize(
    "word", ["Matérn 0", "Matérn -1", "ReLU 0 x 5", "relu", "Fourier 3", "any"]
)
def test_other_targets_are_refused(word):
    with pytest.raises(ValueError, match="teacher"):
        parse_target(word)


def test_what_a_target_gives_depends_on_no_other():
    x = Cube(2).inputs(80, 0)
    both = standardized_values([MaternTeacher(0.5), LinearTeacher()], x, Streams(1))
    alone = standardized_values([LinearTeacher()], x, Streams(1))
    assert np.array_equal(both[:, 1:], alone)
    assert both.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert both.std(axis=0) == pytest.approx(1.0)
    waves = standardized_values([MaternTeacher(0.5), LinearTeacher()], x, Streams(1), n_waves=64)
    assert np.array_equal(waves[:, 1], both[:, 1])
    assert not np.allclose(waves[:, 0], both[:, 0])


# --- the order that a target states is the order that a learner measures ---------------------------


def measured_order(target, n_seeds=3, n_draws=2):
    """D times the exponent of a kernel student on a square, as rough as the target says it is."""
    from percolaw.learners.kernel import nested_curve
    from percolaw.numerics.covariance import Matern
    from percolaw.scaling import fit

    n = fit.geometric(70, 700, 6)
    kernel = Matern(min(target.approximation_order, 5.0) / 2.0, 1.0)  # half-integers are fast
    losses = []
    for seed in range(n_seeds):
        streams = Streams(seed)
        x = Cube(2).inputs(int(n[-1]) + 300, streams)
        draws = [standardized_values([target], x, streams.child(i)) for i in range(n_draws)]
        y = np.concatenate(draws, axis=1)
        curve = nested_curve(kernel, x[300:], y[300:], x[:300], n)
        losses.append(np.mean((curve.prediction - y[:300]) ** 2, axis=(1, 2)))
    return 2.0 * fit.fit_power_law(n, np.array(losses)).exponent


@dataclasses.dataclass(frozen=True)
class Wrong(MaternTeacher):
    """A target that claims an order it has not."""

    claimed: float = 1.0

    @property
    def approximation_order(self):
        return self.claimed


FAMILIES = [
    *TARGETS.values(),
    SumTeacher((LinearTeacher(), MaternTeacher(0.5))),
    ProductTeacher((LinearTeacher(), LinearTeacher())),
]


def agrees(target):
    order = target.approximation_order
    measured = measured_order(target)
    # Analytic functions have what the student has: 5 and more. Orders fall short of their limit by what
    # the few sizes of a test leave; a wrong one is off by 1.
    return measured > 4.0 if order > 4 else abs(measured / order - 1.0) < 0.25


@pytest.mark.parametrize("target", FAMILIES, ids=str)
def test_the_order_that_is_stated_is_measured(target):
    assert agrees(target)


@pytest.mark.parametrize(("smoothness", "claimed"), [(0.5, 3.0), (1.5, 1.0), (1.5, 9.0)])
def test_a_wrong_order_is_found_out(smoothness, claimed):
    assert not agrees(Wrong(smoothness, claimed=claimed))


def correlation_slope(x, low, high):
    """Slope of log of the pairs nearer than r, between two radii."""
    from scipy.spatial import cKDTree

    r = np.geomspace(low, high, 8)
    tree = cKDTree(x)
    pairs = tree.count_neighbors(tree, r) - x.shape[0]
    return fit.log_slopes(r, [pairs])[0]


@pytest.mark.parametrize(
    ("name", "d", "low", "high"),
    [
        ("lattice d = 2, 1.3 p_c", 2, 1.8, 2.05),
        ("lattice d = 2, p_c", 2, 1.65, 2.0),
        ("lattice d = 3, p_c", 3, 2.1, 2.75),
        ("lattice d = 3, 1.3 p_c", 3, 2.75, 3.1),
    ],
)
def test_points_of_lattices(name, d, low, high):
    x = parse_source(name).inputs(3000, Streams(1))
    assert x.shape == (3000, d)
    assert x.dtype == np.float64
    assert np.unique(x, axis=0).shape[0] == 3000, "sites are drawn without replacement"
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-12)
    assert np.mean(x**2) == pytest.approx(1.0)
    # One scale for all axes: differences are whole numbers of it.
    step = np.concatenate([np.diff(np.unique(np.round(c, 9))) for c in x.T])
    scale = step.min()
    np.testing.assert_allclose(step / scale, np.rint(step / scale), atol=1e-3)
    assert low < correlation_slope(x, 0.15, 0.6) < high
    np.testing.assert_array_equal(parse_source(name).inputs(3000, Streams(1)), x)
    assert np.any(parse_source(name).inputs(3000, Streams(2)) != x)
