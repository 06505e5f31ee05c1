"""Neighbours of mistakes and inputs that users met: other order, other file, other door, other option."""

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor
from test_array_doors import KINDS, QUERIES, REAL_KINDS, Kind, X, Y, given_plain, same

import percolaw as pl
from percolaw import checks
from percolaw.cli import main
from percolaw.clusters.brownian import sample_large_cluster
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.points import read_points
from percolaw.dimension.correlation import CorrelationDimension
from percolaw.dimension.mle import MLE
from percolaw.dimension.two_nn import TwoNN
from percolaw.embedding.faithfulness import faithfulness
from percolaw.embedding.two_level import two_level_cloud
from percolaw.errors import DatasetError, ResourceError
from percolaw.laws.allocation import (
    shared_curve_allocation,
    shared_curve_losses,
    weighted_allocation,
)
from percolaw.learners.designs import greedy_kernel_variance
from percolaw.numerics.covariance import Gaussian, Matern, NeuralTangent
from percolaw.numerics.degrees_of_freedom import smoother_trace, stein_divergence
from percolaw.scaling.intervals import bootstrap_interval

torch = pytest.importorskip("torch")


class Frame:
    """What pandas and other libraries of tables offer to NumPy."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x if dtype is None else self.x.astype(dtype)


def quantized(x):
    return torch.quantize_per_tensor(torch.tensor(x, dtype=torch.float32), 0.125, 0, torch.qint32)


MORE_KINDS = {
    "frame": Kind(Frame),
    "frame of objects": Kind(lambda x: Frame(x.astype(object)), "must be"),
    "parameter": Kind(lambda x: torch.nn.Parameter(torch.tensor(x))),
    "quantized": Kind(quantized),
}
EVERY_KIND = {**KINDS, **REAL_KINDS, **MORE_KINDS}
TRAINING = pl.Training(steps=3, learning_rate=0.01)
NETWORK = pl.NeuralRegression(pl.MLP(width=4), TRAINING)
GROUND = np.zeros(130, int), np.array([130])
MODULE = pl.ModuleLearner(torch.nn.Linear(3, 1), steps=2)
#: Trained when they are asked for, not where tests are only collected: PyTorch's optimizers load much.
trained_module = cache(lambda: MODULE.fit(X, Y))
trained_network = cache(lambda: NETWORK.fit(X, Y))
CLASSES = pl.ModuleLearner(torch.nn.Linear(3, 2), loss="log", steps=2)
NEAREST = pl.NearestNeighbors(3).fit(X, Y)


def curve_of(points, values, **options):
    return pl.learning_curve(
        points, values, pl.NearestNeighbors(), [9, 60], 1, n_test=30, **options
    ).loss


DOORS = {
    "NeuralRegression points": (lambda a: NETWORK.fit(a, Y).predict(QUERIES), X),
    "NeuralRegression values": (lambda a: NETWORK.fit(X, a).predict(QUERIES), Y),
    "NeuralRegression queries": (lambda a: trained_network().predict(a), QUERIES),
    "RandomFeatures queries": (pl.RandomFeatures(20).fit(X, Y).predict, QUERIES),
    "Matern": (lambda a: Matern(0.5)(a, QUERIES), X),
    "Gaussian": (lambda a: Gaussian()(QUERIES, a), X),
    "NeuralTangent": (lambda a: NeuralTangent(2)(a, QUERIES), X),
    "MLE": (lambda a: MLE(5).fit(a).dimension_, X),
    "TwoNN": (lambda a: TwoNN().fit(a).dimension_, X),
    "CorrelationDimension": (lambda a: CorrelationDimension().fit(a).dimension_, X),
    "greedy_kernel_variance": (lambda a: greedy_kernel_variance(Matern(0.5), a, 5), X),
    "smoother_trace": (lambda a: smoother_trace(a, [0.5]), X.T @ X),
    "stein_divergence": (lambda a: stein_divergence(lambda y: y, a), Y),
    "bootstrap_interval": (lambda a: bootstrap_interval(a, n_bootstrap=50), Y),
    "weighted_allocation": (lambda a: weighted_allocation(10.0, a, 0.5), np.abs(Y) + 0.125),
    "ModuleLearner values": (lambda a: MODULE.fit(X, a).predict(QUERIES), Y),
    "ModuleLearner queries": (lambda a: trained_module().predict(a), QUERIES),
    "ModuleLearner labels": (lambda a: CLASSES.fit(X, a).predict_proba(QUERIES), (Y > 0.0) + 1.0),
    "LearningCurve losses": (
        lambda a: pl.LearningCurve(np.arange(1, 131), [a]).mean(),
        np.abs(Y) + 1.0,
    ),
    "LearningCurve sizes": (lambda a: pl.LearningCurve(a, [Y]).size, np.arange(130.0)),
    "learning_curve points": (lambda a: curve_of(a, Y), X),
    "groups": (lambda a: curve_of(X, Y, groups=a), np.floor(np.abs(Y))),
    "score": (lambda a: NEAREST.score(X, Y, a), np.abs(Y) + 0.125),
    "to_torch": (lambda a: Dataset(a, Y, *GROUND).to_torch()[3][0].numpy(), X),
}


#: Labels may be text or any integers; what is optional may be None.
MEANT = {("groups", "none"), ("score", "none")} | {
    (name, kind)
    for name in ("groups", "ModuleLearner labels")
    for kind in ("text", "integers beyond 2^53", "unsigned beyond 2^53")
}
PAIRS = [(name, kind) for name in DOORS for kind in EVERY_KIND if (name, kind) not in MEANT]


@pytest.mark.filterwarnings("ignore:torch.quantize", "ignore:The given NumPy array is not writ")
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_further_doors_are_right_or_refuse(name, kind):
    door, array = DOORS[name]
    make, refusal = EVERY_KIND[kind]
    if refusal is None:
        held = np.asarray(checks.array("a", make(array)), dtype=np.float64)
        assert same(door(make(array)), given_plain(name, door, held))
        return
    with pytest.raises((TypeError, ValueError), match=refusal) as caught:
        door(make(array))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr", ".parquet"])
@pytest.mark.parametrize("kind", ["big-endian", "strided", "reversed", "tensor", "frame"])
def test_saved_arrays_come_back(kind, suffix, tmp_path):
    narrow = X.astype(np.float32)
    given = EVERY_KIND[kind].make(narrow), EVERY_KIND[kind].make(Y)
    pl.save(Dataset(*given, *GROUND), tmp_path / f"a{suffix}")
    data = pl.load(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.asarray(data.X), narrow)
    np.testing.assert_array_equal(data.y, Y)


class OwnParameters:
    """Has a `get_params` of its own making."""

    def __init__(self, *layers):
        self.layers = layers

    def get_params(self):
        return {"weights": self.layers}

    def fit(self, points, values):
        assert not hasattr(self, "inner")
        self.inner = KNeighborsRegressor(1).fit(points, values)

    def predict(self, queries):
        return self.inner.predict(queries)


class Changing(OwnParameters):
    """scikit-learn refuses to clone what changes its parameters."""

    def get_params(self, deep=True):
        return {"layers": [*self.layers]}


@pytest.mark.parametrize("learner", [OwnParameters(1, 2), Changing(3)])
def test_learners_whose_parameters_are_not_those_of_scikit_learn(learner):
    curve = pl.scaling_curve(learner, X, Y, [9, 90], n_test=30)
    expected = pl.scaling_curve(KNeighborsRegressor(1), X, Y, [9, 90], n_test=30)
    np.testing.assert_array_equal(curve.loss, expected.loss)
    assert not hasattr(learner, "inner")


COUNTS = {
    "shuffled": np.random.default_rng(1).permutation(130),
    "backwards": np.arange(130)[::-1],
    "from 10": np.arange(130) + 10,
    "every tenth": np.arange(130) * 10 + 7,
}


def write(path, ids, place, name="id"):
    rows = [[repr(float(v)) for v in row] for row in X + 0.01]
    for row, i in zip(rows, ids, strict=True):
        row.insert(place, str(i))
    names = ["a", "b", "c"]
    names.insert(place, name)
    path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    return path


@pytest.mark.parametrize("order", COUNTS)
@pytest.mark.parametrize("place", [0, 3])
def test_an_index_in_another_order_is_refused(order, place, tmp_path):
    path = write(tmp_path / "a.csv", COUNTS[order], place)
    with pytest.raises(
        DatasetError, match=rf"column {place + 1} \(id\) of .* (counts|numbers) the rows"
    ):
        read_points(path, 1000)
    with pytest.warns(UserWarning, match=r"is left out: it is an index \(index\)"):
        points, _ = read_points(write(tmp_path / "b.csv", COUNTS[order], 0, "index"), 1000)
    np.testing.assert_array_equal(points, X + 0.01)


def test_columns_that_may_name_rows_are_said_and_kept(tmp_path):
    keys = np.random.default_rng(0).choice(10**6, 130, replace=False)
    with pytest.warns(UserWarning, match=r"column 4 \(id\) of a.csv has a whole number of its own"):
        assert read_points(write(tmp_path / "a.csv", keys, 3), 1000)[0].shape == (130, 4)
    grid = np.random.default_rng(0).permutation(130)
    (tmp_path / "g.csv").write_text("\n".join(f"{i},{i % 7}" for i in grid) + "\n")
    with pytest.raises(DatasetError, match=r"column 1 of .* numbers the rows"):
        read_points(tmp_path / "g.csv", 1000)


def test_lists_in_parquet_have_their_own_remedy(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"embedding": X.tolist()}), tmp_path / "e.parquet")
    with pytest.raises(DatasetError, match=r"embedding \(list.*table\['embedding'\].to_pylist"):
        read_points(tmp_path / "e.parquet", 1000)


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "percolaw", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_plot_is_drawn_with_a_backend_that_is_here(tmp_path, monkeypatch, capsys):
    rcsetup = pytest.importorskip("matplotlib.rcsetup")
    monkeypatch.setenv("MPLBACKEND", "no-such-backend")
    with pytest.raises(ValueError, match="no-such-backend"):
        rcsetup.validate_backend(os.environ["MPLBACKEND"])
    np.save(tmp_path / "e.npy", X)
    assert main(["estimate-dimension", str(tmp_path / "e.npy")]) == 0
    assert rcsetup.validate_backend(os.environ["MPLBACKEND"]) == "agg"
    assert (tmp_path / "e.npy.dimension.png").is_file()
    said = capsys.readouterr().out
    assert "inf" not in said  # 130 points: no interval
    assert "none" in said


@pytest.mark.slow
def test_the_backend_of_a_notebook_does_not_cost_the_plot(tmp_path):
    pytest.importorskip("matplotlib")
    np.save(tmp_path / "e.npy", X)
    done = command("estimate-dimension", tmp_path / "e.npy", MPLBACKEND="no-such-backend")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "e.npy.dimension.png").is_file()


BIG = np.broadcast_to(np.ones(1), (60_000, 3))
CURVE = np.arange(400.0), np.exp(-np.arange(400.0) / 50)
TOO_MUCH = {
    "kernel": lambda: Matern(0.5)(BIG, BIG),
    "tangent kernel": lambda: NeuralTangent()(BIG, BIG),
    "design": lambda: greedy_kernel_variance(Matern(0.5), BIG, 5000),
    "spectrum": lambda: smoother_trace(np.eye(2000), 1.0),
    "features": lambda: pl.RandomFeatures(400).fit(X, Y).predict(BIG),
    "weights": lambda: weighted_allocation(1.0, BIG[:, 0].repeat(10), 0.5),
    "curves": lambda: pl.numerical_allocation(
        1.0, np.ones(500), CURVE[0], np.tile(CURVE[1], (500, 1))
    ),
    "one curve": lambda: shared_curve_allocation(1.0, BIG[:, 0], *CURVE),
    "losses": lambda: shared_curve_losses([1.0], BIG[:, 0], *CURVE),
    "two levels": lambda: two_level_cloud(1000, 1000, 100, 8),
    "faithfulness": lambda: faithfulness(TREE, np.random.default_rng(0).random((30_000, 2))),
    "span": lambda: TREE.span(np.arange(0, 30_000, 1).repeat(20)),
    "dimension": lambda: pl.estimate_dimension(np.random.default_rng(0).random((20_000, 20))),
    "decimation": lambda: MLE().fit(np.random.default_rng(0).random((20_000, 20))),
}
TREE = pl.conditioned_clusters(30_000, rng=0)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_memory_is_refused_before_it_is_taken(name, monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 16 << 20)
    with pytest.raises(ResourceError, match=r"needs .* of memory and 16 MiB are available\. \w+"):
        TOO_MUCH[name]()


def test_a_beginning_of_a_sample_is_the_shorter_sample():
    for size in (np.inf, 10**6):
        short, part = (
            sample_large_cluster(50, size, 3),
            sample_large_cluster(400, size, 3).beginning(50),
        )
        for field in ("ends", "glue", "owner"):
            np.testing.assert_array_equal(getattr(part, field), getattr(short, field))
        np.testing.assert_array_equal(pl.embed_sampled(part, 5, 1), pl.embed_sampled(short, 5, 1))


def test_neighbours_averaged_in_blocks_are_those_of_one_block(monkeypatch):
    learner = pl.NearestNeighbors(7).fit(X, np.stack([Y, Y**2], axis=1))
    whole = learner.predict(QUERIES)
    monkeypatch.setattr("percolaw.numerics.covariance.BLOCK_ELEMENTS", 30)
    np.testing.assert_array_equal(learner.predict(QUERIES), whole)


def test_an_embedding_with_gaps_is_refused():
    points = np.random.default_rng(0).random((30_000, 2))
    points[3, 1] = np.nan
    with pytest.raises(ValueError, match="points holds NaN or infinity"):
        faithfulness(TREE, points)
