"""Logistic probes: what is there is read, nothing else is, a split by points is optimistic."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.interpret.logistic_probes import _parts


@pytest.fixture(scope="module")
def merges():
    return pl.merge_tree(pl.conditioned_clusters([2500, 1, 30], np.inf, rng=4), rng=1)


@pytest.fixture(scope="module")
def drawn(merges):
    return pl.HierarchicalFunction(standardized=False).on(merges, rng=3)


@pytest.mark.parametrize("split", ["latent", "subtree", "point"])
def test_signs_are_read_where_they_are(merges, drawn, split):
    latents = pl.octave_latents(merges, 3)
    inside = merges.membership(latents)
    noise = np.random.default_rng(0).standard_normal((merges.n_sites, 5))
    known = np.hstack([noise, (inside @ drawn.latent[latents])[:, None]])
    score = pl.sign_probe(known, merges, drawn.latent, latents, split=split)
    np.testing.assert_array_equal(score.truth, drawn.latent[latents] > 0)
    assert score.auc > 0.98
    assert score.mcc > 0.8
    assert score.interval[0] < score.gain < score.interval[1]
    assert score.interval[0] > 0.7
    shuffled = drawn.latent.copy()
    shuffled[latents] = np.random.default_rng(2).permutation(shuffled[latents])
    for form, normals in ((noise, drawn.latent), (known, shuffled)):
        none = pl.sign_probe(form, merges, normals, latents, split=split)
        error = 1 / np.sqrt(12 * min(none.truth.sum(), (~none.truth).sum()))
        assert abs(none.auc - 0.5) < 4 * error
        assert none.gain < 0.02
    inverted = pl.sign_probe(known, merges, -drawn.latent, latents, split=split)
    assert inverted.auc == pytest.approx(score.auc, abs=1e-3)


def test_labels_tell_signs_in_part(merges, drawn):
    score = pl.sign_probe(drawn.value[:, None], merges, drawn.latent, pl.octave_latents(merges, 2))
    assert 0.6 < score.auc < 0.85
    assert score.interval[0] > 0.0


def test_parts_are_the_largest_below_a_size(merges):
    part = _parts(merges, 10)
    sizes = merges.sizes()
    seen = {}
    for site, here in zip(merges.order, part, strict=True):
        seen.setdefault(here, set()).add(int(site))
    whole = {frozenset(merges.members(i).tolist()) for i in np.flatnonzero(sizes <= 10)}
    assert {frozenset(v) for v in seen.values() if len(v) > 1} <= whole
    for here in range(200):
        site = next(iter(seen[here]))
        above = [i for i in merges.ancestors(site) if sizes[i] <= 10]
        assert len(seen[here]) == (sizes[above[-1]] if above else 1)
    assert _parts(merges, 1).tolist() == list(range(merges.n_sites))


def test_members_are_told_from_places_only_by_points(merges):
    """A code of membership is read in either way; places of parts alone only where points are split."""
    latents = pl.octave_latents(merges, 6)[:4]
    rng = np.random.default_rng(3)
    code = merges.membership(latents) @ rng.standard_normal((4, 8))
    code += 0.1 * rng.standard_normal(code.shape)
    clear = pl.logistic_membership_probe(code, merges, latents)
    assert clear.auc.min() > 0.999
    assert clear.mcc.min() > 0.98
    assert clear.gain.min() > 0.98
    noise = pl.logistic_membership_probe(rng.standard_normal(code.shape), merges, latents)
    size = merges.sizes()[latents]
    assert np.all(np.abs(noise.auc - 0.5) < 4 / np.sqrt(12 * size))
    assert noise.gain.max() < 0.01
    assert np.abs(noise.mcc).max() < 0.1
    part = np.empty(merges.n_sites, dtype=np.int64)
    part[merges.order] = _parts(merges, int(size.min()) // 8)
    place = rng.standard_normal((part.max() + 1, 60))[part]
    by_point, by_part = (
        pl.logistic_membership_probe(place, merges, latents[:2], split=split)
        for split in ("point", "subtree")
    )
    assert by_point.auc.mean() > by_part.auc.mean() + 0.15
    assert by_point.gain.mean() > by_part.gain.mean() + 0.15


def test_bad_input_is_refused(merges, drawn):
    x = np.zeros((merges.n_sites, 3))
    latents = pl.octave_latents(merges, 3)
    with pytest.raises(ValueError, match="two of each sign"):
        pl.sign_probe(x, merges, np.abs(drawn.latent), latents)
    with pytest.raises(ValueError, match="smaller octave"):
        pl.sign_probe(x, merges, drawn.latent, latents[:9])
    with pytest.raises(ValueError, match="restrict"):
        pl.logistic_membership_probe(x[:9], merges, latents)
    with pytest.raises(ValueError, match="latents need 16 sites, four a fold"):
        pl.logistic_membership_probe(x, merges, latents)
    whole = pl.merge_tree(pl.conditioned_clusters(40, np.inf, rng=0), rng=1)
    with pytest.raises(ValueError, match="less than all 40"):
        pl.logistic_membership_probe(x[:40], whole, [0])
    with pytest.raises(ValueError, match="unknown split 'latent'; choose from subtree, point"):
        pl.logistic_membership_probe(x, merges, pl.octave_latents(merges, 6), split="latent")
    constant = pl.sign_probe(x, merges, drawn.latent, latents)
    assert constant.mcc == 0.0
    assert constant.auc == pytest.approx(0.5)
