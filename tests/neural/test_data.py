"""The order in which training rows are seen."""

import dataclasses

import numpy as np
import pytest
from statistical import P_FLOOR, chi_squared_p

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, assert_alone, ensemble_of, three_targets  # noqa: E402

from percolaw.neural.config import Student  # noqa: E402
from percolaw.neural.data import RowOrder  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.training import train  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


@pytest.mark.parametrize("n", [17, 40, 70_000])
def test_every_epoch_is_a_permutation(n):
    rows = np.random.default_rng(0).permutation(3 * n)[:n]
    order = RowOrder(4, rows, 16)
    assert not order.all_rows
    np.testing.assert_array_equal(order.weights(), np.ones(16))
    count = -(-3 * n // 16)
    flat = order.minibatches(0, count).ravel()
    epochs = [flat[e * n : (e + 1) * n] for e in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.sort(rows))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], rows)
    assert not np.array_equal(flat, RowOrder(5, rows, 16).minibatches(0, count).ravel())


@pytest.mark.parametrize(("n", "batch_size"), [(17, 16), (100, 7), (66_000, 512), (5, 1)])
def test_batches_do_not_depend_on_how_they_are_asked(n, batch_size):
    rows = np.arange(n)
    count = 3 * (1 << 16) // batch_size if n > 50_000 else 400
    whole = RowOrder(1, rows, batch_size).minibatches(0, count)
    order, at = RowOrder(1, rows, batch_size), 0
    for size in (1, 3, 50, 1, count - 55):
        np.testing.assert_array_equal(order.minibatches(at, size), whole[at : at + size])
        at += size
    # Backwards, and from the middle by an order that has seen nothing.
    np.testing.assert_array_equal(order.minibatches(2, 5), whole[2:7])
    np.testing.assert_array_equal(
        RowOrder(1, rows, batch_size).minibatches(count - 3, 3), whole[-3:]
    )


@pytest.mark.parametrize("n", [1, 5, 16])
def test_few_rows_are_all_taken(n):
    rows = np.arange(100, 100 + n)
    order = RowOrder(3, rows, 16)
    weight = order.weights()
    assert order.all_rows
    assert weight.mean() == pytest.approx(1.0, rel=1e-15)
    for batch in order.minibatches(5, 3):
        # Every row has the same share of the mean loss.
        shares = [weight[batch == row].sum() for row in rows]
        np.testing.assert_allclose(shares, 16 / n)
    assert np.isin(order.minibatches(0, 2), rows).all(), "padding exists"


def test_orders_are_uniform():
    """First rows of 4000 epochs, by a chi-squared; a shuffle that never ends a row first fails."""
    flat = RowOrder(2, np.arange(8), 4).minibatches(0, 8000).reshape(-1, 8)
    first, pairs = np.bincount(flat[:, 0], minlength=8), flat[:, 0] * 8 + flat[:, 1]
    assert chi_squared_p(first, np.full(8, 1 / 8)) > P_FLOOR
    counts = np.bincount(pairs, minlength=64)
    possible = (~np.eye(8, dtype=bool)).ravel()
    assert counts[~possible].sum() == 0
    assert chi_squared_p(counts[possible], np.full(56, 1 / 56)) > P_FLOOR
    # Control: epochs that are one another's rotation have uniform firsts but few pairs.
    turned = (np.arange(4000) * 5) % 8
    wrong = np.bincount(turned * 8 + (turned + 1) % 8, minlength=64)
    assert chi_squared_p(wrong[possible], np.full(56, 1 / 56)) < P_FLOOR


def test_students_of_one_seed_and_rows_share_an_order(data):
    """One object for them; another seed, fewer rows or the same rows in another order are others."""
    x, y = data
    rows = np.arange(80)
    learners = [
        Student(0, rows, np.arange(80, 120), target=0),
        Student(0, rows.copy(), np.arange(80, 120), target=1, learning_rate=0.1),
        Student(1, rows, np.arange(80, 120)),
        Student(0, rows[:40], np.arange(80, 120)),
        Student(0, np.roll(rows, 1), np.arange(80, 120)),
        Student(0, rows.astype(np.int32), np.arange(80, 120), target=2),
    ]
    training = dataclasses.replace(DOUBLE, steps=20, batch_size=16, evaluate_every=10)
    orders = ensemble_of(MLP(1, 4), x, y, learners, training).minibatches.orders
    assert orders[0] is orders[1]
    assert len({id(order) for order in orders[:5]}) == 4
    for order, student in zip(orders, learners, strict=True):
        own = RowOrder(student.seed, np.asarray(student.train), 16)
        np.testing.assert_array_equal(order.minibatches(3, 9), own.minibatches(3, 9))
    together = train(MLP(1, 4), x, y, learners, training)
    for i, student in enumerate(learners):
        assert_alone(together, i, train(MLP(1, 4), x, y, [student], training))


def test_rows_turned_round(data):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=2, evaluate_every=1)
    train(MLP(0), x, y, [Student(0, np.arange(80)[::-1], np.arange(80, 120))], training)
