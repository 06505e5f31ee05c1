"""Estimates and their report: formulas of the summary, trust, sentences, few points."""

import functools
import json
import math

import numpy as np
import pytest
from dimension_cases import likelihood, neighbour_distances, padded, plain_points, ratio_regression

import percolaw
from percolaw.dimension.estimate import ESTIMATORS, estimate_dimension
from percolaw.dimension.mle import MLE, local_dimension
from percolaw.dimension.sample import summarize
from percolaw.dimension.two_nn import TwoNN

# ---- oracles: plain loops from the papers, sharing nothing with the package ----


def test_summary_formulas():
    rng = np.random.default_rng(0)
    values = [3.0 + rng.normal(0, 0.1, m) for m in (1, 2, 4, 8)]
    n_points = [800, 400, 200, 100]
    found = summarize(values, n_points)
    mean = [float(np.mean(v)) for v in values]
    assert found.dimension == mean[0]
    error = float(np.std(values[-1], ddof=1)) / math.sqrt(8)
    assert found.standard_error == pytest.approx(error)
    x = [(n / 800) ** (-1 / mean[0]) for n in n_points]
    fitted = np.polyfit(x, mean, 1)[1]
    assert found.extrapolated == pytest.approx(fitted)
    t = 2.364624251  # Student, 7 degrees of freedom, 97.5% (tables)
    centre = sum(x) / 4
    wide = error * math.sqrt(1 / 4 + centre**2 / sum((v - centre) ** 2 for v in x))
    drift = abs(mean[0] - mean[1])
    rows = np.stack([np.ones(4), x, np.square(x)], axis=1)
    row = np.linalg.solve(rows.T @ rows, rows.T)[0]
    bent = float(row @ mean)
    assert abs(bent - fitted) > error * float(np.sqrt(row @ row))  # more than its error
    slope = np.diff(mean) / np.diff(x)
    turned = min(1.0, max(0.0, 1.0 - slope[0] / slope[np.argmax(np.abs(slope))]))
    reach = turned * max(max(mean) - min(mean), abs(fitted - mean[0])) + t * error
    low = min(min(mean[0] - t * error, fitted - t * wide, bent) - drift, mean[0] - reach)
    high = max(max(mean[0] + t * error, fitted + t * wide, bent) + drift, mean[0] + reach)
    assert found.interval == pytest.approx((max(0.0, low), high), rel=1e-6)
    np.testing.assert_allclose(found.level, mean)


def test_extrapolation_recovers_an_edge_bias():
    n_points = [1600, 800, 400, 200, 100]
    level = [4.0 - 0.5 * (n / 1600) ** (-1 / 3.5) for n in n_points]  # 3.5 on all points
    found = summarize([np.full(2**i, v) for i, v in enumerate(level)], n_points)
    assert found.extrapolated == pytest.approx(4.0)
    assert found.dimension == pytest.approx(3.5)
    assert found.interval[1] >= 4.0


# ---- report ----


def test_report_tables_are_the_estimators():
    x = plain_points()
    report = estimate_dimension(x)
    distance = neighbour_distances(x, 50).tolist()
    ks = [2, 3, 5, 10, 20, 50]  # up to n/8
    assert report.by_neighbors["k"] == ks
    for i, k in enumerate(ks):
        ratio, one = report.by_neighbors["ratio"][i], report.by_neighbors["likelihood"][i]
        assert ratio == pytest.approx(ratio_regression(distance, k), rel=1e-9)
        assert one == pytest.approx(likelihood(distance, k, "inverse"), rel=1e-9)
        assert ratio == pytest.approx(TwoNN(k).fit(x).dimension_, rel=1e-12)
        assert one == pytest.approx(MLE(k).fit(x).dimension_, rel=1e-12)
    local = local_dimension(x, 50)
    assert report.local == pytest.approx(tuple(np.quantile(local, [0.05, 0.25, 0.5, 0.75, 0.95])))
    assert (report.n_points, report.embedding_dimension, report.n_constant) == (600, 5, 0)
    assert estimate_dimension(padded(x)).n_constant == 4


def test_report_summarises_its_estimates():
    report = estimate_dimension(plain_points())
    each = list(report.estimates.values())
    assert list(report.estimates) == list(ESTIMATORS)
    assert report.dimension == np.median([e.dimension for e in each])
    assert report.interval[0] == np.median([e.interval[0] for e in each])
    assert report.interval[1] == np.median([e.interval[1] for e in each])
    drift = np.median([abs(e.level[-1] / e.dimension - 1) for e in each])
    assert report.drift == pytest.approx(drift)
    finest = [e.dimension for e in each]
    assert report.spread == pytest.approx((max(finest) - min(finest)) / report.dimension)


def test_report_as_plain_values():
    report = estimate_dimension(plain_points())
    plain = report.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["dimension"] == report.dimension
    assert plain["sentence"] == report.sentence
    for name, e in report.estimates.items():
        assert plain["estimates"][name]["level"] == list(e.level)
        assert plain["estimates"][name]["interval"] == list(e.interval)


def noisy_square(seed):
    x = percolaw.make_manifold("cube", 1200, 2, dim=10, rng=seed).X
    return x + 0.02 * np.random.default_rng(seed).standard_normal(x.shape)


@functools.cache
def reports(seed):
    """Of a torus, which has one dimension, of a cloud in many, and of a noisy square, which has none."""
    return (
        estimate_dimension(percolaw.make_manifold("torus", 1600, 2, dim=8, rng=seed).X),
        estimate_dimension(np.random.default_rng(seed).standard_normal((1000, 20))),
        estimate_dimension(noisy_square(seed)),
    )


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_trust(seed):
    steady, rough, none = reports(seed)
    assert steady.trust == "steady"
    assert max(steady.drift, steady.spread / 2) <= 0.06
    assert steady.sentence.startswith("One dimension fits all scales tested (100 to 1600 points)")
    assert "lower bound" not in steady.sentence
    assert rough.trust == "rough"
    assert 0.06 < max(rough.drift, rough.spread / 2) <= 0.25
    assert "not settled" in rough.sentence
    assert "lower bound" in rough.sentence  # 15 read of 20, beyond 2 log10(1000) = 6
    assert "= 6.0" in rough.sentence
    assert rough.dimension < 18
    assert none.trust == "none"
    assert max(none.drift, none.spread / 2) > 0.25
    assert "No single dimension" in none.sentence
    assert "before quoting one" in none.sentence


def test_sentences_hold_the_numbers():
    r, cloud, square = reports(0)
    for number in (r.dimension, *r.interval):
        assert f"{number:.2f}" in r.sentence
    r = cloud
    coarse = np.median([e.level[-1] for e in r.estimates.values()])
    for text in (
        f"{r.dimension:.2f}",
        f"{coarse:.2f}",
        "1000",
        "125",
        *map("{:.1f}".format, r.interval),
    ):
        assert text in r.sentence
    r = square
    finest = [e.dimension for e in r.estimates.values()]
    coarsest = [e.level[-1] for e in r.estimates.values()]
    for number in (min(finest), max(finest), min(coarsest), max(coarsest)):
        assert f"{number:.1f}" in r.sentence
    assert "1200" in r.sentence
    assert "150" in r.sentence


def test_report_on_the_fewest_points_uses_what_it_can():
    report = estimate_dimension(np.random.default_rng(0).random((100, 2)))
    assert report.by_neighbors["k"] == [2, 3, 5, 10]
    assert "MLE, k = 20" not in report.estimates
    assert math.isfinite(report.dimension)
    assert report.interval == (0.0, math.inf)


def test_progress_rises_to_its_end():
    seen = []
    x = np.random.default_rng(0).random((1600, 2))
    estimate_dimension(x, progress=lambda done, total: seen.append((done, total)))
    done, total = zip(*seen, strict=True)
    assert set(total) == {int(1.4 * 1600**2 * (2 - 1 / 16)) // 1_000_000}
    assert list(done) == sorted(done)
    assert done[-1] == total[-1]
    assert done[-2] > 0.6 * total[-1]  # what is left when all searches are done


def test_progress_is_a_bar_if_asked_for(capsys):
    x = np.random.default_rng(0).random((1200, 2))
    for progress in (False, True):
        estimate_dimension(x, progress=progress)
        assert ("100%" in capsys.readouterr().err) == progress


# ---- known faults ----


def test_summary_of_huge_estimates():
    found = summarize([np.full(m, 1e17) for m in (1, 2, 4)], [800, 400, 200])
    assert found.dimension == 1e17


def test_one_scale_is_not_called_steady():
    report = estimate_dimension(np.random.default_rng(0).random((150, 2)))
    assert report.estimates["TwoNN"].level.size == 1
    assert report.trust != "steady"


def test_no_interval_is_wider_than_the_columns_that_vary():
    x = np.zeros((1000, 9))
    x[:, :6] = np.random.default_rng(0).standard_normal((1000, 6))
    report = estimate_dimension(x)
    assert max(e.interval[1] for e in report.estimates.values()) == 6.0
    assert report.interval[0] < 6.0
    flat = estimate_dimension(np.random.default_rng(0).random((1000, 2)))
    for e in (*report.estimates.values(), *flat.estimates.values()):
        assert e.interval[0] <= e.dimension <= e.interval[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_grid_that_was_turned_is_a_grid(dtype):
    grid = np.stack(np.meshgrid(*[np.arange(45.0)] * 2), axis=-1).reshape(-1, 2)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0][:2]
    with pytest.raises(ValueError, match=r"equally far|lattice"):
        estimate_dimension((grid @ turn + 3.0).astype(dtype))


def test_where_only_the_estimators_differ_the_scales_are_not_blamed():
    x = np.random.default_rng(3).standard_cauchy((2000, 3))
    report = estimate_dimension(x)
    assert report.trust == "rough"
    assert "at all scales tested, but estimators differ" in report.sentence
