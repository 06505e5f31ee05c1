"""Who wins on losses of known law, and what is then expected of twice the data."""

import math

import numpy as np
import pytest
from learning_cases import LARGE, SHARE, SMALL, losses, sample, zipf
from rank_cases import distances, of_labels
from scipy import sparse
from scipy.sparse import csgraph

from percolaw.analysis.contest import expectation, hold_contest
from percolaw.analysis.prediction import (
    FORMS,
    NO_CHANGE,
    OFFSET,
    ONE_CLUSTER,
    PERCOLATION,
    Evidence,
)
from percolaw.learners.neighbors import NearestNeighbors
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.losses import scaling_curve

SIZE = np.concatenate([SMALL, LARGE])


def noisy(loss, seed=0, repeats=5, noise=0.03):
    rng = np.random.default_rng(seed)
    return LearningCurve(SIZE, loss * np.exp(noise * rng.standard_normal((repeats, SIZE.size))))


def fall(law):
    return 1 - float(law(np.array([32_000.0]))[0] / law(np.array([16_000.0]))[0])


@pytest.mark.parametrize(
    ("share", "scale", "exponent"), [(SHARE, 100.0, 1.0), (zipf(40, 1.0), 50.0, 2.0)]
)
def test_percolation_wins_where_clusters_are_learned_one_by_one(share, scale, exponent):
    curve = noisy(losses(share, SIZE, scale, exponent))
    ids = sample(share, 16_000)
    contest = hold_contest(Evidence(ids[:2000]), curve, 2000)
    assert contest.winner == contest.best == PERCOLATION
    difference, (low, high) = contest.margin(PERCOLATION, OFFSET)
    assert 0 < low < difference < high
    np.testing.assert_array_equal(contest.size, LARGE)
    expected = expectation(Evidence(ids), curve, contest)
    true = fall(lambda m: losses(share, m, scale, exponent))
    assert expected.interval[0] < true < expected.interval[1]
    assert f"{expected.fall:.0%}" in expected.sentence
    # Clusters that have nothing to do with the losses win nothing.
    other = np.random.default_rng(1).choice(5000, 2000)
    assert hold_contest(Evidence(other), curve, 2000).winner != PERCOLATION


@pytest.mark.parametrize("share", [SHARE, zipf(10**5, 2.0), np.ones(1)])
def test_a_power_law_is_not_credited_to_clusters(share):
    curve = noisy(SIZE**-0.5)
    ids = sample(share, 16_000)
    contest = hold_contest(Evidence(ids[:2000]), curve, 2000)
    # A single cluster is a power law, so that it can be the best, but not better than that.
    assert contest.winner in (ONE_CLUSTER, OFFSET) + (PERCOLATION,) * (share.size == 1)
    expected = expectation(Evidence(ids), curve, contest)
    assert expected.interval[0] < 1 - 2**-0.5 < expected.interval[1]


@pytest.mark.parametrize("law", [lambda m: m**-0.3, lambda m: m**-0.7 + 0.02])
def test_what_is_expected_is_true_of_other_laws(law):
    share = zipf(10**4, 2.0)
    ids = sample(share, 16_000)
    curve = noisy(law(SIZE))
    contest = hold_contest(Evidence(ids[:2000]), curve, 2000)
    expected = expectation(Evidence(ids), curve, contest)
    assert contest.winner is not None
    assert expected.interval[0] < fall(law) < expected.interval[1]


def test_nobody_is_credited_with_permuted_labels():
    """Clusters of equal labels among neighbours are there, and the losses stay at chance."""
    rng = np.random.default_rng(3)
    x, labels = rng.random((1000, 2)), rng.integers(0, 2, 1000)
    distance = distances(x)
    near = np.argsort(distance, axis=1)[:, 1:7]
    rows = np.repeat(np.arange(1000), 6)
    same = labels[rows] == labels[near.ravel()]
    graph = sparse.coo_array((np.ones(same.sum()), (rows[same], near.ravel()[same])), (1000, 1000))
    ids = csgraph.connected_components(graph, directed=False)[1]
    sizes = [8, 12, 18, 27, 41, 62, 125, 250, 500]
    curve = scaling_curve(
        NearestNeighbors(1), x, labels, sizes, loss="0-1", n_test=400, n_repeats=4
    )
    by_rank = of_labels(distance[:125, :125], labels[:125])
    contest = hold_contest(Evidence(ids[:125], by_rank), curve, 62)
    assert contest.winner is None
    expected = expectation(Evidence(ids, of_labels(distance, labels)), curve, contest)
    assert math.isnan(expected.fall)
    assert "Nothing is promised" in expected.sentence


def test_margins_need_three_repeats():
    curve = noisy(losses(SHARE, SIZE, 100.0, 1.0), repeats=2)
    contest = hold_contest(Evidence(sample(SHARE, 2000)), curve, 2000)
    assert contest.best == PERCOLATION
    assert contest.winner is None
    assert contest.margin(PERCOLATION, NO_CHANGE)[1] == (-math.inf, math.inf)
    assert set(contest.score) == set(contest.predicted) == set(FORMS)


def test_refusals():
    curve, evidence = noisy(SIZE**-0.5), Evidence(np.zeros(100, int))
    with pytest.raises(ValueError, match="nothing is left to predict"):
        hold_contest(evidence, curve, 16_000)
    with pytest.raises(ValueError, match="6 sizes or more; got 2"):
        hold_contest(evidence, curve, 60)
    with pytest.raises(ValueError, match="loss is 0"):
        hold_contest(evidence, LearningCurve(SIZE, np.zeros((3, SIZE.size))), 2000)


def test_a_promise_spans_the_forms_that_are_not_surely_worse(monkeypatch):
    """A form that wins by a hair is no more to be believed than the one it beat."""
    from percolaw.analysis import contest as module

    ids = sample(SHARE, 16_000)
    curve = noisy(losses(SHARE, SIZE, 100.0, 1.0))
    held = hold_contest(Evidence(ids[:2000]), curve, 2000)
    best = held.winner
    other = next(name for name in FORMS if name not in (best, NO_CHANGE))
    alone = {best: np.full(6, -0.2)}
    monkeypatch.setattr(module, "_said", lambda *_: alone)
    one = expectation(Evidence(ids), curve, held)
    alone[other] = np.full(6, -1.0)
    two = expectation(Evidence(ids), curve, held)
    reach = -0.2 - math.log1p(-one.interval[1])
    assert math.log1p(-two.interval[1]) == pytest.approx(-1.0 - reach)
    assert two.interval[0] == pytest.approx(one.interval[0])
    assert math.log1p(-two.fall) == pytest.approx(-0.6), "the mean on logarithms"
    assert f"'{other}' 63%" in two.sentence
    monkeypatch.setattr(module, "_said", lambda *_: {})
    assert "says nothing of larger sizes" in expectation(Evidence(ids), curve, held).sentence
