"""Absorption: planted dictionaries are told from one another; edges against brute force."""

import numpy as np
import pytest

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.interpret.absorption import absorption, latent_parents
from percolaw.interpret.probes import octave_latents

PARENT = np.array([-1, 0, 0, 1, -1])


@pytest.fixture(scope="module")
def data():
    """Five features in eight dimensions; 1 and 2 below 0, 3 below 1, 4 alone."""
    rng = np.random.default_rng(0)
    features = np.linalg.qr(rng.standard_normal((8, 8)))[0][:5]
    present = rng.random((400, 5)) < 0.4
    for child, parent in ((1, 0), (2, 0), (3, 1)):
        present[:, child] &= present[:, parent]
    present[:, 2] &= ~present[:, 1]
    return present @ features, features, present


def test_a_dictionary_of_the_features_absorbs_nothing(data):
    x, features, present = data
    found = absorption(x, present.astype(float), features, features, present, PARENT)
    assert found.absorbed.tolist() == found.missed.tolist() == [0.0, 0.0, 0.0]
    assert found.parent.tolist() == [0, 0, 1]
    assert found.child.tolist() == [1, 2, 3]
    assert found.main.tolist() == [0, 0, 1]


def test_a_planted_absorption_is_seen(data):
    """The atom of 2 is that of 2 and its parent, whose own atom is silent then."""
    x, features, present = data
    atoms, codes = features.copy(), present.astype(float)
    atoms[2] = (features[0] + features[2]) / np.sqrt(2)
    codes[:, 2] *= np.sqrt(2)
    codes[present[:, 2], 0] = 0.0
    np.testing.assert_allclose(codes @ atoms, x, atol=1e-12)
    found = absorption(x, codes, atoms, features, present, PARENT)
    assert found.absorbed.tolist() == [0.0, 1.0, 0.0]
    codes[present[:, 2], 2] *= 0.3  # too little of the parent's projection
    assert absorption(x, codes, atoms, features, present, PARENT).absorbed.tolist() == [0, 0, 0]
    codes[:, 2] = 0.0  # missed, and held by nobody
    lost = absorption(x, codes, atoms, features, present, PARENT)
    assert lost.missed.tolist() == [0.0, 1.0, 0.0]
    assert lost.absorbed.tolist() == [0.0, 0.0, 0.0]


def test_dead_atoms_are_nobodys_main_one(data):
    x, features, present = data
    atoms = np.vstack([features, features[0]])
    codes = np.column_stack([present, np.zeros(400)]).astype(float)
    codes[:, [0, 5]] = codes[:, [5, 0]]
    assert absorption(x, codes, atoms, features, present, PARENT).main.tolist() == [5, 5, 1]


def test_edges_of_latents_against_their_sites():
    merges = merge_tree(conditioned_clusters([700, 300], np.inf, rng=4), rng=1)
    latents = np.concatenate([octave_latents(merges, o) for o in (3, 8, 5)])
    inside = merges.membership(latents).toarray()
    for i, parent in enumerate(latent_parents(merges, latents)):
        holds = inside[inside[:, i]].all(axis=0)
        holds[i] = False
        sizes = np.where(holds, inside.sum(axis=0), 10_000)
        assert parent == (sizes.argmin() if holds.any() else -1)
    with pytest.raises(ValueError, match="twice"):
        latent_parents(merges, [4, 4])


def test_bad_input_is_refused(data):
    x, features, present = data
    codes = present.astype(float)
    for wrong, message in (
        ((x, 0 * codes, features, features, present, PARENT), "every atom is dead"),
        ((x[:-1], codes, features, features, present, PARENT), "row for each point"),
        ((x, codes[:, :3], features, features, present, PARENT), "column for each atom"),
        ((x, codes, features, features, present, PARENT[:2]), "parent must name"),
        ((x, codes, features, features, present, PARENT + 4), "parent must name"),
        ((x, codes, features, features, present, np.roll(np.arange(5), 1)), "in circles"),
        ((x, codes, features, features, present, np.arange(5)), "in circles"),
        ((x, codes, features, features, 2 * present, PARENT), "true and false"),
        ((x, codes, features, features, 0 * present, PARENT), "features meet"),
    ):
        with pytest.raises(ValueError, match=message):
            absorption(*wrong)
