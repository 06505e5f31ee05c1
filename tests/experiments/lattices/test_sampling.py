"""Sampling: weights, strategies against a simulation, and verdicts that follow the curves."""

import json
import math

import numpy as np
import pytest
from conclusions import check_figures, claim_with
from statistical import assert_close, assert_far, mean_and_error

from percolaw.experiments.base import canonical_json
from percolaw.experiments.lattices import box_curves, pruning, sampling, strategies
from percolaw.experiments.lattices.sampling import Sampling
from percolaw.experiments.lattices.strategies import CASES, FARTHEST, GREEDY, RANDOM
from percolaw.laws.allocation import (
    numerical_allocation,
)
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.scaling import fit, sharing


@pytest.mark.parametrize(
    ("alpha", "n"), [(0.3, 20_000), (1.0, 20_000), (1.0, 1000), (0.5, 40), (1.0, 1001)]
)
def test_binned_weights_are_zipfs(alpha, n):
    weight, count = sharing.binned_weights(alpha, n)
    exact = zipf_weights(alpha, n)
    exact /= exact.sum()
    assert weight @ count == pytest.approx(1.0)
    assert count.sum() == n
    assert np.all(np.diff(weight) < 0)
    own = min(1000, n)
    np.testing.assert_allclose(weight[: own - 1], exact[: own - 1], rtol=1e-9)
    assert np.all(count[: own - 1] == 1)
    last = np.cumsum(count).astype(int) - 1
    np.testing.assert_allclose(np.cumsum(weight * count), np.cumsum(exact)[last], rtol=1e-9)
    assert count.size < own + 60 * max(1.0, math.log(n / own)) + 3
    every, ones = sharing.binned_weights(alpha, n, n)
    np.testing.assert_allclose(every, exact, rtol=1e-9)
    assert set(ones) == {1.0}
    if n == 20_000:  # bins are 2% wide
        low = last[1000:-1] - count[1000:-1] + 2
        assert np.max(count[1000:-1] / low) < 0.025


def example_curve():
    """A learning curve known at every size to 200."""
    n = np.arange(201.0)
    return n, np.concatenate([[1.0], 1.5 * n[1:] ** -0.5])


def test_poisson_means_are_those_of_drawn_labels():
    n, curve = example_curve()
    mean = np.array([0.0, 0.3, 1.0, 4.0, 30.0, 49.9])
    found = sharing.poisson_mean(mean, n, curve)
    rng = np.random.default_rng(0)
    for m, value in zip(mean[1:], found[1:], strict=True):
        sample, error = mean_and_error(curve[np.minimum(rng.poisson(m, 40_000), 200)])
        assert_close(value, sample, error)
        if m < 5:
            assert_far(
                sharing.loss_at(m, n, curve), sample, error
            )  # control: the curve at the mean
    assert found[0] == 1.0
    # From 50 on the curve itself, to which the expectation has come near by then.
    pair = sharing.poisson_mean(np.array([49.999, 50.0, 120.0]), n, curve)
    assert pair[0] == pytest.approx(pair[1], rel=0.01)
    assert pair[2] == pytest.approx(1.5 * 120**-0.5)


def test_curves_between_their_sizes():
    n, curve = np.array([0.0, 1.0, 4.0]), np.array([1.0, 2.0, 1.0])
    found = sharing.loss_at(np.array([0.0, 0.5, 1.0, 2.0, 4.0, 9.0]), n, curve)
    np.testing.assert_allclose(found, [1.0, 2.0, 2.0, math.sqrt(2), 1.0, 1.0])


#: How strategies share a budget.
SHARED = {s: how for s, (how, _) in strategies.STRATEGIES.items() if how != strategies.PRUNED}


def test_strategies_against_a_simulation():
    n, curve = example_curve()
    weight, count = np.array([0.35, 0.15, 0.05]), np.array([1.0, 3.0, 4.0])
    assert weight @ count == pytest.approx(1.0)
    budgets = np.array([3.0, 20.0, 90.0])
    loss = {
        name: strategies.shared_losses(how, budgets, weight, count, n, curve)
        for name, how in SHARED.items()
    }
    rng = np.random.default_rng(1)
    each = np.repeat(weight, count.astype(int))
    for i, t in enumerate(budgets):
        labels = rng.poisson(t * each, (20_000, each.size))
        sample, error = mean_and_error(curve[np.minimum(labels, 200)] @ each)
        assert_close(loss["uniform"][i], sample, error)
        assert_far(loss["balanced"][i], sample, error)
        # Equally: all clusters have the whole number below or above, as many as are left over.
        whole, more = divmod(t, each.size)
        exact = np.mean(
            [rng.permutation(each)[: int(more)].sum() for _ in range(4000)]
        )  # weight of those with one more
        expected = (1 - exact) * curve[int(whole)] + exact * curve[int(whole) + 1]
        assert loss["balanced"][i] == pytest.approx(expected, rel=0.02)
        split = numerical_allocation(t, each, n, np.tile(curve, (each.size, 1)))
        assert loss["optimal allocation"][i] == pytest.approx(split.loss)
    for name in SHARED:
        assert np.all(np.diff(loss[name]) < 0) or name == "uniform"
        assert np.all(loss["optimal allocation"] <= loss[name] * (1 + 1e-12))


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_the_optimal_allocation_is_never_worse(alpha):
    weight, count = sharing.binned_weights(alpha, 10_000)
    n = np.concatenate([np.arange(100.0), np.geomspace(100, 1e6, 200)])
    curve = np.concatenate(
        [[1.0], 2.0 * n[1:] ** -0.5]
    )  # one label is worse than none, as for 1-NN
    budgets = np.geomspace(3, 1e5, 6)
    best, uniform, balanced = (
        strategies.shared_losses(SHARED[name], budgets, weight, count, n, curve)
        for name in ("optimal allocation", "uniform", "balanced")
    )
    assert np.all(best <= 1.0)
    assert np.all(best <= uniform * (1 + 1e-3))  # chords of the curve lie above it
    assert np.all(best <= balanced * (1 + 1e-3))
    assert best[-1] < 0.95 * min(uniform[-1], balanced[-1])


@pytest.mark.parametrize(("alpha", "gamma"), [(0.3, 2.0), (0.5, 2.0), (1.0, 0.1), (0.5, 0.05)])
def test_discrete_laws_have_the_exponents_of_the_theory(alpha, gamma):
    weight, count = sharing.binned_weights(alpha, 10**14)
    t = np.geomspace(1e6, 1e9, 7)
    laws = sharing.discrete_laws(t, weight, count, gamma)
    data, model = (-fit.log_slopes(t, [law])[0] for law in laws)
    assert data == pytest.approx(min(alpha / (1 + alpha), gamma), abs=0.01)
    assert model == pytest.approx(min(alpha, gamma), abs=0.01)
    assert np.all(laws[1] <= laws[0] * (1 + 1e-12))
    # One weight after another, without bins.
    weight, count = sharing.binned_weights(alpha, 500)
    each = zipf_weights(alpha, 500)
    each /= each.sum()
    few = sharing.discrete_laws(np.array([40.0, 900.0]), weight, count, gamma)[0]
    expected = [each @ np.maximum(v * each, 1.0) ** -gamma for v in (40.0, 900.0)]
    np.testing.assert_allclose(few, expected)


TINY_SAMPLING = Sampling(
    n_seeds=3,
    n_pruned=60,
    n_clusters=2000,
    largest=1e4,
    n_trees=1,
    tree_size=20_000,
    n_random=300,
    n_design=100,
    n_field=200,
    decades=1.0,
)


def test_keeping_all_candidates_prunes_nothing(monkeypatch):
    cell = {"kind": "pruning 1", "seed": 0}
    monkeypatch.setattr(pruning, "KEPT", 1.0)
    losses = {name: [] for name in pruning.KINDS}
    for seed in range(30):
        (row,) = TINY_SAMPLING.measure({**cell, "seed": seed})
        assert row["easy kept"] == row["hard kept"], "the same sites"
        for name, values in losses.items():
            values.append(np.mean(np.log(row[name])))
    gap, error = mean_and_error(np.subtract(losses["easy kept"], losses["all of them"]))
    assert_close(gap, 0.0, error)
    # Control: a quarter of the candidates is neither all of them nor the other quarter.
    monkeypatch.setattr(pruning, "KEPT", 0.25)
    rows = [TINY_SAMPLING.measure({**cell, "seed": seed})[0] for seed in range(30)]
    gaps = [np.mean(np.log(r["easy kept"]) - np.log(r["hard kept"])) for r in rows]
    gap, error = mean_and_error(gaps)
    assert_far(gap, 0.0, error)


@pytest.mark.slow  # the smoke preset runs the same
def test_tiny_sampling_end_to_end():
    e = TINY_SAMPLING
    rows = json.loads(canonical_json([row for cell in e.cells() for row in e.measure(cell)]))
    assert [r["kind"] for r in rows[:: e.n_seeds]] == [
        *("tree", "cluster field", "square field", "pruning 0.3", "pruning 1")
    ]
    for row in rows:
        if row["kind"] == "tree":
            # One label leaves the variance of the difference: twice that of the values.
            assert row[f"nearest {RANDOM}"][0] == pytest.approx(2.0, rel=0.5)
            for design in (RANDOM, FARTHEST, GREEDY):
                own, best = (np.array(row[f"{k} {design}"]) for k in ("nearest", "posterior"))
                assert np.all(best <= own * (1 + 1e-9)), "the posterior is the best there is"
                assert np.all(np.diff(best) <= 1e-9), "more labels never hurt it"
            assert row[f"nearest {FARTHEST}"][-1] > 0
        elif "field" in row["kind"]:
            for design in (RANDOM, FARTHEST, GREEDY):
                curve = np.array(row[f"{row['kind']} {design}"])
                assert np.all(np.diff(curve) <= 1e-9)
                assert 0 < curve[-1] < curve[0] <= 1
    found = e.conclude(rows)
    assert len(found.claims) == sum(3 + 4 + (2 if c[2] == "nearest" else 0) for c in CASES)
    for case in CASES:
        alpha, gamma = case.rank_exponent, case.cluster_exponent
        assert case.limits["uniform"] == pytest.approx(min(alpha / (1 + alpha), gamma))
        assert case.limits["optimal allocation"] == pytest.approx(min(alpha, gamma))
        (plot,) = [p for p in found.plots if p.title.startswith(f"{case.name}: ")]
        assert plot.series[0].x[:5] == tuple(box_curves.grid(10.0, 1e2, 4))
        (over,) = [p for p in found.plots if p.title == case.name]
        names = [one.name for one in plot.series if one.kind == "measured"]
        names += [one.name.partition(", over ")[0] for one in over.series if one.name != "1"]
        every = strategies.STRATEGIES if case.learner == "nearest" else SHARED
        expected = [n if n in strategies.DESIGNED else strategies.LABELS.get(n, n) for n in every]
        assert sorted(names) == sorted(expected), "each once, in one of two plots"
        assert found.tables["scale_factors"][case.name] >= 1.0
    check_figures(e, rows)


def sampling_rows(e, power=0.0, designed=0.0):
    """Curves with the exponents of the theory (and `power` more, on designs `designed`)."""
    gammas = {"nearest": 0.5, "posterior": 0.5, "cluster field": 1.0, "square field": 1.0}
    rng = np.random.default_rng(0)
    rows = []
    for cell in e.cells():
        row = dict(cell)
        if cell["kind"].startswith("pruning"):
            t = e.budgets(float(cell["kind"].split()[1]), "nearest", FARTHEST)
            row |= {"t": t, **dict.fromkeys(pruning.KINDS, t ** (-0.5))}
            rows.append(row)
            continue
        own = ("nearest", "posterior") if cell["kind"] == "tree" else (cell["kind"],)
        for design in (RANDOM, FARTHEST, GREEDY):
            most = e.n_design
            if design == RANDOM:
                most = e.n_random if cell["kind"] == "tree" else e.n_field
            n = fit.geometric(1, most, 36)
            row[f"n {design}"] = n
            more = power if design == RANDOM else designed
            for name in own:
                gamma = gammas[name] + more + 0.003 * rng.standard_normal()
                row[f"{name} {design}"] = np.maximum(n / 3.0, 1.0) ** -gamma
        rows.append(row)
    return rows


def test_sampling_verdicts_follow_the_curves(monkeypatch):
    e = Sampling(n_seeds=3, n_clusters=3000, n_pruned=1000, largest=1e5)
    exact = e.conclude(sampling_rows(e))
    laws = [c for c in exact.claims if "same window of the discrete law" in c.name]
    gained = [c for c in exact.claims if "exponent gained by" in c.name]
    assert len(laws) == 10
    assert len(gained) == 5
    assert {c.verdict for c in laws + gained} == {"agrees"}
    heavy = [c for c in gained if c.name.startswith("heavy tail")]
    assert all(c.predicted > 0.02 for c in heavy), "alpha = 0.3: the laws differ"
    # Designs that are as good as sites at random gain nothing over the same allocation.
    same = [c for c in exact.claims if "optimal + greedy less" in c.name and "field" not in c.name]
    assert {c.verdict for c in same} == {"agrees"}
    assert all(abs(c.measured) < 0.02 for c in same)
    monkeypatch.setattr(sampling, "CASES", (CASES[0], *CASES[3:]))
    steep = e.conclude(sampling_rows(e, power=-0.25))
    wrong = {
        c.name.split(":")[0] for c in steep.claims if c.verdict == "disagrees" and "law)" in c.name
    }
    assert wrong >= {"mean field, 1-NN", "smooth field on squares"}
    # There the weights decide, whatever the clusters do: alpha/(1 + alpha) < 1/4.
    claim = next(
        c for c in steep.claims if c.name.startswith("heavy tail, 1-NN: exponent of uniform")
    )
    assert claim.verdict == "inconclusive"
    assert 1.0 < (claim.predicted - claim.measured) / claim.tolerance < 1.2
    monkeypatch.setattr(sampling, "CASES", CASES[4:])
    better = e.conclude(sampling_rows(e, designed=0.4))
    claim = claim_with(better, "mean field, 1-NN: exponent of optimal + greedy less")
    assert claim.verdict == "disagrees"
    assert claim.measured > 0.05
