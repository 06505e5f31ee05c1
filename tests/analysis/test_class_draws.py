"""Classes drawn from each null: what each keeps of the data."""

import numpy as np
import pytest
from graph_cases import grids

import percolaw.analysis.class_draws
from percolaw.analysis.class_draws import TRIES, class_draws
from percolaw.analysis.parts import NULLS
from percolaw.rng import Streams

GRAPH = grids([20])
LABEL = np.arange(400) // 100
LABEL[::7] = LABEL[::7][::-1]  # classes in domains, with sites of others among them


def agreement(label):
    return np.mean(label[GRAPH.low] == label[GRAPH.high])


@pytest.fixture(scope="module")
def drawn():
    """Classes of two draws of each null, and whether it equilibrated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percolaw.analysis.class_draws, "TRIES", TRIES[:1])
        made = {null: class_draws(null, GRAPH, LABEL, Streams(0)) for null in NULLS}
    return {null: ([draw(0), draw(1), draw(0)], known) for null, (draw, known) in made.items()}


def test_draws_depend_on_their_number(drawn):
    for first, second, again in (labels for labels, _ in drawn.values()):
        np.testing.assert_array_equal(first, again)
        assert np.any(first != second)


def test_only_maximum_entropy_must_equilibrate(drawn):
    known = {null: equilibrated for null, (_, equilibrated) in drawn.items()}
    assert known.pop("maximum entropy") in (True, False)
    assert set(known.values()) == {None}


def test_class_counts_are_kept(drawn):
    for null in ("permuted", "maximum entropy", "compact domains"):
        assert np.sort(np.bincount(drawn[null][0][0])).tolist() == [100] * 4


def test_agreement_of_each(drawn):
    share = {null: agreement(labels[0]) for null, (labels, _) in drawn.items()}
    assert share["permuted"] == pytest.approx(0.25, abs=0.08)
    assert share["maximum entropy"] == pytest.approx(agreement(LABEL), abs=0.05)
    assert share["compact domains"] > 2 * share["permuted"]
    # Sites of one cluster agree, so that more bonds do than are open: at .5, and at the data's share.
    assert 0.5 < share["critical"] < share["independent bonds"]
    assert share["independent bonds"] > agreement(LABEL)


def test_classes_of_random_bonds_are_connected_clusters(drawn):
    for null in ("critical", "independent bonds"):
        label = drawn[null][0][0]
        again = GRAPH.clusters(label[GRAPH.low] == label[GRAPH.high])
        np.testing.assert_array_equal(label, again)
