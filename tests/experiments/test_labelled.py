"""Scale factors by both definitions: test sites anywhere, and test sites that are not observed."""

import dataclasses
import math
import random

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.experiments import labelled
from percolaw.experiments.brill2024.single_cluster import PUBLISHED_FACTORS, SingleCluster
from percolaw.learners import observations

SMALL = labelled.Clusters(n_clusters=6, max_size=20_000)
EVERY = ("nearest", "adjusted", "posterior")


def test_the_default_draws_are_those_of_before():
    factors = labelled.scale_factors(SMALL, 3)
    assert factors[:3] == pytest.approx([6.822239131135536, 2.11503019884699, 3.1940965530952754])
    assert factors[3:] == pytest.approx([4.711921639943977, 12.472324194391893, 6.05772435550902])
    losses = labelled.cluster_losses(
        labelled.prepare(SMALL, 3), np.full(6, 0.05), np.full(6, 40), 7, ("adjusted",)
    )
    first = [0.3207641064660317, 0.32169763230170595, 0.2522511305119336]
    assert losses[0, :3] == pytest.approx(first, rel=1e-12)
    last = [0.3258816644325906, 0.9522445197916415, 0.5820192899005239]
    assert losses[0, 3:] == pytest.approx(last, rel=1e-12)


def seen_by_the_learner(monkeypatch, test_sites, rate=0.5):
    """Observed and test sites of one call of cluster_losses."""
    data, kept = labelled.prepare(SMALL, 3), []
    with monkeypatch.context() as patch:
        right = observations.observe
        patch.setattr(
            observations, "observe", lambda *given: kept.append(given[1::2]) or right(*given)
        )
        labelled.cluster_losses(data, np.full(6, rate), np.full(6, 40), 0, EVERY, test_sites)
    return data.tree, *kept[0]


def test_unobserved_test_sites_are_distinct_and_never_observed(monkeypatch):
    tree, observed, test = seen_by_the_learner(monkeypatch, "unobserved")
    assert np.unique(test).size == test.size == 6 * 40
    assert np.intersect1d(observed, test).size == 0
    count = np.diff(np.searchsorted(np.sort(test), tree.start))
    assert count.tolist() == [40] * 6
    # Their number is that of the rate, although test sites are kept out.
    half = 0.5 * tree.n_sites
    assert abs(observed.size - half) < 5 * math.sqrt(0.25 * tree.n_sites)
    # Control: sites drawn anywhere are observed half of the time.
    _, observed, test = seen_by_the_learner(monkeypatch, "all")
    assert np.isin(test, observed).mean() == pytest.approx(0.5, abs=0.17)


# ---- the definition by hand


def chemical_distances(parent):
    """All distances between the sites of one tree, by walking up from both ends."""
    n = len(parent)
    up = []
    for site in range(n):
        line = [site]
        while parent[line[-1]] >= 0:
            line.append(parent[line[-1]])
        up.append({place: steps for steps, place in enumerate(line)})
    return [
        [min(up[a][x] + up[b][x] for x in up[a].keys() & up[b].keys()) for b in range(n)]
        for a in range(n)
    ]


def by_hand(parent, value, n, n_test, repeats, only_unobserved):
    """Errors of distance-adjusted 1-NN as the paper defines it, with Python's own random numbers."""
    rng, size = random.Random(1), len(parent)
    apart = chemical_distances(parent)
    found = []
    for _ in range(repeats):
        if only_unobserved:
            test = rng.sample(range(size), n_test)
            rest = sorted(set(range(size)) - set(test))
        else:
            test, rest = [rng.randrange(size) for _ in range(n_test)], list(range(size))
        observed = [site for site in rest if rng.random() < n / len(rest)]
        total = 0.0
        for t in test:
            guess = 0.0
            if observed:
                near = min(apart[t][o] for o in observed)
                chosen = rng.choice([o for o in observed if apart[t][o] == near])
                guess = value[chosen] / (1.0 + near / math.sqrt(size))
            total += (guess - value[t]) ** 2
        found.append(total / n_test)
    return found


@pytest.mark.parametrize(("n", "n_test"), [(3.0, 12), (12.0, 25)])
def test_losses_are_those_of_the_definition_written_out(n, n_test):
    clusters = labelled.Clusters(n_clusters=1, min_size=60, max_size=90)
    data = labelled.prepare(clusters, 5)
    size = int(data.tree.sizes[0])
    rate, count = np.full(1, n / size), np.full(1, n_test)
    means = {}
    for where in labelled.TEST_SITES:
        ours = [
            labelled.cluster_losses(data, rate, count, item, ("adjusted",), where)[0, 0]
            for item in range(600)
        ]
        theirs = by_hand(
            data.tree.parent.tolist(), data.value.tolist(), n, n_test, 600, where == "unobserved"
        )
        (a, da), (b, db) = mean_and_error(ours), mean_and_error(theirs)
        assert_close(a, b, math.hypot(da, db))
        means[where] = a, b, math.hypot(da, db)
    if n > 10:  # control: the two definitions are told apart
        assert_far(means["unobserved"][0], means["all"][1], means["unobserved"][2])


@pytest.mark.parametrize(("rate", "factor"), [(0.031, 0.8787), (0.098, 0.8101)])
def test_large_clusters_have_the_loss_given_an_unobserved_site(rate, factor):
    """Mean distance to the nearest observed site over sqrt(2/rate), from the infinite cluster."""
    data = labelled.prepare(labelled.Clusters(n_clusters=200, min_size=20_000, max_size=40_000), 1)
    count = np.full(200, 2000)
    spread = math.sqrt(2.0 / (rate * 198 / 199))
    for where, expected in (("unobserved", factor), ("all", factor * (1.0 - rate))):
        loss = labelled.cluster_losses(data, np.full(200, rate), count, 0, ("nearest",), where)[0]
        mean, error = mean_and_error(loss * data.variance / spread)
        assert error < 0.2 * rate * factor  # five of these are the difference of the definitions
        # The table is for infinitely many neighbours: 0.004 covers z = 200.
        assert_close(mean, expected, error, bias=0.004)
    assert_far(mean, factor, error)


def test_factors_of_small_clusters_are_a_tenth_larger_on_unobserved_sites():
    clusters = labelled.Clusters(n_clusters=150, max_size=1500)
    ratio = [
        labelled.scale_factors(clusters, seed, "unobserved").mean()
        / labelled.scale_factors(clusters, seed).mean()
        for seed in range(2)
    ]
    assert min(ratio) > 1.05
    assert max(ratio) < 1.25


@pytest.mark.parametrize(
    ("rate", "n_test", "where", "message"),
    [
        (0.9, 200, "unobserved", r"sites cannot have 200 test sites beside .* observed ones; test"),
        (0.1, 40, "observed", r"unknown test_sites 'observed'.*unobserved"),
        (0.1, 40, None, "test_sites"),
    ],
)
def test_impossible_test_sites_are_refused(rate, n_test, where, message):
    data = labelled.prepare(labelled.Clusters(n_clusters=3, max_size=1000), 0)
    with pytest.raises((ValueError, TypeError), match=message):
        labelled.cluster_losses(data, np.full(3, rate), np.full(3, n_test), 0, EVERY, where)


# ---- claims


N_CLUSTERS = 20


def measured(n_seeds=3):
    experiment = SingleCluster(
        n_seeds=n_seeds, clusters=labelled.Clusters(n_clusters=N_CLUSTERS, max_size=90_000)
    )
    return experiment, [row for cell in experiment.cells() for row in experiment.measure(cell)]


def test_published_factors_are_held_against_their_own_definition():
    experiment, rows = measured()
    factors = [row for row in rows if row["kind"] == "factors"]
    by = {where: [r for r in factors if r["test_sites"] == where] for where in labelled.TEST_SITES}
    assert [r["learner"] for r in by["unobserved"]] == ["adjusted"] * 3
    for row in by["unobserved"]:  # measured by the definition whose name they bear
        factor = labelled.scale_factors(experiment.clusters, row["seed"], "unobserved")
        np.testing.assert_allclose(row["factor"], factor)
    claims = [c for c in experiment.conclude(rows).claims if "scale factor" in c.name]
    assert [c.name.split(" scale")[0] for c in claims] == list(PUBLISHED_FACTORS)
    of = {
        "mean": lambda r: np.mean(r["factor"]),
        "median": lambda r: np.median(r["factor"]),
        "size-weighted mean": lambda r: np.sum(r["factor"] * r["size"]) / np.sum(r["size"]),
    }
    everywhere = [r for r in by["all"] if r["learner"] == "adjusted"]
    for claim, (name, (value, scatter)) in zip(claims, PUBLISHED_FACTORS.items(), strict=True):
        assert "unobserved sites as published" in claim.name
        assert claim.predicted == value
        assert claim.tolerance == 2.0 * scatter
        assert claim.measured == pytest.approx(np.mean([of[name](r) for r in by["unobserved"]]))
        other = np.mean([of[name](r) for r in everywhere])
        assert f"observed ones (error 0) included: {other:.2f};" in claim.note
        assert "other clusters than the published ones" in claim.note
    # The rows of all sites do not enter the claim.
    changed = [
        r | {"factor": [1.0] * N_CLUSTERS} if r in everywhere else r for r in rows if "bin" not in r
    ]
    changed += [r for r in rows if "bin" in r]
    again = [c for c in experiment.conclude(changed).claims if "scale factor" in c.name]
    assert [c.measured for c in again] == [c.measured for c in claims]
    paper = dataclasses.replace(experiment, clusters=labelled.Clusters())
    assert not any("other clusters" in c.note for c in paper.conclude(rows).claims)


def test_configs_that_leave_no_room_for_test_sites_are_refused():
    with pytest.raises(ValueError, match="twice n_test"):
        SingleCluster(n_test=200)
    with pytest.raises(ValueError, match="published_deviations"):
        SingleCluster(published_deviations=-1.0)
