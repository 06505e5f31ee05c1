"""Modules of PyTorch as learners: regression, classes, probabilities, and nothing shared between fits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import percolaw as pl  # noqa: E402

torch.set_num_threads(1)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((500, 2))
Y = np.sin(2.0 * X[:, 0])
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]


def layers(n_outputs):
    return torch.nn.Sequential(
        torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, n_outputs)
    )


def learner(n_outputs=1, **options):
    options = {"steps": 300, "learning_rate": 0.02, **options}
    return pl.ModuleLearner(lambda: layers(n_outputs), **options)


def test_it_learns_what_the_same_module_by_hand_learns_not():
    curve = pl.scaling_curve(learner(steps=200), X, Y, [10, 300], n_test=200, n_repeats=2)
    assert (curve.loss[:, 1] < 0.2).all()
    assert (curve.loss[:, 0] > 2.0 * curve.loss[:, 1]).all()
    untrained = pl.scaling_curve(learner(steps=1), X, Y, [300], n_test=200, n_repeats=1)
    assert (untrained.loss > 0.3).all(), "control: the steps are what learns"


def test_classes_and_their_probabilities():
    options = {"sizes": [300], "n_test": 200, "n_repeats": 2}
    model = learner(3, loss="log", steps=200)
    wrong = pl.scaling_curve(model, X, LABELS, loss="0-1", **options)
    nats = pl.scaling_curve(model, X, LABELS, loss="log", **options)
    assert (wrong.loss < 0.08).all()
    assert (nats.loss < 0.25).all(), "ln 3 = 1.1 knows nothing"
    fitted = model.fit(X, LABELS)
    assert fitted.classes_.tolist() == ["high", "low", "middle"]
    chances = fitted.predict_proba(X[:50])
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert (fitted.classes_[chances.argmax(axis=1)] == fitted.predict(X[:50])).all()


def test_outputs_beyond_the_classes_are_never_the_answer():
    """A head for more classes than there are: the rest of it is not trained."""
    head = layers(9)
    with torch.no_grad():
        head[-1].bias[5:] = 100.0
    fitted = pl.ModuleLearner(head, loss="log", steps=200, learning_rate=0.02).fit(X, LABELS)
    assert np.mean(fitted.predict(X) == LABELS) > 0.9
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1.0)


def test_fits_share_nothing_and_leave_the_global_generator():
    module = layers(1)
    before = [p.clone() for p in module.parameters()]
    state = torch.random.get_rng_state()
    given = pl.ModuleLearner(module, steps=50)
    with torch.inference_mode():
        first, again = (given.fit(X, Y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for p, q in zip(module.parameters(), before, strict=True):
        assert torch.equal(p, q)
    assert torch.equal(torch.random.get_rng_state(), state)
    one, same, other = (learner(rng=seed, steps=5).fit(X, Y).predict(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3, "a function's module is drawn from the seed"
    pair = learner(2, steps=5).fit(X, np.stack([Y, Y], axis=1))
    assert pair.predict(X).shape == (500, 2)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (learner(2), Y, r"must give 1 output\(s\) a point; got \(128, 2\)"),
        (learner(2, loss="log"), LABELS, r"an output for each of 3 classes; got .*\(128, 2\)"),
        (learner(3, loss="log"), LABELS[:-1], r"y must have shape \(\d+,\), one a point; got"),
        (
            learner(3, loss="log"),
            np.stack([LABELS] * 3, 1),
            r"y must have shape \(\d+,\), one a point; got .* 3\)",
        ),
        (pl.ModuleLearner(lambda: 3), Y, r"a function that makes one; got 3 \(int\)"),
        (learner(learning_rate=1e30, steps=9), Y, "Lower learning_rate"),
    ],
)
def test_what_does_not_fit_together(model, values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, values)


def test_scikit_learn_takes_it():
    selection = pytest.importorskip("sklearn.model_selection")
    assert (
        selection.cross_val_score(learner(3, loss="log"), X, LABELS, cv=2, scoring="accuracy").min()
        > 0.8
    )
    assert not hasattr(learner(), "predict_proba")
    with pytest.raises(ValueError, match="not fitted yet"):
        learner().predict(X)


def test_a_function_that_gives_the_same_module_again_is_not_trained_further():
    module = layers(1)
    model = pl.ModuleLearner(lambda: module, steps=20, learning_rate=0.02)
    first = model.fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.fit(X, Y).predict(X), first)


def test_points_and_values_that_float32_does_not_hold_are_refused_or_trained_in_float64():
    for far in ((X + 1e9, Y), (X, Y + 1e9)):
        with pytest.raises(ValueError, match="would lose its structure in float32"):
            pl.ModuleLearner(layers(1), steps=2).fit(*far)
    model = pl.ModuleLearner(lambda: layers(1).double(), steps=2)
    assert model.fit(X + 1e9, Y).module_[0].weight.dtype == torch.float64


@pytest.mark.parametrize("labels", [LABELS[:-1], np.r_[LABELS, LABELS], np.c_[LABELS, LABELS]])
def test_labels_are_one_a_point(labels):
    with pytest.raises(ValueError, match=r"y must have shape \(500,\), one a point"):
        learner(3, loss="log").fit(X, labels)


def test_labels_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="must be known for each point; got NaN"):
        learner(3, loss="log").fit(X, np.where(LABELS == "low", np.nan, 1.0))


class Tuple(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x), None


class Pooled(torch.nn.Linear):
    def forward(self, x):
        out = super().forward(x)
        return out if self.training else out.mean(dim=0)


@pytest.mark.parametrize(
    ("module", "points", "message"),
    [
        (Tuple(2, 1), X, "must give a tensor; got tuple"),
        (Pooled(2, 1), X, r"a row of outputs for each of 500 points; got \(1,\)"),
        (torch.nn.Linear(2, 1).requires_grad_(False), X, "no parameter that can be trained"),
        (torch.nn.Linear(2, 1), X[:, 0], r"X must have shape \(n, d\) or \(n, \.\.\.\)"),
        (torch.nn.Linear(2, 1), X[:0], r"n > 0; got \(0, 2\)"),
    ],
)
def test_modules_and_points_of_another_kind(module, points, message):
    model = pl.ModuleLearner(module, steps=2)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(points, Y[: len(points)]).predict(X)
    with pytest.raises(ValueError, match="learning_rate must be"):
        pl.ModuleLearner(module, learning_rate=1e300)


def test_integers_are_ids_and_the_caller_s_defaults_change_nothing():
    model = pl.ModuleLearner(torch.nn.Linear(2, 1), steps=2)
    expected = model.fit(X, Y).predict([[1, 2]])
    with pytest.raises(RuntimeError) as caught:
        model.fit(np.rint(X).astype(int), Y)
    assert "X.astype(float)" in caught.value.__notes__[0]
    with torch.device("meta"):
        np.testing.assert_array_equal(model.fit(X, Y).predict([[1, 2]]), expected)
    torch.set_default_dtype(torch.float64)
    try:
        made = pl.ModuleLearner(lambda: layers(1), steps=2).fit(X, Y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert made.predict(X).shape == (500,)


def test_fits_in_several_threads_are_those_of_one():
    """Dropout draws from PyTorch's global generator; two fits at once would take turns at it."""
    x = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)

    def fitted(seed):
        def module():
            return torch.nn.Sequential(
                torch.nn.Linear(3, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 1)
            )

        return pl.ModuleLearner(module, steps=60, rng=seed).fit(x, x[:, 0]).predict(x)

    alone = [fitted(seed) for seed in range(4)]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(fitted, range(4)))
    np.testing.assert_array_equal(alone, together)
