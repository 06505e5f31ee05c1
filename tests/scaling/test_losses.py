"""`scaling_curve` with the learners that people bring: columns, state, tensors, no learner at all."""

import threading
import types
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

import percolaw as pl
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import fit_power_law

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
Y = X @ [1.0, 2.0, 3.0]
SIZES = [10, 40, 160]


def curve(learner, x=X, y=Y, sizes=SIZES, **options):
    return pl.scaling_curve(learner, x, y, sizes, **{"n_test": 100, "n_repeats": 3, **options})


RIGHT = curve(pl.NearestNeighbors()).loss


class Wrapped:
    """1-NN whose predictions are changed on their way out."""

    def __init__(self, change):
        self.change = change

    def fit(self, points, values):
        self.inner = pl.NearestNeighbors().fit(points, values)
        return self

    def predict(self, queries):
        return self.change(self.inner.predict(queries))


def as_tensor(p):
    torch = pytest.importorskip("torch")
    return torch.tensor(p, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    "change",
    [lambda p: p, lambda p: p[:, None], list, lambda p: p.astype(">f8"), as_tensor],
    ids=["as it is", "column", "list", "big-endian", "tensor with gradients"],
)
def test_predictions_that_mean_the_same_give_the_same_curve(change):
    np.testing.assert_allclose(curve(Wrapped(change)).loss, RIGHT, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda p: p[None],
            ValueError,
            r"for n = 10, repeat 0, must have shape \(100,\); got \(1, 10",
        ),
        (lambda p: np.outer(p, p), ValueError, r"must have shape \(100,\); got \(100, 100\)"),
        (lambda p: p[:-1], ValueError, r"must have shape \(100,\); got \(99,\)"),
        (lambda p: p.mean(), ValueError, r"must have shape \(100,\); got \(\)"),
        (lambda p: p * np.nan, ValueError, "n = 10, repeat 0: 100 of 100 are NaN or infinite"),
        (lambda p: np.ma.masked_less(p, 0), ValueError, "masked value"),
        (lambda p: p.astype(str), TypeError, "must be numeric"),
        (lambda p: None, TypeError, "must be numeric; got None"),
    ],
)
def test_other_predictions_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        curve(Wrapped(change))


class Memory:
    """Remembers every point it ever saw."""

    def __init__(self):
        self.seen = {}

    def fit(self, points, values):
        self.seen.update((row.tobytes(), v) for row, v in zip(points, values, strict=True))

    def predict(self, queries):
        return [self.seen.get(row.tobytes(), 0.0) for row in queries]


def test_a_learner_that_keeps_state_scores_as_a_fresh_one():
    given = Memory()
    found = curve(given).loss
    assert given.seen == {}
    np.testing.assert_array_equal(found, curve(lambda: Memory()).loss)
    assert (found > 0.9).all()  # it has seen none of the test points
    leaky = Memory()  # control: one object for all repeats is noticed by this very number
    leaky.fit(X, Y)
    assert np.mean((np.array(leaky.predict(X)) - Y) ** 2) == 0.0


def test_warm_starts_and_the_caller_s_object():
    options = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm = curve(MLPRegressor(warm_start=True, **options), sizes=[40, 160]).loss
        cold = curve(MLPRegressor(**options), sizes=[40, 160]).loss
    np.testing.assert_array_equal(warm, cold)
    mine = KNeighborsRegressor(1)
    np.testing.assert_allclose(curve(mine).loss, RIGHT, rtol=1e-12)
    assert not hasattr(mine, "n_samples_fit_")


def test_data_are_not_changed_by_a_learner_that_writes_into_them():
    class Writer(Memory):
        def fit(self, points, values):
            points += 1.0
            values[:] = 0.0

        def predict(self, queries):
            queries *= 0.0
            return queries[:, 0]

    x, y = X.copy(), Y.copy()
    curve(Writer(), x, y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


class Locked(Memory):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Lazy(Memory):
    def __deepcopy__(self, memo):
        return self


ONE = Memory()


class NoPredict:
    def fit(self, points, values):
        return "done"


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (
            KNeighborsRegressor,
            r"got the class KNeighborsRegressor. Pass KNeighborsRegressor\(...\)",
        ),
        (3, r"learner must have fit\(points, values\) and predict.*got 3 \(int\)"),
        (None, r"learner must have fit.*got None"),
        (types.SimpleNamespace(predict=len), "learner must have fit"),
        (lambda a: a, "or be a function of no arguments that makes such an object"),
        (lambda: 4, r"must make an object with fit.*it gave 4 \(int\)"),
        (lambda: Memory, "must make an object with fit"),
        (lambda: ONE, "gave the same object again"),
        (Locked(), r"this Locked cannot be copied.*Pass a function that makes one"),
        (Lazy(), "copying this Lazy gives itself"),
        (
            NoPredict(),
            r"fit must return something with predict.*NoPredict.fit returned 'done' \(str\)",
        ),
    ],
)
def test_what_is_no_learner(learner, message):
    with pytest.raises((TypeError, ValueError), match=message):
        curve(learner)


def test_a_module_without_fit():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"Linear is a torch module.*ModuleLearner\(module\)"):
        curve(torch.nn.Linear(3, 1))


def test_a_function_is_called_for_every_fit():
    made = []

    def make():
        made.append(Locked())
        return made[-1]

    curve(make)
    assert len(made) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.ones(600)}, "all 100 test values of repeat 0 are equal"),
        ({"y": Y * 1e-200}, "whose square is outside of float64. Rescale"),
        ({"y": Y * 1e200}, "whose square is outside of float64. Rescale"),
        ({"n_test": 1}, r"n_test must be in \[2, inf\]; got 1"),
        ({"n_test": -5}, r"n_test must be in \[2, inf\]; got -5"),
        ({"n_repeats": 0}, "n_repeats must be in"),
        ({"sizes": [10, 10]}, "rise strictly"),
        ({"sizes": 10}, "rise strictly"),
        ({"sizes": [1.5]}, "sizes must be integers"),
        ({"sizes": [np.nan]}, "sizes must be integers"),
        ({"sizes": [1e300]}, r"below 2\^63"),
        ({"sizes": [501]}, "need 601 points; got 600"),
        ({"x": X[:, 0]}, r"points must have shape \(n, d\)"),
        ({"x": np.where(X > 3, np.nan, X)}, "points hold NaN or infinity"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_fit(change, message):
    class Never(Memory):
        def fit(self, points, values):
            raise AssertionError("fitted")

    with pytest.raises(ValueError, match=message):
        curve(Never(), **change)


def test_numbers_that_count_as_integers():
    np.testing.assert_array_equal(
        curve(pl.NearestNeighbors(), n_test=1e2, n_repeats=3.0).loss, RIGHT
    )
    assert np.isfinite(curve(pl.NearestNeighbors(), sizes=[1, 2]).loss).all()


def test_several_outputs():
    both = np.stack([Y, np.sin(Y)], axis=1)
    found = curve(pl.NearestNeighbors(), y=both).loss
    first, second = (curve(pl.NearestNeighbors(), y=both[:, j]).loss for j in (0, 1))
    assert (np.minimum(first, second) <= found).all()
    assert (found <= np.maximum(first, second)).all()
    np.testing.assert_allclose(  # a column twice is that column
        curve(pl.NearestNeighbors(), y=np.stack([Y, Y], axis=1)).loss, RIGHT, rtol=1e-12
    )
    np.testing.assert_array_equal(curve(pl.NearestNeighbors(), y=Y[:, None]).loss, RIGHT)
    with pytest.raises(ValueError, match=r"must have shape \(100, 2\); got \(100,\)"):
        curve(Wrapped(lambda p: p[:, 0]), y=both)


def test_class_labels_are_said_to_be_taken_as_numbers():
    labels = RNG.integers(0, 8, 600)
    with pytest.warns(UserWarning, match=r"8 different whole numbers.*pass loss='0-1' or"):
        curve(pl.NearestNeighbors(), y=labels)
    with pytest.warns(UserWarning, match=r"LogisticRegression predicts classes"):
        curve(LogisticRegression(), y=labels > 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve(pl.NearestNeighbors(), y=np.eye(8)[labels])
        curve(pl.NearestNeighbors(), y=labels > 3)
        curve(pl.NearestNeighbors(), y=labels, loss="squared")
        curve(pl.NearestNeighbors())


def test_a_fit_of_few_repeats_says_so():
    loss = np.array([[1.0, 0.5, 0.1], [1.1, 0.5, 0.1], [1.2, 0.5, 0.1]])
    sizes = [10, 30, 100]
    assert "inf" not in str(fit_power_law(sizes, loss[:2]))
    assert "(an interval needs 3 or more repeats)" in str(fit_power_law(sizes, loss[:1]))
    assert "[" in str(fit_power_law(sizes, loss))
    few = pl.estimate_dimension(X[:150]).estimates
    assert all("an interval needs 400 points" in str(e) for e in few.values())


# --- what a curve says ---------------------------------------------------------------------------


def power_laws(exponents, size=None):
    """Two or more seeds with these exponents, on sizes of three decades."""
    size = np.geomspace(1.0, 1e3, 10) if size is None else size
    return LearningCurve(size, np.array([2.0 * size**-e for e in exponents]))


def test_windows_of_upper_decades():
    curve = power_laws([0.5])
    assert curve.upper(1.0) == pytest.approx((100.0, 1000.0))
    assert curve.upper(5.0) == (1.0, 1000.0), "no more than there is"
    assert curve.within(curve.upper(1.0)).size.size == 4


def test_slopes_seed_by_seed():
    curve = power_laws([0.3, 0.5])
    np.testing.assert_allclose(curve.slopes(), [0.3, 0.5])
    np.testing.assert_allclose(curve.slopes((10.0, 1000.0)), [0.3, 0.5])
    curve.loss[1, -2:] = np.nan
    assert np.isnan(curve.slopes()[1])
    alone = [one.slopes()[0] for one in curve.seeds()]
    np.testing.assert_allclose(alone, [0.3, 0.5], err_msg="each on the sizes it has")
    usable = LearningCurve(curve.size, curve.loss, curve.size > 500.0)
    assert all(np.isnan(one.slopes()[0]) for one in usable.seeds()), "two sizes are left"


def test_power_laws_beside_a_curve():
    curve = power_laws([0.4, 0.6])
    beside = curve.beside_power_law(0.5)
    np.testing.assert_allclose(beside.predicted, curve.mean())
    assert beside.predicted_slope((10.0, 1000.0)) == pytest.approx(0.5)
    # Through the middle of the window, whatever is outside.
    curve.loss[:, :3] *= 100.0
    steep = curve.beside_power_law(1.0, (10.0, 1000.0))
    inside = curve.size >= 10.0
    middle = np.log(curve.mean()[inside] / steep.predicted[inside]).mean()
    assert middle == pytest.approx(0.0, abs=1e-12)
    assert steep.predicted_slope() == pytest.approx(1.0)
    assert np.isnan(curve.beside_power_law(1.0, (1e4, 1e5)).predicted).all()
    with pytest.raises(ValueError, match="no prediction"):
        curve.predicted_slope()


@pytest.mark.parametrize("offset", [0.0, 5.0, -1e6])
@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_losses_that_are_rounding_have_no_exponent(offset, loss):
    """A learner that is exact: what is left rises with the size, and says nothing of it."""
    x = np.random.default_rng(0).standard_normal((1200, 2))
    y = x @ [1.0, 2.0] + offset

    def exact(points, values, queries):
        weights = np.linalg.lstsq(np.c_[points, np.ones(len(points))], values, rcond=None)[0]
        return np.c_[queries, np.ones(len(queries))] @ weights

    curve = pl.scaling_curve(exact, x, y, [10, 30, 100, 300, 1000], loss=loss, n_test=200)
    assert not curve.usable.any()
    assert curve.fit() is None
    noisy = pl.scaling_curve(exact, x, y + 0.1 * x[:, 0] ** 2, [10, 30, 100, 1000], n_test=200)
    assert noisy.usable is None, "control: what it cannot learn is no rounding"
