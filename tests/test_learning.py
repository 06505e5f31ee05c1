"""Source x target x learner x sizes x seeds = a learning curve beside its prediction."""

import dataclasses
import math

import numpy as np
import pytest

import percolaw as pl
from percolaw.learning import learning_curve, order_limit, predicted_exponent, predicted_losses
from percolaw.numerics.covariance import Gaussian, Matern, NeuralTangent

SIZES = (30, 100, 300)


def test_every_seed_has_points_and_a_target_of_its_own():
    curve = learning_curve(pl.Cube(2), pl.MaternTeacher(0.5), pl.NearestNeighbors(), SIZES, seeds=3)
    assert curve.loss.shape == (3, 3)
    assert np.unique(curve.loss).size == 9
    more = learning_curve(pl.Cube(2), pl.MaternTeacher(0.5), pl.NearestNeighbors(), SIZES, seeds=4)
    assert np.array_equal(more.loss[:3], curve.loss)
    other = learning_curve(
        pl.Cube(2), pl.MaternTeacher(0.5), pl.NearestNeighbors(), SIZES, seeds=3, rng=1
    )
    assert not np.intersect1d(other.loss, curve.loss).size


@pytest.mark.parametrize(
    ("source", "target", "learner", "exponent"),
    [
        (pl.Cube(1), pl.LinearTeacher(), pl.NearestNeighbors(), 2.0),
        (pl.InfiniteCluster(16), pl.LinearTeacher(), pl.NearestNeighbors(), 0.5),
        (pl.Cube(2), pl.MaternTeacher(0.5), pl.NearestNeighbors(), 0.5),
        (pl.Cube(2), pl.MaternTeacher(0.5), pl.KernelRegression(Matern(0.5)), 0.5),
        (pl.Cube(2), pl.MaternTeacher(1.5), pl.KernelRegression(Matern(1.5)), 1.5),
    ],
    ids=str,
)
def test_the_prediction_is_what_is_measured(source, target, learner, exponent):
    sizes = pl.geometric(50, 1000, 7)
    curve = learning_curve(source, target, learner, sizes, seeds=4, n_test=400)
    assert curve.predicted_exponent == pytest.approx(exponent)
    assert curve.fit().exponent == pytest.approx(exponent, rel=0.2)
    # A target that is rougher than it says is found out.
    liar = dataclasses.replace(curve, predicted_exponent=2 * exponent)
    assert abs(liar.fit().exponent / liar.predicted_exponent - 1) > 0.2


@pytest.mark.parametrize(
    "learner", [pl.NearestNeighbors(), pl.KernelRegression(Matern(0.5))], ids=["1-NN", "kernel"]
)
@pytest.mark.parametrize("n_outputs", [1, 8])
def test_the_predicted_curve_is_that_of_all_outputs(learner, n_outputs):
    """Losses are over the mean of the outputs' own variances: that their means differ says nothing."""
    target = pl.MaternTeacher(0.5, n_outputs=n_outputs)
    curve = learning_curve(
        pl.Cube(2), target, learner, [30, 100], seeds=60 // n_outputs, n_test=300
    )
    assert curve.loss.mean(axis=0) == pytest.approx(curve.predicted, rel=0.15)


def test_a_target_that_does_not_vary_is_refused():
    flat = pl.ReluTeacher(1, 3, weight_scale=0.0, bias_scale=0.0)
    with pytest.raises(ValueError, match="is constant, or not finite, on points of cube 2"):
        learning_curve(pl.Cube(2), flat, pl.NearestNeighbors(), SIZES)


@pytest.mark.parametrize(
    ("source", "target", "learner", "expected"),
    [
        (pl.Cube(3), pl.ReluTeacher(), pl.KernelRegression(NeuralTangent(2)), 1.0),
        (pl.Cube(1), pl.MaternTeacher(2.5), pl.KernelRegression(NeuralTangent(2)), 3.0),
        (pl.Cube(1), pl.LinearTeacher(), pl.KernelRegression(Matern(0.5)), 3.0),
        (pl.Cube(3), pl.LinearTeacher(), pl.KernelRegression(Gaussian()), None),
        (pl.Cube(3), pl.LinearTeacher(), object(), None),
        (pl.Cube(3), pl.MaternTeacher(), pl.KernelRegression(Matern(0.5), ridge=0.1), None),
        (pl.Cube(3), pl.MaternTeacher(), pl.KernelRegression(Matern(0.5), ridge=[0.0, 0.1]), None),
    ],
)
def test_predictions_know_the_learner(source, target, learner, expected):
    found = predicted_exponent(source, target, learner)
    assert found == (None if expected is None else pytest.approx(expected))
    assert order_limit(object(), 3.0) is None


def test_a_learner_of_ones_own_says_its_limit():
    class Mine(pl.NearestNeighbors):
        def order_limit(self, dimension):
            return 1.5

    assert predicted_exponent(3.0, math.inf, Mine()) == 0.5
    assert predicted_exponent(3.0, 1.0, Mine()) == pytest.approx(1 / 3)
    assert order_limit(pl.NeuralRegression(), 3.0) == 5.0


def test_own_data_are_a_source_too(tmp_path):
    x = np.random.default_rng(0).random((700, 2))
    y = np.sin(5 * x[:, 0])
    np.save(tmp_path / "x.npy", x)
    one = learning_curve(x, y, pl.NearestNeighbors(), SIZES, seeds=2, n_test=300)
    two = learning_curve(tmp_path / "x.npy", y, pl.NearestNeighbors(), SIZES, seeds=2, n_test=300)
    same = pl.scaling_curve(pl.NearestNeighbors(), x, y, SIZES, n_repeats=2, n_test=300)
    assert np.array_equal(one.loss, two.loss)
    assert np.array_equal(one.loss, same.loss)
    assert one.predicted_exponent is None
    drawn = learning_curve(
        pl.PointFile(str(tmp_path / "x.npy")),
        pl.LinearTeacher(),
        pl.NearestNeighbors(),
        SIZES,
        2,
        n_test=300,
    )
    assert drawn.loss.shape == (2, 3)
    with pytest.raises(ValueError, match="700 points and there are 600 labels"):
        learning_curve(tmp_path / "x.npy", y[:600], pl.NearestNeighbors(), SIZES)


def test_what_does_not_fit_together_is_refused():
    x = np.random.default_rng(0).random((700, 2))
    with pytest.raises(TypeError, match="must be a family of teachers"):
        learning_curve(pl.Cube(2), x[:, 0], pl.NearestNeighbors(), SIZES)
    with pytest.raises(TypeError, match="needs them as a source"):
        learning_curve(x, pl.LinearTeacher(), pl.NearestNeighbors(), SIZES)
    with pytest.raises(TypeError, match="fit"):
        learning_curve(pl.Cube(2), pl.LinearTeacher(), object(), SIZES)
    with pytest.raises(ValueError, match="rise strictly"):
        learning_curve(pl.Cube(2), pl.LinearTeacher(), pl.NearestNeighbors(), (30, 30))
    for source, target, message in (
        ("cube 2", pl.MaternTeacher(), "a source is an object, such as"),
        (pl.Cube, pl.MaternTeacher(), r"source is the class Cube; make one: Cube\(\.\.\.\)"),
        (pl.Cube(2), pl.MaternTeacher, "got <class .*MaternTeacher"),
        (
            pl.make_cluster(50, dim=4, rng=0),
            pl.MaternTeacher(),
            r"learning_curve\(data\.X, data\.y",
        ),
    ):
        with pytest.raises(TypeError, match=message):
            pl.learning_curve(source, target, pl.NearestNeighbors(), [10, 20, 40])
    with pytest.raises(TypeError, match="takes the learner third"):
        learning_curve(pl.NearestNeighbors(), x, x[:, 0], SIZES)
    with pytest.raises(TypeError, match="takes the learner first"):
        pl.scaling_curve(x, x[:, 0], pl.NearestNeighbors(), SIZES)


def test_a_predicted_curve_stands_beside_the_measured_one():
    """Where theory has one, given how much the functions drawn vary."""
    sizes, source = [30, 300], pl.Cube(2)
    for learner in (pl.NearestNeighbors(2), pl.KernelRegression(pl.Matern(0.5))):
        curve = learning_curve(source, pl.MaternTeacher(0.5), learner, sizes, 4, n_test=200)
        np.testing.assert_allclose(curve.mean("mean") / curve.predicted, 1.0, atol=0.35)
        again = learning_curve(source, pl.MaternTeacher(0.5), learner, sizes, 4, n_test=200)
        np.testing.assert_array_equal(curve.predicted, again.predicted)
    none = [
        learning_curve(source, pl.MaternTeacher(), pl.RandomFeatures(20), sizes, 1, n_test=50),
        learning_curve(source, pl.FourierTeacher(), pl.NearestNeighbors(), sizes, 1, n_test=50),
        learning_curve(
            source, pl.LinearTeacher(), pl.NearestNeighbors(), sizes, 1, loss="absolute"
        ),
    ]
    assert [one.predicted for one in none] == [None] * 3
    assert none[2].predicted_exponent is None, "the exponent is that of the squared loss"
    several = pl.KernelRegression(ridge=(0.1, 1.0))
    assert predicted_losses(pl.MaternTeacher(), several) is None
    assert predicted_losses(pl.MaternTeacher(), pl.KernelRegression(ridge=[0.1])) is not None


def test_exponents_from_numbers_and_reports():
    x = pl.make_manifold("cube", 1000, intrinsic_dim=2, rng=0).X
    report = pl.estimate_dimension(x)
    neighbors = pl.NearestNeighbors()
    assert pl.predicted_exponent(report, 1.0, neighbors) == 1.0 / report.dimension
    assert pl.predicted_exponent(4, np.inf, neighbors) == 0.5
    assert pl.predicted_exponent(4.0, pl.MaternTeacher(0.5), pl.KernelRegression()) == 0.25
    assert pl.predicted_exponent(4.0, 1.0, object()) is None
    with pytest.raises(ValueError, match="the dimension must be"):
        pl.predicted_exponent(0.0, 1.0, neighbors)
