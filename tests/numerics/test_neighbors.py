"""Nearest neighbours: exact, whatever the offset, scale, type and ties of the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neighbors import NearestNeighbors as Reference
from threadpoolctl import threadpool_limits

from percolaw.kernels.neighbors import measure_near, merge_smallest
from percolaw.learners.neighbors import NearestNeighbors
from percolaw.numerics import neighbors
from percolaw.numerics.neighbors import (
    EXTRA_CANDIDATES,
    TILE_COLUMNS,
    TILE_ROWS,
    nearest_neighbors,
)

properties = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def brute_force(points, queries, k):
    """Direct float64 differences, equal distances in order of rows."""
    x, q = np.asarray(points).astype(np.float64), np.asarray(queries).astype(np.float64)
    distance = np.empty((len(q), k))
    index = np.empty((len(q), k), dtype=np.int64)
    for i, row in enumerate(q):
        square = np.einsum("ij,ij->i", x - row, x - row)
        index[i] = np.argsort(square, kind="stable")[:k]
        distance[i] = np.sqrt(square[index[i]])
    return distance, index


def naive(points, queries):
    """The published way: |a|^2 - 2ab + |b|^2 in float32, without centring."""
    x, q = np.float32(points), np.float32(queries)
    return np.argmin((x * x).sum(1) - 2 * q @ x.T + (q * q).sum(1)[:, None], axis=1)


def assert_exact(points, queries, k=1):
    distance, index = nearest_neighbors(points, queries, k)
    slow_distance, slow_index = brute_force(points, queries, k)
    assert distance.dtype == np.float64
    assert index.dtype == np.int64
    np.testing.assert_array_equal(index, slow_index)
    # Sums of d squares in another order: a few units in the last place.
    np.testing.assert_allclose(distance, slow_distance, rtol=1e-12, atol=0)


@pytest.fixture
def fallbacks(monkeypatch):
    """How many queries were done again in float64."""
    counts = []
    original = neighbors._search_in_double

    def counted(x, rows, q, frame, queries, *rest):
        counts.append(len(queries))
        return original(x, rows, q, frame, queries, *rest)

    monkeypatch.setattr(neighbors, "_search_in_double", counted)
    return counts


def cloud(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


# ---- offsets, scales, types


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e6, 1e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_offset_and_scale(offset, scale, dtype):
    points = (cloud(700, 8) * scale + offset * scale).astype(dtype)
    queries = (cloud(100, 8, 1) * scale + offset * scale).astype(dtype)
    assert_exact(points, queries, 5)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_offset_much_larger_than_the_spread(offset):
    points, queries = cloud(700, 8) * 1e-6 + offset, cloud(100, 8, 1) * 1e-6 + offset
    assert_exact(points, queries, 5)
    # A column of its own size each: centring helps, one scale for all hides the small ones.
    sizes = 10.0 ** np.arange(-4, 4)
    assert_exact(points * sizes, queries * sizes, 5)


def test_control_the_naive_expansion_is_wrong():
    points, queries = cloud(2000, 16) + 1e3, cloud(200, 16, 1) + 1e3
    right = brute_force(points, queries, 1)[1][:, 0]
    assert (naive(points, queries) == right).mean() < 0.9
    assert (nearest_neighbors(points, queries)[1][:, 0] == right).all()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool, np.float16, np.longdouble])
def test_types(dtype):
    points = (np.abs(cloud(300, 6)) * 40).astype(dtype)
    queries = (np.abs(cloud(50, 6, 1)) * 40).astype(dtype)
    assert_exact(points, queries, 3)


def test_mixed_types_and_layouts():
    points, queries = cloud(600, 6), cloud(100, 6, 1)
    assert_exact(points.astype(np.float32), queries, 3)
    assert_exact(points, queries.astype(np.float32), 3)
    assert_exact(np.asfortranarray(points), queries[::2], 3)
    assert_exact(points[::3, ::-1], queries[:, ::-1], 3)
    before = points.copy()
    nearest_neighbors(points.tolist(), queries.tolist(), 2)
    np.testing.assert_array_equal(points, before)


def test_threads_change_nothing():
    points, queries = cloud(1500, 30).astype(np.float32), cloud(200, 30, 1)
    points[:300] = np.float32(queries[0]) + np.float32(1e-7) * points[:300]  # some need float64
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            results.append(nearest_neighbors(points, queries, 5))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


# ---- shapes


@pytest.mark.parametrize(
    ("n", "m", "d", "k"),
    [
        (1, 1, 1, 1),
        (1, 5, 3, 1),
        (2, 3, 1, 2),
        (9, 4, 2, 9),
        (10, 4, 2, 1),
        (9 + EXTRA_CANDIDATES, 7, 3, 9),
        (10 + EXTRA_CANDIDATES, 7, 3, 9),
        (500, 3, 4, 500),
        (2000, 20, 1, 20),
        (50, 2 * TILE_ROWS + 3, 5, 2),
        (TILE_COLUMNS - 1, 10, 5, 3),
        (TILE_COLUMNS, 10, 5, 3),
        (TILE_COLUMNS + 1, TILE_ROWS + 1, 5, 3),
        (3 * TILE_COLUMNS + 33, 300, 20, 7),
        (400, 30, 300, 4),
    ],
)
def test_shapes(n, m, d, k):
    assert_exact(cloud(n, d), cloud(m, d, 1), k)
    assert_exact(cloud(n, d).astype(np.float32), cloud(m, d, 1).astype(np.float32), k)


def test_neighbours_in_the_last_tile_and_at_its_edges():
    points = cloud(2 * TILE_COLUMNS + 40, 3) + 100
    for row in (0, 31, 32, TILE_COLUMNS - 1, TILE_COLUMNS, 2 * TILE_COLUMNS, len(points) - 1):
        moved = points.copy()
        moved[row] = 0
        assert nearest_neighbors(moved, np.zeros((1, 3)))[1][0, 0] == row


# ---- ties


def test_ties_are_ordered_by_row():
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    assert_exact(grid, grid, 7)
    assert_exact(grid, grid + 0.5, 27)
    repeated = np.concatenate([grid, grid[::-1], grid])
    assert_exact(repeated, grid, 6)
    # All points equal: the first rows, from every query.
    same = np.full((400, 4), 3.25)
    distance, index = nearest_neighbors(same, cloud(40, 4), 5)
    assert (index == np.arange(5)).all()
    assert (distance == distance[:, :1]).all()
    assert nearest_neighbors(same, same[:1])[0][0, 0] == 0.0


def test_duplicates_beyond_the_extra_candidates():
    generator = np.random.default_rng(0)
    points = np.repeat(generator.standard_normal((40, 5)), 25, axis=0)
    order = generator.permutation(1000)
    assert_exact(points[order], generator.standard_normal((60, 5)), 3)
    assert_exact(points[order], points[::40], 30)


def test_more_copies_than_are_asked_for():
    x = cloud(900, 4)
    x[np.arange(900) % 3 > 0] = 0.0  # 600 copies of one point
    x[::90] = x[3]
    x[1] = -0.0
    assert_exact(x, x[:40], 3)
    assert_exact(x, x[:5], 700)


# ---- what float32 cannot tell apart


def two_knots():
    """Two knots of 500 points, each within 1e-9 of its centre, and queries in one of them."""
    ends = np.repeat([[1.0, 1, 1, 1], [-1.0, -1, -1, -1]], 500, axis=0)
    return ends + cloud(1000, 4) * 1e-9, 1.0 + cloud(50, 4, 1) * 1e-9


def test_points_equal_in_float32_need_the_fallback(fallbacks):
    points, queries = two_knots()
    assert np.unique(np.float32(points), axis=0).shape[0] < 20
    assert_exact(points, queries, 3)
    assert sum(fallbacks) == 50


def test_ordinary_data_need_no_fallback(fallbacks):
    assert_exact(cloud(3000, 10), cloud(300, 10, 1), 5)
    assert sum(fallbacks) == 0


def test_without_the_fallback_neighbours_are_lost(monkeypatch):
    # Control: the same search with the doubtful rows done in float32.
    points, queries = two_knots()

    def rounded(x, rows, q, frame, queries, distance, index):
        distance[queries], index[queries] = brute_force(np.float32(x), np.float32(q[queries]), 1)

    monkeypatch.setattr(neighbors, "_search_in_double", rounded)
    right = brute_force(points, queries, 1)[1]
    assert (nearest_neighbors(points, queries)[1] == right).mean() < 0.1


def test_outliers():
    points, queries = cloud(1500, 6), cloud(80, 6, 1)
    for size in (1e3, 1e9, 1e30):
        far = points.copy()
        far[700] = size
        assert_exact(far, queries, 4)
        assert_exact(far, np.concatenate([queries, far[700:701], -far[700:701]]), 4)
    # Outliers among many points, beyond the sample that sets the scale (every eighth row).
    many = cloud(9001, 3)
    many[777] = 1e25
    assert_exact(many, queries[:30, :3], 2)


def test_queries_far_away():
    points = cloud(500, 5)
    directions = cloud(40, 5, 1)
    for size in (1e2, 1e5, 1e8):
        assert_exact(points, size * directions, 3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_queries_beyond_the_range_of_float32():
    # Differences in float64 no longer see the points apart; the first rows are nearest.
    for n in (30, 500):
        assert_exact(cloud(n, 5), np.full((2, 5), 1e60), 3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_few_points_and_queries_beyond_the_range_of_float32():
    assert_exact(np.eye(3), np.full((1, 3), 1e60), 1)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_scales_near_the_ends_of_float64(scale):
    assert_exact(cloud(300, 5) * scale, cloud(20, 5, 1) * scale, 3)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scales_whose_square_is_no_float64(scale):
    points, queries = cloud(300, 5), cloud(20, 5, 1)
    distance, index = nearest_neighbors(points * scale, queries * scale, 3)
    np.testing.assert_array_equal(index, brute_force(points, queries, 3)[1])
    assert np.isfinite(distance).all()


# ---- properties


@st.composite
def hard_cases(draw):
    """Few distinct values, so many ties; any offset and scale that float64 resolves."""
    d = draw(st.integers(1, 4))
    n = draw(st.integers(1, 60))
    m = draw(st.integers(1, 5))
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-4, 4, width=16))
    points = draw(hnp.arrays(np.float64, (n, d), elements=value))
    queries = draw(hnp.arrays(np.float64, (m, d), elements=value))
    scale = draw(st.sampled_from([2.0**-20, 1.0, 2.0**60]))
    offset = draw(st.sampled_from([0.0, 1.0, 1024.0, 2.0**20]))
    k = draw(st.integers(1, n))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return ((a * scale + offset * scale).astype(dtype) for a in (points, queries)), k


@properties
@given(hard_cases())
def test_exact_on_hard_cases(case):
    (points, queries), k = case
    assert_exact(points, queries, k)


@properties
@given(hard_cases(), st.integers(0, 2**20))
def test_order_of_queries_and_size_of_k_do_not_matter(case, seed):
    (points, queries), k = case
    distance, index = nearest_neighbors(points, queries, k)
    order = np.random.default_rng(seed).permutation(len(queries))
    np.testing.assert_array_equal(nearest_neighbors(points, queries[order], k)[1], index[order])
    first = nearest_neighbors(points, queries, 1)
    np.testing.assert_array_equal(first[1][:, 0], index[:, 0])
    np.testing.assert_array_equal(first[0][:, 0], distance[:, 0])
    assert (np.diff(distance, axis=1) >= 0).all()


def test_merge_kernel_equals_its_python():
    generator = np.random.default_rng(0)
    product = generator.standard_normal((6, 75)).astype(np.float32)
    norm = generator.random(75).astype(np.float32)
    out = []
    for run in (merge_smallest, merge_smallest.py_func):
        value = np.full((6, 9), np.inf, np.float32)
        candidate = np.full((6, 9), -1)
        worst = np.zeros(6, np.int64)
        for low in (0, 40):
            part = slice(low, 40 if low == 0 else 75)
            run(np.ascontiguousarray(product[:, part]), norm[part], low, value, candidate, worst)
        out.append(np.sort(candidate, axis=1))
        full = norm - 2 * product
        np.testing.assert_array_equal(out[-1], np.sort(np.argsort(full, axis=1)[:, :9], axis=1))
    np.testing.assert_array_equal(*out)


def test_measuring_kernel_equals_its_python_and_brute_force():
    points, queries = np.round(cloud(75, 5) * 3), np.round(cloud(6, 5, 1) * 3)
    square = ((queries[:, None] - points) ** 2).sum(axis=2)
    bound = np.sort(square, axis=1)[:, 20] - (queries**2).sum(axis=1)
    out = []
    for run in (measure_near, measure_near.py_func):
        value, candidate = np.full((6, 9), np.inf), np.full((6, 9), -1)
        for part in (slice(0, 40), slice(40, 75)):
            product, norm = queries @ points[part].T, (points[part] ** 2).sum(axis=1)
            rows = 100 + np.arange(75)[part]
            run(product, norm, bound, rows, points[part], queries, 0.5, value, candidate)
        out.append(np.sort(candidate, axis=1))
        nearest = np.argsort(square, axis=1, kind="stable")[:, :9]
        np.testing.assert_array_equal(out[-1], 100 + np.sort(nearest, axis=1))
        exact = np.sort(np.take_along_axis(square, nearest, axis=1), axis=1) / 4.0
        np.testing.assert_array_equal(np.sort(value, axis=1), exact)
    np.testing.assert_array_equal(*out)
    # What lies beyond the bound is not measured.
    value, candidate = np.full((6, 9), np.inf), np.full((6, 9), -1)
    product, norm = queries @ points.T, (points**2).sum(axis=1)
    third = np.sort(square, axis=1)[:, 2]
    rows = np.arange(75)
    bound = third - (queries**2).sum(axis=1)
    measure_near(product, norm, bound, rows, points, queries, 1.0, value, candidate)
    expected = np.minimum((square <= third[:, None]).sum(axis=1), 9)
    np.testing.assert_array_equal((candidate >= 0).sum(axis=1), expected)


# ---- regression


@pytest.mark.parametrize("k", [1, 5, 20])
def test_against_scikit_learn(k):
    points, queries = cloud(2500, 12), cloud(300, 12, 1)
    distance, index = nearest_neighbors(points, queries, k)
    theirs = Reference(n_neighbors=k, algorithm="brute").fit(points).kneighbors(queries)
    np.testing.assert_array_equal(index, theirs[1])
    np.testing.assert_allclose(distance, theirs[0], rtol=1e-9)
    values = cloud(2500, 3, 2)
    ours = NearestNeighbors(k).fit(points, values).predict(queries)
    reference = KNeighborsRegressor(k, algorithm="kd_tree").fit(points, values).predict(queries)
    np.testing.assert_allclose(ours, reference, rtol=1e-12, atol=1e-14)
    single = NearestNeighbors(k).fit(points, values[:, 0]).predict(queries)
    np.testing.assert_allclose(single, ours[:, 0], rtol=1e-12, atol=1e-14)
    assert single.shape == (300,)


def test_one_neighbour_repeats_the_data():
    points, values = cloud(400, 5), cloud(400, 2, 1)
    fitted = NearestNeighbors().fit(points, values)
    np.testing.assert_array_equal(fitted.predict(points), values)
    mean = NearestNeighbors(400).fit(points, values).predict(points[:3])
    np.testing.assert_allclose(mean, np.tile(values.mean(axis=0), (3, 1)))


# ---- what is refused


@pytest.mark.parametrize(
    ("points", "queries", "k", "error", "message"),
    [
        (np.zeros((3, 2)), np.zeros((1, 2)), 4, ValueError, "k = 4 neighbours need at least"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 0, ValueError, r"k must be in \[1, inf\]; got 0"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 1.5, ValueError, "k must be an integer; got 1.5"),
        (np.zeros((3, 2)), np.zeros((1, 3)), 1, ValueError, "2 columns and queries 3"),
        (np.zeros(3), np.zeros((1, 3)), 1, ValueError, r"points must have shape \(n, d\)"),
        (np.zeros((3, 2)), np.zeros(2), 1, ValueError, r"queries must have shape \(n, d\)"),
        (np.zeros((0, 2)), np.zeros((1, 2)), 1, ValueError, "neither 0"),
        (np.zeros((3, 2)), np.zeros((1, 2)) + 1j, 1, TypeError, "queries must be numeric"),
        (np.array([["a", "b"]]), np.zeros((1, 2)), 1, TypeError, "points must be numeric"),
        (np.full((3, 2), np.nan), np.zeros((1, 2)), 1, ValueError, "points holds NaN or infinity"),
        (np.zeros((3, 2)), np.full((1, 2), np.inf), 1, ValueError, "queries holds NaN or infinity"),
    ],
)
def test_refused(points, queries, k, error, message):
    with pytest.raises(error, match=message):
        nearest_neighbors(points, queries, k)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_nan_among_many_is_found():
    for bad in (np.nan, np.inf, -np.inf):
        points = cloud(5000, 4)
        points[3217, 2] = bad
        with pytest.raises(ValueError, match="points holds NaN or infinity"):
            nearest_neighbors(points, points[:2])
    both = cloud(100, 4)
    both[3, 1], both[4, 1] = np.inf, -np.inf  # their sum alone is NaN, not infinite
    with pytest.raises(ValueError, match="NaN or infinity"):
        nearest_neighbors(both, both[:2])
    large = np.full((100, 4), 1e307)  # finite, though its sum is not
    assert nearest_neighbors(large, large[:2])[1].tolist() == [[0], [0]]


def test_what_fit_refuses():
    points = cloud(10, 3)
    with pytest.raises(ValueError, match="k = 11 needs at least as many points; got 10"):
        NearestNeighbors(11).fit(points, np.zeros(10))
    with pytest.raises(ValueError, match="y must have 10 rows; got 9"):
        NearestNeighbors().fit(points, np.zeros(9))
    with pytest.raises(ValueError, match="y has 1 non-finite"):
        NearestNeighbors().fit(points, np.append(np.zeros(9), np.nan))
    with pytest.raises(ValueError, match="X has 2 features, but NearestNeighbors is expecting 3"):
        NearestNeighbors().fit(points, np.zeros(10)).predict(np.zeros((1, 2)))
