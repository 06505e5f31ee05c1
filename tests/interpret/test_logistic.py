"""Logistic regression of many targets: against scikit-learn, separation, evidence, scores."""

import numpy as np
import pytest
from statistical import assert_close, assert_far

from percolaw.interpret.logistic import PrincipalInputs, best_threshold, binary_scores

RNG = np.random.default_rng(0)
#: Correlated inputs far from the origin, and targets of rates from a half down to a hundredth.
X = RNG.standard_normal((1500, 12)) @ (RNG.standard_normal((12, 12)) * np.logspace(0, -2, 12)) + 3.0
TRUE = (X - X.mean(axis=0)) @ RNG.standard_normal((12, 4)) - np.array([0.0, 1.0, 2.5, 5.0])
LABELS = RNG.random((1500, 4)) < 1.0 / (1.0 + np.exp(-TRUE))


@pytest.fixture(scope="module")
def inputs():
    return PrincipalInputs.of(X)


def test_against_scikit_learn(inputs):
    linear = pytest.importorskip("sklearn.linear_model")
    ridge = np.array([1e-3, 0.3, 20.0, 1e-3])
    fitted = inputs.fit(LABELS, ridge)
    for j in range(4):
        other = linear.LogisticRegression(
            C=1.0 / ridge[j], tol=1e-10, max_iter=500, solver="newton-cholesky"
        ).fit(X, LABELS[:, j])
        np.testing.assert_allclose(fitted.logits(X)[:, j], other.decision_function(X), atol=1e-4)
        np.testing.assert_allclose(fitted.weight[:, j], other.coef_[0], atol=1e-3)


def test_targets_are_learned_together_as_alone(inputs):
    together = inputs.fit(LABELS)
    alone = inputs.fit(LABELS[:, 2:3])
    np.testing.assert_allclose(together.weight[:, 2], alone.weight[:, 0], rtol=1e-4, atol=1e-6)
    assert together.ridge[2] == pytest.approx(alone.ridge[0], rel=1e-3)


def test_the_ridge_is_that_of_the_largest_marginal_likelihood(inputs):
    """Laplace's, by brute force over ridges; of labels without a law it is the largest there is."""
    fitted = inputs.fit(LABELS[:, :1])

    def evidence(ridge):
        some = inputs.fit(LABELS[:, :1], [ridge])
        z = some.logits(X)[:, 0]
        p = 1.0 / (1.0 + np.exp(-z))
        centred = np.hstack([X, np.ones((1500, 1))])
        hessian = centred.T @ (centred * (p * (1 - p))[:, None])
        hessian[range(12), range(12)] += ridge
        loss = np.logaddexp(0.0, np.where(LABELS[:, 0], -z, z)).sum()
        square = np.sum(some.weight**2)
        return 6 * np.log(ridge) - loss - ridge * square / 2 - np.linalg.slogdet(hessian)[1] / 2

    best = evidence(fitted.ridge[0])
    assert best > evidence(fitted.ridge[0] * 3) + 0.2
    assert best > evidence(fitted.ridge[0] / 3) + 0.2
    none = inputs.fit(RNG.permutation(LABELS[:, :1]))
    assert none.ridge[0] > 100.0 * fitted.ridge[0]
    assert np.abs(none.logits(X) - none.logits(X).mean()).max() < 0.5


def test_what_can_be_separated_has_finite_weights(inputs):
    labels = np.stack([X[:, 0] > X[:, 0].mean(), X[:, 0] > np.sort(X[:, 0])[-30]], axis=1)
    fitted = inputs.fit(labels)
    logits = fitted.logits(X)
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits > 0.0, labels)
    constant = PrincipalInputs.of(np.ones((1500, 3))).fit(labels)
    rate = labels.mean(axis=0)
    np.testing.assert_allclose(constant.logits(np.ones((1, 3)))[0], np.log(rate / (1 - rate)))


def test_scores_against_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    logits = np.round(TRUE + RNG.standard_normal(TRUE.shape))  # ties
    base, threshold = np.zeros_like(logits), np.ones_like(logits)
    scores = binary_scores(logits, base, threshold, LABELS)
    for j in range(4):
        y, z = LABELS[:, j], logits[:, j]
        assert scores.auc[j] == pytest.approx(metrics.roc_auc_score(y, z))
        assert scores.mcc[j] == pytest.approx(metrics.matthews_corrcoef(y, z >= 1.0))
        loss = metrics.log_loss(y, 1.0 / (1.0 + np.exp(-z)))
        assert scores.gain[j] == pytest.approx(1.0 - loss / np.log(2.0))
        best = max(metrics.matthews_corrcoef(y, z >= v) for v in np.unique(z))
        chosen = best_threshold(z, y)
        assert metrics.matthews_corrcoef(y, z >= chosen) == pytest.approx(best)
    wrong = best_threshold(-np.arange(4.0), np.array([False, False, False, True]))
    assert wrong == np.inf  # nothing is better than none


def test_guesses_of_several_fits_are_ranked_from_their_base_rates():
    """Two halves, one with more true ones and so a lower base rate: no guess is no skill."""
    labels = np.r_[RNG.random(4000) < 0.3, RNG.random(4000) < 0.1][:, None]
    base = np.repeat([-2.2, -0.8], 4000)[:, None]
    noise = 0.01 * RNG.standard_normal((8000, 1))
    scores = binary_scores(base + noise, base, base, labels)
    error = np.sqrt(1.0 / (12.0 * labels.sum()))
    assert_close(scores.auc[0], 0.5, error)
    assert_far(binary_scores(base + noise, 0.0 * base, base, labels).auc[0], 0.5, error)
