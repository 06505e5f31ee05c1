"""Quanta from gradients: planted ones are found, one is one, shuffled ones score nothing."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import SpectralClustering

import percolaw as pl
from percolaw.interpret.quanta import _affinity, _directions, rank_slope
from percolaw.laws.scaling_laws import zipf_weights


def planted(n_quanta, n=240, noise=1.0, rng=0, signs=False):
    """Directions with noise, used by Zipf's law, and which one each sample has."""
    generator = np.random.default_rng(rng)
    truth = generator.choice(n_quanta, n, p=zipf_weights(0.5, n_quanta))
    gradients = generator.standard_normal((n_quanta, 500))[truth]
    if signs:
        gradients *= generator.choice([-1.0, 1.0], n)[:, None]
    return gradients + noise * generator.standard_normal((n, 500)), truth


@pytest.mark.parametrize(("signs", "signed"), [(False, True), (False, False), (True, False)])
def test_planted_quanta_are_found_and_counted(signs, signed):
    gradients, truth = planted(6, signs=signs)
    quanta = pl.discover_quanta(gradients, signed=signed)
    assert pl.adjusted_rand(quanta.label, truth) > 0.95
    assert quanta.slope() == pytest.approx(rank_slope(truth), abs=0.1)
    np.testing.assert_array_equal(quanta.size, np.bincount(quanta.label))
    assert np.all(np.diff(quanta.size) <= 0)
    assert np.sum(quanta.eigenvalue[1:] > quanta.noise) == quanta.n_quanta - 1


def test_opposite_gradients_of_one_quantum_are_two_clusters_unless_lines_are_compared():
    gradients, _ = planted(1, signs=True)
    assert [pl.discover_quanta(gradients, signed=s).n_quanta for s in (True, False)] == [2, 1]


@pytest.mark.parametrize("noise", [0.5, 4.0])
@pytest.mark.parametrize("rng", range(3))
def test_one_quantum_is_one(noise, rng):
    assert pl.discover_quanta(planted(1, noise=noise, rng=rng)[0], rng=rng).n_quanta == 1


def test_shuffled_gradients_score_nothing():
    gradients, truth = planted(6)
    shuffled = np.random.default_rng(1).permuted(gradients, axis=0)
    assert pl.discover_quanta(shuffled).n_quanta == 1
    assert abs(pl.adjusted_rand(pl.discover_quanta(shuffled, 6).label, truth)) < 0.05


def test_too_many_clusters_cut_the_largest_quanta():
    gradients, truth = planted(6)
    twice = pl.discover_quanta(gradients, 12)
    assert twice.size[0] < 0.8 * np.bincount(truth).max()
    assert twice.slope() > rank_slope(truth) + 0.2
    assert math.isnan(twice.noise)


def test_clusters_are_those_of_scikit_learn():
    gradients, _ = planted(5, noise=2.0)
    affinity = _affinity(_directions(gradients), True)
    theirs = SpectralClustering(5, affinity="precomputed", random_state=0).fit_predict(affinity)
    assert pl.adjusted_rand(pl.discover_quanta(gradients, 5).label, theirs) > 0.95


def test_affinities_are_one_half_and_nothing_for_unrelated_gradients():
    rows = [[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0]]
    np.testing.assert_allclose(
        _affinity(_directions(rows), True)[0], [1, 1, 0.5, 0, 0.75], atol=1e-7
    )
    lines = _affinity(_directions(rows), False)[0]
    np.testing.assert_allclose(lines, [1, 1, 0, 1, 0.5], atol=1e-7)


def test_slopes_of_exact_rank_laws():
    sizes = np.round(2000.0 * np.arange(1.0, 30.0) ** -1.5).astype(int)
    label = np.repeat(np.arange(sizes.size), sizes)
    assert rank_slope(label) == pytest.approx(-1.5, abs=0.02)
    assert math.isnan(rank_slope([0, 0, 1, 1]))


@pytest.mark.parametrize(
    ("gradients", "number", "message"),
    [
        (np.zeros((4, 3)), None, "4 gradients are 0"),
        (np.array([[1.0, np.inf]] * 4), None, "finite"),
        (np.ones(4), None, r"shape \(n, n_directions\)"),
        (np.eye(4), 5, "n_quanta must be"),
        (np.eye(4), 0, "n_quanta must be"),
    ],
)
def test_what_has_no_directions_is_refused(gradients, number, message):
    with pytest.raises(ValueError, match=message):
        pl.discover_quanta(gradients, number)


def test_the_example_of_the_page_prints_what_it_says(capsys):
    torch = pytest.importorskip("torch")
    state = torch.get_rng_state()
    page = (Path(__file__).parents[2] / "docs" / "quanta.md").read_text(encoding="utf-8")
    code, after = page.split("## Your own model")[1].split("```python\n")[1].split("```\n", 1)
    try:
        exec(compile(code, "docs/quanta.md", "exec"), {})
    finally:
        torch.set_rng_state(state)
    assert f"prints `{capsys.readouterr().out.strip()}`" in " ".join(after.split())


def test_equal_directions_are_one_quantum_and_sparse_gradients_are_counted():
    one = np.tile(np.random.default_rng(0).standard_normal(500), (60, 1))
    for equal in (np.ones((50, 20)), one, one * np.linspace(1.0, 3.0, 60)[:, None]):
        assert pl.discover_quanta(equal).n_quanta == 1
    assert pl.discover_quanta(np.repeat(np.eye(3), 20, axis=0)).size.tolist() == [20, 20, 20]
