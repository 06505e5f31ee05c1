"""Probes of latents: true normals reach 1, shuffled ones 0, a leaking split is optimistic."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.interpret.ceiling import latent_posterior
from percolaw.interpret.probes import membership_probe, octave_latents, value_probe
from percolaw.interpret.scores import unit_scores
from percolaw.targets.hierarchical import HierarchicalFunction


@pytest.fixture(scope="module")
def merges():
    return merge_tree(conditioned_clusters([6000, 1, 30], np.inf, rng=4), rng=1)


@pytest.fixture(scope="module")
def drawn(merges):
    return HierarchicalFunction(standardized=False).on(merges, rng=3)


def test_octaves_are_disjoint_and_all_there(merges):
    for octave in (1, 3, 6):
        chosen = octave_latents(merges, octave)
        sizes = merges.sizes()[chosen]
        assert np.all((sizes >= 2**octave) & (sizes < 2 ** (octave + 1)))
        covered = np.concatenate([merges.members(i) for i in chosen])
        assert np.unique(covered).size == covered.size
        every = np.flatnonzero(merges.octaves() == octave)
        assert set(np.concatenate([merges.members(i) for i in every])) == set(covered)
    with pytest.raises(ValueError, match="largest octave is 12"):
        octave_latents(merges, 20)


@pytest.mark.parametrize("split", ["latent", "subtree", "point"])
def test_a_representation_of_the_normals_is_read(merges, drawn, split):
    latents = octave_latents(merges, 3)
    inside = merges.membership(latents)
    noise = np.random.default_rng(0).standard_normal((merges.n_sites, 5))
    known = np.hstack([noise, (inside @ drawn.latent[latents])[:, None]])
    score = value_probe(known, merges, drawn.latent, latents, split=split)
    assert score.r2 > 0.99, score.r2
    for wrong in (noise, known[np.random.default_rng(1).permutation(merges.n_sites)]):
        none = value_probe(wrong, merges, drawn.latent, latents, split=split)
        assert none.interval[0] < 0.02
        assert none.r2 < 0.05
    shuffled = np.random.default_rng(2).permutation(drawn.latent)
    assert value_probe(known, merges, shuffled, latents, split=split).r2 < 0.05


def test_a_split_by_points_is_optimistic(merges, drawn):
    """Many features of the place alone: new latents are not guessed, seen ones are."""
    latents = octave_latents(merges, 5)
    rng = np.random.default_rng(0)
    centre = rng.standard_normal((latents.size, 600))
    place = merges.membership(latents) @ centre + 0.01 * rng.standard_normal((merges.n_sites, 600))
    by_point = value_probe(place, merges, drawn.latent, latents, split="point").r2
    by_latent = value_probe(place, merges, drawn.latent, latents, split="latent").r2
    assert by_point > 0.9
    assert by_latent < 0.1


def test_labels_say_less_than_the_ceiling(merges, drawn):
    latents = octave_latents(merges, 2)
    ceiling = latent_posterior(merges, drawn.value).ceiling(latents)
    score = value_probe(drawn.value[:, None], merges, drawn.latent, latents)
    assert 0.03 < score.interval[0] < score.r2 < ceiling - 0.1
    assert score.interval[0] < score.r2 < score.interval[1]


def test_scores_of_units_against_scikit_learn(merges):
    rng = np.random.default_rng(5)
    latents = np.concatenate([octave_latents(merges, 4)[:4], octave_latents(merges, 7)[:3]])
    inside = merges.membership(latents).toarray()
    signal = inside @ rng.standard_normal((latents.size, 6)) + rng.standard_normal(
        (merges.n_sites, 6)
    )
    signal = np.round(signal)  # ties
    found = unit_scores(signal, merges, latents, candidates=6)
    for j in range(latents.size):
        best = []
        for unit in range(6):
            sign = np.sign(np.corrcoef(signal[:, unit], inside[:, j])[0, 1])
            x = sign * signal[:, unit]
            levels = np.unique(x[inside[:, j]])
            best.append(
                [
                    max(f(inside[:, j], x >= v) for v in levels)
                    for f in (f1_score, matthews_corrcoef)
                ]
            )
        assert found.f1[j] == pytest.approx(np.max(best, axis=0)[0])
        assert found.mcc[j] == pytest.approx(np.max(best, axis=0)[1])
        assert best[found.unit[j]][0] == pytest.approx(found.f1[j])


def test_members_are_told_apart_by_a_linear_map(merges):
    latents = octave_latents(merges, 7)[:5]
    rng = np.random.default_rng(3)
    mixed = merges.membership(latents) @ rng.standard_normal((5, 12))
    clear = membership_probe(mixed + 0.01 * rng.standard_normal(mixed.shape), merges, latents)
    np.testing.assert_allclose(clear.f1, 1.0)
    np.testing.assert_allclose(clear.mcc, 1.0)
    noise = membership_probe(rng.standard_normal(mixed.shape), merges, latents)
    share = merges.sizes()[latents] / merges.n_sites
    assert np.all(noise.f1 < 2 * share / (1 + share) + 0.05)
    assert np.all(noise.mcc < 0.1)


def test_bad_input_is_refused(merges, drawn):
    x = np.zeros((merges.n_sites, 3))
    latents = octave_latents(merges, 3)
    with pytest.raises(ValueError, match="restrict"):
        value_probe(x[:10], merges, drawn.latent, latents)
    with pytest.raises(ValueError, match="smaller octave"):
        value_probe(x, merges, drawn.latent, latents[:7])
    part = np.flatnonzero((merges.sizes() > 3) & (merges.sizes() < merges.n_sites // 20))
    place = merges.first[part]
    one = part[(place >= place[0]) & (place < merges.stop[part[0]])][:12]
    if one.size >= 8:
        with pytest.raises(ValueError, match="split='latent'"):
            value_probe(x, merges, drawn.latent, one, split="subtree", n_folds=2)
    with pytest.raises(ValueError, match="normals"):
        value_probe(x, merges, drawn.latent[:-1], latents)
    with pytest.raises(ValueError, match="four sites"):
        membership_probe(x, merges, np.flatnonzero(merges.sizes() == 2)[:2])
    with pytest.raises(ValueError, match="empty"):
        unit_scores(x, merges, [])
    with pytest.raises(ValueError, match="finite"):
        unit_scores(x + np.nan, merges, latents)
    constant = value_probe(x, merges, drawn.latent, latents)
    assert abs(constant.r2) < 0.02
