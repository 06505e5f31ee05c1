"""Learners and estimators of dimensions as scikit-learn's tools take them."""

import importlib
import sys
import warnings

import numpy as np
import pytest

import percolaw as pl

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone, is_regressor  # noqa: E402
from sklearn.metrics import r2_score  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 3))
Y = np.sin(X[:, 0]) + X[:, 1]
SMALL = pl.NeuralRegression(pl.MLP(depth=1, width=8), pl.Training(learning_rate=0.05, steps=40))
LEARNERS = [pl.NearestNeighbors(3), pl.KernelRegression(ridge=0.1), pl.RandomFeatures(60), SMALL]
DIMENSIONS = [pl.TwoNN(), pl.MLE(5), pl.CorrelationDimension(highest=4.0)]
ALL = LEARNERS + DIMENSIONS
NAMES = [type(e).__name__ for e in ALL]

#: What `check_estimator` asks that we do otherwise, and why.
DIFFERENT = {
    "check_complex_data": "TypeError where it wants ValueError",
    "check_dtype_object": "arrays of Python objects are refused, numbers or not",
    "check_estimators_empty_data_messages": "our wording",
    "check_fit2d_1sample": "our wording",
    "check_fit2d_predict1d": "our wording",
    "check_requires_y_none": "TypeError where it wants ValueError",
    "check_do_not_raise_errors_in_init_or_set_params": "wrong parameters are refused at once",
    "check_parameters_default_constructible": "a network, which cannot be changed, is a default",
    "check_methods_subset_invariance": "float32: the last digit depends on the rows beside",
    "check_positive_only_tag_during_fit": "its points coincide, and then have no dimension",
    "check_methods_sample_order_invariance": "float32: the last digit depends on the order",
}


def different(estimator):
    """Names of the checks that do not pass, warnings aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = check_estimator(estimator, on_fail=None)
    assert len(done) > 40
    return {one["check_name"] for one in done if one["status"] == "failed"}


@pytest.mark.parametrize("estimator", [e for e in ALL if e is not SMALL], ids=lambda e: str(e)[:9])
def test_what_scikit_learn_checks(estimator):
    assert different(estimator) <= set(DIFFERENT)


@pytest.mark.slow
def test_what_scikit_learn_checks_of_networks():
    assert different(SMALL) <= set(DIFFERENT)


def test_every_difference_is_one():
    found = set().union(*(different(e) for e in (pl.NearestNeighbors(3), pl.TwoNN())))
    of_networks = {
        "check_parameters_default_constructible",
        "check_methods_subset_invariance",
        "check_methods_sample_order_invariance",
    }
    assert found == set(DIFFERENT) - of_networks


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES[:4])
def test_pipelines_scores_and_clones(learner):
    assert is_regressor(learner)
    line = make_pipeline(StandardScaler(), learner)
    assert cross_val_score(line, X, Y, cv=3).mean() > 0.3
    fitted = clone(learner).fit(X, Y)
    assert not hasattr(learner, "n_features_in_"), "the clone alone was fitted"
    expected = r2_score(Y, fitted.predict(X), sample_weight=np.arange(1.0, 91.0))
    assert fitted.score(X, Y, np.arange(1.0, 91.0)) == pytest.approx(expected, abs=1e-12)
    both = clone(learner).fit(X, np.stack([Y, -2.0 * Y], axis=1))
    expected = r2_score(np.stack([Y, X[:, 2]], axis=1), both.predict(X))
    assert both.score(X, np.stack([Y, X[:, 2]], axis=1)) == pytest.approx(expected, abs=1e-12)


def test_grids_reach_into_kernels():
    grid = {"kernel__smoothness": [0.5, 1.5], "ridge": [1e-6, 10.0]}
    search = GridSearchCV(pl.KernelRegression(), grid, cv=3).fit(X, Y)
    assert search.best_params_["ridge"] == 1e-6
    assert search.best_estimator_.kernel.smoothness == search.best_params_["kernel__smoothness"]
    scores = search.cv_results_["mean_test_score"]
    assert len(set(np.round(scores, 6))) == 4, "each point of the grid was another learner"


def test_dimensions_in_a_pipeline():
    line = make_pipeline(StandardScaler(), pl.TwoNN(5)).fit(X)
    assert line[-1].dimension_ == pytest.approx(
        pl.TwoNN(5).fit(StandardScaler().fit_transform(X)).dimension_
    )
    assert str(line[-1].estimate_).startswith("dimension ")
    assert pl.TwoNN(rng=1).get_params() == {"k": 2, "fraction": 0.9, "rng": 1}


def test_parameters_that_are_refused_change_nothing():
    learner = pl.RandomFeatures(10)
    before = learner.get_params()
    with pytest.raises(ValueError, match="has no parameter 'width'; it has n_features, ridge"):
        learner.set_params(n_features=3, width=2)
    with pytest.raises(ValueError, match="n_features must be in"):
        learner.set_params(ridge=1.0, n_features=0)
    assert learner.get_params() == before
    kernel = pl.KernelRegression().set_params(kernel=pl.Gaussian(2.0), kernel__length_scale=3.0)
    assert kernel.kernel == pl.Gaussian(3.0)


def test_before_a_fit_and_without_scikit_learn(monkeypatch):
    k = pl.NearestNeighbors()
    with pytest.raises(sklearn.exceptions.NotFittedError, match="not fitted yet"):
        k.predict(X)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError):
        importlib.import_module("sklearn.exceptions")
    assert pl.scaling_curve(k, X, Y, [10, 20], n_test=50, n_repeats=1).loss.shape == (1, 2)
    with pytest.raises(AttributeError, match="this NearestNeighbors is not fitted yet") as caught:
        k.predict(X)
    assert isinstance(caught.value, ValueError)


def test_scores_with_weights_and_values_that_mean_nothing():
    x = np.random.default_rng(0).standard_normal((30, 2))
    fitted = pl.NearestNeighbors(3).fit(x, x[:, 0])
    score = fitted.score(x, x[:, 0])
    for level in (5e-324, 1e308):
        assert fitted.score(x, x[:, 0], np.full(30, level)) == pytest.approx(score)
    for weights in (np.zeros(30), np.r_[-1.0, np.ones(29)]):
        with pytest.raises(ValueError, match="sample_weight must not be negative"):
            fitted.score(x, x[:, 0], weights)
    with pytest.raises(ValueError, match="Rescale y"):
        fitted.score(x, x[:, 0] * 1e200)
    for points in (x[:0], 1.0):
        with pytest.raises(ValueError, match=r"X must have shape \(n, d\), n > 0"):
            fitted.score(points, x[:0, 0])
