"""All neighbours by rank: the order, how ties share, and sums that no thread or block changes."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from percolaw.errors import ResourceError
from percolaw.kernels import ranks as kernels
from percolaw.numerics import ranks
from percolaw.numerics.neighbors import nearest_neighbors
from percolaw.numerics.ranks import neighbors_by_rank

RNG = np.random.default_rng(0)
CLOUD = RNG.standard_normal((90, 6))
LETTERS = RNG.integers(0, 3, (70, 4))
LABELS = RNG.integers(0, 3, 90)


def table(points, metric="euclidean"):
    """The whole table: order and ties, (n, n - 1)."""
    blocks = list(neighbors_by_rank(points, metric))
    return np.concatenate([b.order for b in blocks]), np.concatenate([b.tied for b in blocks])


def agreement_by_rank(points, labels, metric="euclidean"):
    """Share of points whose label is that of their j-th neighbour, summed as analyses sum it."""
    total = np.zeros(len(labels) - 1)
    for block in neighbors_by_rank(points, metric):
        kernels.add_agreement(block.order, block.tied, block.first, labels.astype(np.int32), total)
    return total / len(labels)


def shared_means(distance, pair):
    """Mean over points by rank, ties shared, from whole tables of distances and of pairs."""
    n = len(distance)
    rows = []
    for i in range(n):
        others = np.delete(np.arange(n), i)
        far, value = distance[i, others], pair[i, others]
        means = {key: value[far == key].mean() for key in np.unique(far)}
        rows.append([means[key] for key in np.sort(far)])
    return np.mean(rows, axis=0)


def hamming(x):
    return (x[:, None] != x[None]).sum(axis=2)


@pytest.mark.parametrize("d", [1, 3, 4, 6, 600])
def test_order_is_that_of_direct_distances(d):  # 600: two tiles
    x = np.random.default_rng(d).standard_normal((90, d))
    order, tied = table(x)
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(square, -1.0)
    np.testing.assert_array_equal(order, np.argsort(square, axis=1)[:, 1:])
    assert order.dtype == np.int32
    ranked = np.take_along_axis(square, order, axis=1).astype(np.float32)
    np.testing.assert_array_equal(tied, np.diff(ranked, axis=1, prepend=-1.0) == 0.0)


def test_first_ranks_are_the_nearest_neighbours():
    # Knots whose points lie 10^-9 of the whole apart: a product would lose their order.
    x = np.repeat(CLOUD[:30], 3, axis=0) + 1e-9 * CLOUD
    distance, index = nearest_neighbors(x, x, 3)
    assert (distance < 1e-7).all()
    np.testing.assert_array_equal(table(x)[0][:, :2], index[:, 1:])


def test_cosine_is_the_order_of_angles():
    x = CLOUD * 10.0 ** RNG.integers(-200, 200, (90, 1))
    unit = CLOUD / np.linalg.norm(CLOUD, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, 2.0)
    np.testing.assert_array_equal(table(x, "cosine")[0], np.argsort(-cosine, axis=1)[:, 1:])


def test_hamming_and_its_ties():
    order, tied = table(LETTERS, "hamming")
    distance = hamming(LETTERS)
    for i in range(70):
        others = np.delete(np.arange(70), i)
        right = others[np.argsort(distance[i, others], kind="stable")]
        np.testing.assert_array_equal(order[i], right)
        np.testing.assert_array_equal(tied[i], np.diff(distance[i, right], prepend=-1) == 0)
    for same in (LETTERS.astype(np.int8), LETTERS.astype(np.uint8) + 253):  # 253, 254, 255
        np.testing.assert_array_equal(table(same, "hamming")[0], order)


def test_statistics_against_brute_force():
    square = ((CLOUD[:, None] - CLOUD[None]) ** 2).sum(axis=2)
    same = (LABELS[:, None] == LABELS).astype(float)
    ours = agreement_by_rank(CLOUD, LABELS)
    np.testing.assert_allclose(ours, shared_means(square, same), rtol=1e-13)
    assert np.array_equal(np.rint(ours * 90) / 90, ours)  # counts, where nothing is tied


@pytest.mark.parametrize(
    ("metric", "points", "distance"),
    [
        ("hamming", LETTERS, hamming(LETTERS)),
        ("euclidean", 0.1 * LETTERS, ((LETTERS[:, None] - LETTERS[None]) ** 2).sum(axis=2)),
        ("euclidean", CLOUD[:70] * 0.0 + 0.1, np.zeros((70, 70))),
    ],
)
def test_ties_share_their_mean(metric, points, distance):
    labels = LABELS[:70]
    same = (labels[:, None] == labels).astype(float)
    ours = agreement_by_rank(points, labels, metric)
    np.testing.assert_allclose(ours, shared_means(distance, same), rtol=1e-13)


def test_the_order_of_the_rows_says_nothing():
    mixed = np.random.default_rng(1).permutation(70)
    labels = (LETTERS[:, 0] > 0) + np.arange(70) // 35
    ours = agreement_by_rank(LETTERS, labels, "hamming")
    moved = agreement_by_rank(LETTERS[mixed], labels[mixed], "hamming")
    np.testing.assert_allclose(moved, ours, rtol=1e-12)

    # Control: ties broken by row would let it decide.
    def by_row(x, y):
        return (y[table(x, "hamming")[0]] == y[:, None]).mean(axis=0)

    assert np.abs(by_row(LETTERS[mixed], labels[mixed]) - by_row(LETTERS, labels)).max() > 0.1
    assert ours.sum() == pytest.approx(by_row(LETTERS, labels).sum())  # ties move no weight


def test_one_class_agrees_everywhere_and_as_many_as_points_nowhere():
    assert (agreement_by_rank(CLOUD, np.zeros(90)) == 1.0).all()
    assert (agreement_by_rank(CLOUD, np.arange(90)) == 0.0).all()


def test_threads_and_blocks_change_nothing(monkeypatch):
    x, labels = RNG.integers(0, 4, (200, 3)) / 7.0, RNG.integers(0, 5, 200)
    with threadpool_limits(1, user_api="blas"):
        one = agreement_by_rank(x, labels)
        order = table(x)[0]
    with threadpool_limits(2, user_api="blas"):
        assert ranks._threads() == 2
        monkeypatch.setattr(ranks, "BLOCK_ELEMENTS", 7 * 200)
        np.testing.assert_array_equal(agreement_by_rank(x, labels), one)
        np.testing.assert_array_equal(table(x)[0], order)
        assert len(next(neighbors_by_rank(x)).order) == 7


@pytest.mark.parametrize("scale", [1e-250, 1e-30, 1e30, 1e250])
def test_any_scale(scale):
    np.testing.assert_array_equal(table(CLOUD * scale)[0], table(CLOUD)[0])


def test_one_far_point_keeps_the_order_of_the_others():
    far = CLOUD.copy()
    far[7] = 1e100
    order, plain = table(far)[0], table(CLOUD)[0]
    for i in np.delete(np.arange(90), 7):
        np.testing.assert_array_equal(order[i], np.append(plain[i][plain[i] != 7], 7))


def test_kernels_equal_their_python():
    columns = np.ascontiguousarray(CLOUD[:20, :5].T)
    codes = np.ascontiguousarray(LETTERS[:20].T).astype(np.uint8)
    results = []
    for python in (False, True):
        run = {
            name: getattr(kernels, name).py_func if python else getattr(kernels, name)
            for name in ("squared_distances", "mismatches", "rank_rows", "add_agreement")
        }
        square, count = np.empty((20, 20), np.float32), np.empty((20, 20), np.uint32)
        run["squared_distances"](np.ascontiguousarray(columns.T), columns, square)
        run["mismatches"](np.ascontiguousarray(codes.T), codes, count)
        out = [square, count]
        for key in (square.view(np.uint32), count):
            order, tied = np.empty((20, 19), np.int32), np.empty((20, 19), np.bool_)
            run["rank_rows"](key, 0, order, tied)
            total = np.zeros(19)
            run["add_agreement"](order, tied, 0, LABELS[:20].astype(np.int32), total)
            out += [order, tied, total]
        results.append(out)
    for compiled, python in zip(*results, strict=True):
        np.testing.assert_array_equal(compiled, python)


@pytest.mark.parametrize(
    ("points", "metric", "message"),
    [
        (CLOUD[:1], "euclidean", "at least 2 points; got 1"),
        (np.where(np.arange(90)[:, None] == 3, np.nan, CLOUD), "euclidean", "NaN"),
        (np.where(np.arange(90)[:, None] == 3, 0.0, CLOUD), "cosine", "point 3 .* no direction"),
        (CLOUD, "hamming", "needs integers of shape"),
        (LETTERS + 254, "hamming", "letters from 0 to 255; got 254 to 256"),
        (CLOUD, "manhattan", "metric"),
    ],
)
def test_refused(points, metric, message):
    with pytest.raises(ValueError, match=message):
        neighbors_by_rank(points, metric)


def test_memory_is_asked_for_before_it_starts(monkeypatch):
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: 1000)
    with pytest.raises(
        ResourceError, match=r"block of 90 x 90 neighbours needs .* Pass fewer points"
    ):
        neighbors_by_rank(CLOUD)
