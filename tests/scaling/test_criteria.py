"""Losses of numbers, of class labels and of functions, against scikit-learn's."""

import io
import math
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import KNeighborsClassifier

import percolaw as pl
from percolaw.scaling.criteria import checked_values, measured

RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 2))
Y = X[:, 0] + 0.1 * X[:, 1]
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]
CLASSES = np.unique(LABELS)
TRAIN, TEST = slice(0, 60), slice(60, 400)


def loss_of(loss, fitted, values, classes=CLASSES):
    return measured(loss, fitted, X[TEST], values[TEST], classes, "for n = 60, here")


def curve(learner, values, loss, **options):
    options = {"sizes": [20, 200], "n_test": 100, "n_repeats": 2, **options}
    return pl.scaling_curve(learner, X, values, loss=loss, **options).loss


def test_losses_of_numbers_are_1_for_the_best_constant():
    class Constant:
        def __init__(self, value):
            self.value = value

        def predict(self, queries):
            return np.full(len(queries), self.value)

    for loss, best in (("squared", np.mean), ("absolute", np.median)):
        at = float(best(Y[TEST]))
        assert loss_of(loss, Constant(at), Y) == pytest.approx(1.0)
        assert loss_of(loss, Constant(at + 0.3), Y) > 1.0 < loss_of(loss, Constant(at - 0.3), Y)
        for scale in (1.0, 1e3):
            near = pl.NearestNeighbors().fit(X[TRAIN], scale * Y[TRAIN])
            assert loss_of(loss, near, scale * Y) == pytest.approx(
                loss_of(loss, pl.NearestNeighbors().fit(X[TRAIN], Y[TRAIN]), Y)
            )
    gap = np.abs(near.predict(X[TEST]) / 1e3 - Y[TEST])
    spread = np.abs(Y[TEST] - np.median(Y[TEST]))
    assert loss_of("absolute", near, 1e3 * Y) == pytest.approx(gap.mean() / spread.mean())


def test_losses_of_labels_are_those_of_scikit_learn():
    fitted = LogisticRegression().fit(X[TRAIN], LABELS[TRAIN])
    guess, chance = fitted.predict(X[TEST]), fitted.predict_proba(X[TEST])
    wrong = 1.0 - accuracy_score(LABELS[TEST], guess)
    assert loss_of("0-1", fitted, LABELS) == pytest.approx(wrong)
    expected = log_loss(LABELS[TEST], chance)
    assert loss_of("log", fitted, LABELS) == pytest.approx(expected)
    renamed = np.unique(LABELS, return_inverse=True)[1] * 10 + 7
    again = LogisticRegression().fit(X[TRAIN], renamed[TRAIN])
    found = loss_of("log", again, renamed, np.unique(renamed))
    assert found == pytest.approx(expected, rel=1e-4)
    rows = np.eye(3)[np.unique(LABELS, return_inverse=True)[1]]
    nearest = pl.NearestNeighbors().fit(X[TRAIN], rows[TRAIN])
    label = KNeighborsClassifier(1).fit(X[TRAIN], LABELS[TRAIN])
    assert loss_of("0-1", nearest, rows) == pytest.approx(loss_of("0-1", label, LABELS))
    np.testing.assert_allclose(
        curve(pl.NearestNeighbors(), rows, "0-1"), curve(KNeighborsClassifier(1), LABELS, "0-1")
    )


def test_a_class_that_was_not_seen_costs_the_least_probability():
    seen = np.flatnonzero(LABELS != "middle")[:50]
    fitted = KNeighborsClassifier(50).fit(X[seen], LABELS[seen])
    p = dict(zip(fitted.classes_, fitted.predict_proba(X[:1])[0], strict=True))
    eps = np.finfo(float).eps
    expected = -np.mean([math.log(p.get(label, eps)) for label in LABELS[TEST]])
    assert loss_of("log", fitted, LABELS) == pytest.approx(expected)


def test_columns_without_names_are_the_sorted_labels():
    class Bare:
        def predict_proba(self, queries):
            return np.tile([0.2, 0.3, 0.5], (len(queries), 1))

    p = dict(zip(CLASSES, (0.2, 0.3, 0.5), strict=True))
    expected = -np.mean([math.log(p[label]) for label in LABELS[TEST]])
    assert loss_of("log", Bare(), LABELS) == pytest.approx(expected)


def test_a_loss_of_your_own_sees_values_as_they_are():
    seen = []

    def worst(values, predictions):
        seen.append((values, predictions))
        return np.max(np.abs(values - predictions))

    counts = (10 * Y).astype(np.int32)
    found = curve(pl.NearestNeighbors(), counts, worst)
    assert found.shape == (2, 2)
    assert seen[0][0].dtype == np.int32
    assert found[0, 0] == np.abs(seen[0][0] - seen[0][1]).max()
    with pytest.raises(ValueError, match="the loss for n = 20, repeat 0 must be a finite number"):
        curve(pl.NearestNeighbors(), counts, lambda a, b: math.nan)


def test_text_and_tensors_as_labels():
    torch = pytest.importorskip("torch")
    wrong = curve(KNeighborsClassifier(1), LABELS, "0-1")
    assert (wrong[:, 1] < wrong[:, 0]).all()
    numbers = np.unique(LABELS, return_inverse=True)[1]
    for same in (LABELS.astype(object), LABELS[:, None], LABELS.tolist(), numbers, numbers == 1):
        found = curve(KNeighborsClassifier(1), same, "0-1")
        assert found.shape == (2, 2)
        if np.ndim(same) == 1 and not isinstance(same[0], np.bool_):
            np.testing.assert_array_equal(found, wrong)
    found = curve(KNeighborsClassifier(1), torch.tensor(numbers), "0-1")
    np.testing.assert_array_equal(found, wrong)


class Numbers:
    def fit(self, points, values):
        return self

    def predict(self, queries):
        return queries[:, 0]

    def predict_proba(self, queries):
        return np.tile([0.9, 0.9], (len(queries), 1))


@pytest.mark.parametrize(
    ("values", "loss", "error", "message"),
    [
        (Y, "zero-one", ValueError, "unknown loss 'zero-one'"),
        (LABELS, "squared", TypeError, "values must be numbers; got text"),
        (Y > 0, "0-1", ValueError, r"which is no label.*numpy.eye\(n_classes\)\[labels\]"),
        (Y > 0, "log", ValueError, "must be >= 0 and sum to 1"),
        (
            LABELS,
            "log",
            ValueError,
            r"must have shape \(100, 3\); got \(100, 2\). They must be finite, one",
        ),
        (np.stack([Y, Y], 1), "0-1", ValueError, "rows of 0 and a single 1; got values of shape"),
        (np.eye(2)[(Y > 0) * 1], "log", ValueError, "takes one label a point"),
        (np.where(Y > 2, np.nan, Y), "0-1", ValueError, "values hold NaN or infinity"),
        (Y[:-1], "0-1", ValueError, r"shape \(400,\) or .*got \(399,\)"),
        (np.array([object()] * 400), "0-1", TypeError, "values must be numeric"),
    ],
)
def test_what_a_loss_refuses(values, loss, error, message):
    with pytest.raises(error, match=message):
        curve(Numbers(), values, loss)


def test_probabilities_are_asked_for():
    with pytest.raises(TypeError, match=r"needs predict_proba\(points\), which NearestNeighbors"):
        curve(pl.NearestNeighbors(), Y > 0, "log")


def test_values_as_each_loss_needs_them():
    assert checked_values(Y > 0, 400, "squared").dtype == np.float64
    assert checked_values(Y > 0, 400, "0-1").dtype == bool
    assert checked_values(LABELS.astype(object), 400, "log").dtype.kind == "U"


def test_an_error_of_fit_says_where():
    with pytest.raises(ValueError, match="2 classes") as caught:
        curve(LogisticRegression(), np.arange(400) > 390, "0-1", sizes=[2])
    assert caught.value.__notes__ == ["This was LogisticRegression.fit, for n = 2, repeat 0."]


def test_progress_is_shown_if_asked(monkeypatch):
    for asked in (False, True):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        curve(pl.NearestNeighbors(), Y, "squared", progress=asked)
        assert ("| 4/4 " in sys.stderr.getvalue()) == asked
        monkeypatch.undo()


class Column:
    """1-NN whose predictions are a column, as networks' are."""

    def fit(self, points, values):
        self.inner = pl.NearestNeighbors().fit(points, values)

    def predict(self, queries):
        return self.inner.predict(queries)[:, None]


def test_a_column_of_predictions_is_not_spread_over_a_loss_of_one_s_own():
    x = np.random.default_rng(0).standard_normal((300, 2))
    error = lambda values, predicted: float(np.mean((values - predicted) ** 2))  # noqa: E731
    options = {"loss": error, "n_test": 100, "n_repeats": 2}
    column = pl.scaling_curve(Column(), x, x[:, 0], [10, 100], **options).loss
    expected = pl.scaling_curve(pl.NearestNeighbors(), x, x[:, 0], [10, 100], **options).loss
    np.testing.assert_array_equal(column, expected)


def test_losses_that_are_no_number():
    x = np.random.default_rng(0).standard_normal((60, 2))
    far = lambda points, values, queries: np.full(len(queries), 1e300)  # noqa: E731
    for loss in ("squared", "absolute"):
        with pytest.raises(
            ValueError, match="the loss for n = 9, repeat 0 must be a finite number"
        ):
            pl.scaling_curve(far, x, x[:, 0] * 1e-100, [9], loss=loss, n_test=9, n_repeats=1)
    with pytest.raises(TypeError, match="a name or a function; got the class dict"):
        pl.scaling_curve(far, x, x[:, 0], [9], loss=dict)
    for loss in (lambda values: 0.0, lambda a, b, c: 0.0):
        with pytest.raises(TypeError, match=r"called as loss\(values, predictions\)"):
            pl.scaling_curve(far, x, x[:, 0], [9], loss=loss)
    near = lambda points, values, queries: np.zeros(len(queries))  # noqa: E731
    for loss in (lambda a, b=None: 1.0, lambda *both: 1.0):
        curve = pl.scaling_curve(near, x, x[:, 0], [9], loss=loss, n_test=9, n_repeats=1)
        assert curve.loss.tolist() == [[1.0]]
    many = lambda values, predicted: np.ones(50)  # noqa: E731
    with pytest.raises(TypeError, match=r"the loss .* must be a number; got array") as caught:
        pl.scaling_curve(far, x, x[:, 0], [9], loss=many, n_test=50, n_repeats=1)
    assert len(str(caught.value)) < 200


def test_groups_that_are_not_known_are_refused():
    x = np.random.default_rng(0).standard_normal((60, 2))
    groups = np.where(np.arange(60) < 30, np.nan, 1.0)
    with pytest.raises(ValueError, match="groups must be known for each point; got NaN"):
        pl.scaling_curve(pl.NearestNeighbors(), x, x[:, 0], [9], groups=groups, n_test=9)
