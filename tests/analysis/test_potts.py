"""Labels of maximum entropy: against all labels of a 3 x 3 grid, and from both sides."""

import itertools
from collections import Counter

import numpy as np
import pytest
from statistical import P_FLOOR, assert_close, chi_squared_p

from percolaw.analysis.labelled import labelled_graph
from percolaw.analysis.potts import LARGEST_R_HAT, potts_null
from percolaw.kernels import potts as kernel

COUNTS = (5, 3, 1)
GOAL, WIDTH, COUPLING = 5.0, 3.0, 0.9


def grid(length):
    site = np.arange(length**2).reshape(length, length)
    right = np.stack([site[:, :-1].ravel(), site[:, 1:].ravel()])
    down = np.stack([site[:-1].ravel(), site[1:].ravel()])
    low, high = np.concatenate([right, down], axis=1).astype(np.int32)
    return length**2, low, high


def striped(length, n_classes, agreement, seed=0):
    """Stripes of equal width, then random exchanges until the agreement has fallen to the one asked."""
    n, low, high = grid(length)
    label = np.arange(n) * n_classes // n
    rng = np.random.default_rng(seed)
    while np.mean(label[low] == label[high]) > agreement:
        pair = rng.integers(0, n, 2)
        label[pair] = label[pair[::-1]]
    return label


def state(low, high, label):
    """Agreeing bonds, the largest same-label cluster, and the class of three sites unlike each other."""
    root = np.empty(label.size, np.int32)
    agreeing, largest, _ = kernel.same_label(low, high, label, root)
    return agreeing, largest, label[0], label[1], label[4]


#: A star of four rays, a pair, and two sites alone: degrees unlike each other, and often single sites.
STAR = (9, np.array([0, 0, 0, 0, 5], np.int32), np.array([1, 2, 3, 4, 6], np.int32))
#: A pair among sites alone: how often it changes class hangs on the ways to choose the single sites.
PAIR = (9, np.array([0], np.int32), np.array([1], np.int32))
#: Connected: an exchange takes the label of a neighbour, so sites alone would keep theirs.
TREE = (9, np.array([0, 0, 0, 0, 4, 5, 6, 6], np.int32), np.arange(1, 9, dtype=np.int32))


def exact(graph, coupling):
    """Every state of all 504 labels with the given counts, and its probability."""
    n, low, high = graph
    states = []
    for first in itertools.combinations(range(n), COUNTS[0]):
        for second in itertools.combinations([i for i in range(n) if i not in first], COUNTS[1]):
            label = np.full(n, 2, np.int32)
            label[list(first)], label[list(second)] = 0, 1
            states.append(state(low, high, label))
    keys, which = np.unique(states, axis=0, return_inverse=True)
    agreeing = np.array(states)[:, 0]
    weight = np.exp(coupling * agreeing - 0.5 * ((agreeing - GOAL) / WIDTH) ** 2)
    return [tuple(key) for key in keys], np.bincount(which.ravel(), weight) / weight.sum()


def drawn(graph, moves, n_draws=5000, spacing=6):
    """States along a chain."""
    n, low, high = graph
    labelled = labelled_graph(n, low, high, np.repeat([0, 1, 2], COUNTS))
    label, first, agreeing = labelled.label.copy(), labelled.first, labelled.n_agreeing
    rows = (labelled.indptr, labelled.neighbor)
    member, place = np.empty(n, np.int32), np.empty(n, np.int32)
    keys = np.random.default_rng(0).integers(2**63, size=n_draws * spacing, dtype=np.uint64)
    states = []
    for t, key in enumerate(keys):
        if moves == "exchange":
            law = (COUPLING, GOAL, WIDTH)
            agreeing = kernel.exchange(*rows, label, first, member, place, law, agreeing, key)
        else:
            share = {"clusters": 1.0, "half": 0.5, "singles": 0.0}[moves] * COUPLING
            law, opening = (COUPLING - share, GOAL, WIDTH), 1.0 - np.exp(-share)
            agreeing = kernel.step(*rows, low, high, label, first, opening, law, agreeing, key)
        if t % spacing == 0:
            assert np.array_equal(np.bincount(label), COUNTS)
            states.append(state(low, high, label))
            assert states[-1][0] == agreeing
    return states


@pytest.mark.parametrize(
    ("graph", "moves"),
    [
        *((grid(3), moves) for moves in ("clusters", "singles", "exchange")),
        *((STAR, moves) for moves in ("clusters", "half")),
        (TREE, "exchange"),
    ],
)
def test_every_move_keeps_the_law(graph, moves):
    states = Counter(drawn(graph, moves))
    keys, probability = exact(graph, COUPLING)
    counts = [states[key] for key in keys]
    assert sum(counts) == sum(states.values())
    assert chi_squared_p(counts, probability) > P_FLOOR
    _, wrong = exact(graph, COUPLING + 0.2)
    assert chi_squared_p(counts, wrong) < P_FLOOR


def test_an_exchange_of_neighbours_keeps_the_law():
    """All 12 labels of a star of three rays: most exchanges are of neighbours, of unlike degree."""
    low, high = np.zeros(3, np.int32), np.arange(1, 4, dtype=np.int32)
    star = labelled_graph(4, low, high, [0, 0, 1, 2])
    labels = sorted(set(itertools.permutations([0, 0, 1, 2])))
    agreeing = np.array([sum(one[0] == ray for ray in one[1:]) for one in labels])
    weight = np.exp(COUPLING * agreeing - 0.5 * ((agreeing - GOAL) / WIDTH) ** 2)
    label, count, member, place = star.label.copy(), star.n_agreeing, *np.empty((2, 4), np.int32)
    seen = Counter()
    for key in np.random.default_rng(0).integers(2**63, size=40_000, dtype=np.uint64):
        law = (COUPLING, GOAL, WIDTH)
        count = kernel.exchange(
            star.indptr, star.neighbor, label, star.first, member, place, law, count, key
        )
        seen[tuple(label.tolist())] += 1
    counts = [seen[one] / 4 for one in labels]  # steps in a row are not independent
    assert chi_squared_p(counts, weight / weight.sum()) > P_FLOOR


def test_a_pair_is_in_each_class_as_often_as_the_law_says():
    states = drawn(PAIR, "clusters", n_draws=20_000, spacing=3)
    keys, probability = exact(PAIR, COUPLING)
    truth = sum(p for key, p in zip(keys, probability, strict=True) if key[2] == key[3] == 1)
    share = np.mean([key[2] == key[3] == 1 for key in states])
    assert_close(share, truth, np.sqrt(truth * (1 - truth) / len(states)))


@pytest.mark.parametrize(
    ("agreement", "n_sweeps"),
    [
        (0.5, 100),
        (0.8, 400),
        pytest.param(0.9, 1600, marks=pytest.mark.slow),
        pytest.param(0.95, 1600, marks=pytest.mark.slow),
    ],
)
def test_both_sides_meet_in_the_middle(agreement, n_sweeps):
    n, low, high = grid(40)
    labels = striped(40, 2, agreement)
    null = potts_null(n, low, high, labels, 1, n_sweeps=n_sweeps)
    assert null.r_hat <= LARGEST_R_HAT
    assert null.agreement == np.mean(labels[low] == labels[high])
    assert null.reached == pytest.approx((null.agreement,) * 2, abs=0.005)
    draws = [null.draw(i, 2) for i in range(20)]
    for draw in draws:
        assert np.array_equal(np.bincount(draw), np.bincount(labels))
    # The width is 14 of 3120 bonds.
    assert np.mean([np.mean(d[low] == d[high]) for d in draws]) == pytest.approx(
        agreement, abs=0.01
    )


def test_chains_that_did_not_meet_are_said():
    # Eight stripes whose walls would need far longer to go than this.
    n, low, high = grid(40)
    null = potts_null(n, low, high, striped(40, 8, 0.9), 1, n_sweeps=40)
    assert null.r_hat > LARGEST_R_HAT


def test_draws_depend_on_index_and_seed_alone():
    n, low, high = grid(12)
    null = potts_null(n, low, high, striped(12, 3, 0.7), 1, n_sweeps=40)
    fifth = null.draw(5, 3)
    null.draw(0, 3)
    assert np.array_equal(fifth, null.draw(5, 3))
    assert not np.array_equal(fifth, null.draw(5, 4))
    assert not np.array_equal(fifth, null.draw(5 + len(null._states), 3))


def test_labels_keep_their_names_and_may_agree_less_than_by_chance():
    n, low, high = grid(20)
    checkered = np.add(*np.divmod(np.arange(n), 20)) % 2
    labels = np.where(np.random.default_rng(0).random(n) < 0.3, 1 - checkered, checkered) * 5 - 7
    null = potts_null(n, low, high, labels, n_sweeps=100)
    assert null.coupling < 0
    assert null.reached == pytest.approx((null.agreement,) * 2, abs=0.02)
    assert np.array_equal(np.unique(null.draw(0)), [-7, -2])


@pytest.mark.parametrize("labels", [np.zeros(16, int), np.arange(16)])
def test_one_class_and_as_many_classes_as_sites(labels):
    null = potts_null(*grid(4), labels, n_sweeps=20)
    assert np.array_equal(np.sort(null.draw(1)), labels)
    assert null.r_hat <= LARGEST_R_HAT


def test_bad_input():
    n, low, high = grid(3)
    with pytest.raises(ValueError, match="one a site"):
        potts_null(n, low, high, np.zeros(8, int))
    with pytest.raises(ValueError, match="no bond"):
        potts_null(n, low[:0], high[:0], np.zeros(9, int))
