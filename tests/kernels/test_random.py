"""The keyed normal: its tables, a plain Python twin, its law far into the tails, independence."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from scipy.stats import kstest, norm
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p

from percolaw.kernels import random as kernel
from percolaw.kernels.random import bits, normal
from percolaw.rng import Streams

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

#: Where the tail layer of the ziggurat begins.
EDGE = 3.6541528853610088

#: Values under one key, written down once: a change bumps STREAM_VERSION.
PINNED_ROW = 0x0123456789ABCDEF
PINNED = (0.2930573942599936, -0.5564491136013721, 0.7493145759599165, -1.9166513983023097)


@njit
def table(key, first_row, n_rows, first_column, n_columns):
    out = np.empty((n_rows, n_columns))
    for i in range(n_rows):
        word = bits(key, np.uint64(first_row + i))
        for c in range(n_columns):
            out[i, c] = normal(word, np.uint64(first_column + c))
    return out


@njit
def beyond(key, n_rows, n_columns, limit):
    """Values outside [-limit, limit] of a large table, and how many columns each was followed by."""
    out = np.empty(n_rows * n_columns // 500)
    after = np.empty(out.shape[0])
    m = 0
    for i in range(n_rows):
        word = bits(key, np.uint64(i))
        for c in range(n_columns):
            value = normal(word, np.uint64(c))
            if abs(value) > limit:
                out[m] = value
                after[m] = normal(word, np.uint64(c + 1))
                m += 1
    return out[:m], after[:m]


KEY = Streams(11).key("evaluation", 1)


@pytest.fixture(scope="module")
def values():
    """2000 rows of 2000 columns."""
    return table(KEY, 0, 2000, 0, 2000)


# ---- tables


def layers(r):
    """Edges of 256 strips of equal area under exp(-x^2/2), from the tail's edge up."""
    tail = math.sqrt(math.pi / 2) * math.erfc(r / math.sqrt(2))
    area = r * math.exp(-r * r / 2) + tail
    edges = [area * math.exp(r * r / 2), r]
    while len(edges) < 256:
        edges.append(math.sqrt(-2 * math.log(area / edges[-1] + math.exp(-(edges[-1] ** 2) / 2))))
    return area, np.array([*edges, 0.0])[::-1]


def closure(r):
    """Area missing from the topmost strip, relative."""
    area, x = layers(r)
    return x[1] * (1.0 - math.exp(-(x[1] ** 2) / 2)) / area - 1.0


def test_tables_have_equal_areas():
    x, f = kernel._ziggurat_tables()
    assert x.shape == f.shape == (257,)
    np.testing.assert_array_equal(f, np.exp(-x * x / 2))
    assert (np.diff(x) > 0).all()
    assert x[0] == 0
    assert x[255] == EDGE
    strips = x[1:256] * (f[:255] - f[1:256])
    bottom = x[256] * f[255]
    # The rectangle of the lowest layer stands for the strip up to r and the tail behind it.
    strip_and_tail = EDGE * math.exp(-(EDGE**2) / 2) + math.sqrt(2 * math.pi) * norm.sf(EDGE)
    assert bottom == pytest.approx(strip_and_tail, rel=1e-13)
    # The topmost strip closes only as well as r is known (16 digits, amplified by 255 layers).
    np.testing.assert_allclose(strips, bottom, rtol=1e-9)
    np.testing.assert_allclose(strips[1:], bottom, rtol=1e-12)
    own = layers(EDGE)[1]
    np.testing.assert_allclose(x, own, rtol=1e-14)
    # Control: a tail edge wrong in the eighth digit does not close.
    assert abs(closure(EDGE)) < 1e-9
    assert abs(closure(EDGE + 1e-7)) > 1e-7
    np.testing.assert_array_equal(kernel._WIDTH, x[1:] / 2.0**52)


# ---- twin


def twin_mix(word):
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


def twin_normal(row_key, column):
    """The same number in Python integers, and which way it came: inner, wedge or tail."""
    x, f = kernel._X.tolist(), kernel._F.tolist()

    def stream(key, index):
        return twin_mix((key + (index + 1) * GOLDEN) & WORD)

    def unit(key, index):
        return float(Fraction(stream(key, index) >> 11, 1 << 53))

    def candidate(word):
        signed = (word >> 11) - ((1 << 53) if word >> 63 else 0)
        layer = word & 255
        return layer, signed * x[layer + 1] / 2.0**52

    word = stream(row_key, column)
    layer, value = candidate(word)
    if abs(value) < x[layer]:
        return value, "inner"
    key, draw = twin_mix(word ^ row_key), 0
    while True:
        if abs(value) < x[layer]:
            return value, "wedge"
        if layer == 255:
            while True:
                a = -math.log1p(-unit(key, draw)) / x[255]
                b = -math.log1p(-unit(key, draw + 1))
                draw += 2
                if 2 * b >= a * a:
                    return math.copysign(x[255] + a, value), "tail"
        height = f[layer + 1] + unit(key, draw) * (f[layer] - f[layer + 1])
        draw += 1
        if height < math.exp(-value * value / 2):
            return value, "wedge"
        layer, value = candidate(stream(key, draw))
        draw += 1


def test_normal_equals_its_twin():
    rows = [int(bits(KEY, np.uint64(i))) for i in range(100)]
    ours = table(KEY, 0, 100, 0, 150)
    ways = {"inner": 0, "wedge": 0, "tail": 0}
    theirs = np.empty(ours.shape)
    for i, row in enumerate(rows):
        for c in range(150):
            theirs[i, c], way = twin_normal(row, c)
            ways[way] += 1
    # log(1 - u) against log1p(-u): the last digits of rare tail values may differ.
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)
    assert ways["wedge"] > 100
    assert ways["tail"] > 1


def test_normal_is_a_pure_function():
    whole = table(KEY, 0, 20, 0, 300)
    np.testing.assert_array_equal(table(KEY, 7, 3, 100, 50), whole[7:10, 100:150])
    for i, c in ((19, 299), (0, 0), (7, 250), (0, 0)):
        row = np.uint64(bits(KEY, np.uint64(i)))
        assert normal(row, np.uint64(c)) == whole[i, c]
    assert np.unique(whole).size == whole.size


def test_numbers_are_pinned():
    got = tuple(normal(np.uint64(PINNED_ROW), np.uint64(c)) for c in range(4))
    assert got == pytest.approx(PINNED, rel=1e-15)


# ---- law


def moment(power):
    """E x^power of a standard normal."""
    return 0.0 if power % 2 else float(math.prod(range(1, power, 2)))


def moment_error(power, n):
    return math.sqrt((moment(2 * power) - moment(power) ** 2) / n)


def test_moments(values):
    product = np.ones_like(values)
    for power in range(1, 9):
        product *= values
        estimate = float(product.mean())
        assert_close(estimate, moment(power), moment_error(power, values.size))
    # Controls: a scale wrong by 1 in 300, and the uniform law of unit variance.
    stretched = values * (1 + 1 / 300)
    assert_far(float((stretched**2).mean()), 1.0, moment_error(2, values.size))
    flat = np.random.default_rng(0).uniform(-math.sqrt(3), math.sqrt(3), 10_000)
    assert_far(float((flat**4).mean()), 3.0, moment_error(4, flat.size))


BINS = np.array([-4.5, -4.0, -EDGE, -3.5, *np.linspace(-3, 3, 61), 3.5, EDGE, 4.0, 4.5])


def binned_p(x):
    edges = np.concatenate([[-np.inf], BINS, [np.inf]])
    counts = np.bincount(np.searchsorted(BINS, x.ravel()), minlength=BINS.size + 1)
    return chi_squared_p(counts, np.diff(norm.cdf(edges)))


def test_bins_and_tails(values):
    assert values.size * norm.sf(4.5) > 10  # the outermost bins are not empty of meaning
    assert binned_p(values) > P_FLOOR
    # Controls: no tail layer; every point of a layer's rectangle accepted, also outside the curve.
    assert binned_p(values[np.abs(values) < EDGE]) < P_FLOOR
    rng = np.random.default_rng(1)
    layer = rng.integers(0, 256, values.shape)
    boxes = kernel._X[layer + 1] * rng.uniform(-1, 1, values.shape)
    assert binned_p(boxes) < P_FLOOR


def test_tail_law():
    x, after = beyond(Streams(12).key("evaluation"), 5000, 3000, EDGE)
    n_draws = 15_000_000
    chance = 2 * norm.sf(EDGE)
    assert_close(x.size / n_draws, chance, math.sqrt(chance / n_draws))
    assert_close(float(np.mean(x > 0)), 0.5, 0.5 / math.sqrt(x.size))

    def tail_law(value):
        return 1 - norm.sf(value) / norm.sf(EDGE)

    assert kstest(np.abs(x), tail_law).pvalue > P_FLOOR
    # Control: Marsaglia's tail without the rejection is an exponential.
    simple = EDGE + np.random.default_rng(0).exponential(1 / EDGE, x.size)
    assert kstest(simple, tail_law).pvalue < P_FLOOR
    # What follows a tail value knows nothing of it.
    assert kstest(after, norm.cdf).pvalue > P_FLOOR
    assert_close(float(np.mean(x * after) / EDGE), 0.0, 1.1 / math.sqrt(x.size))


def test_kolmogorov_smirnov(values):
    some = values[:100].ravel()
    assert kstest(some, norm.cdf).pvalue > P_FLOOR
    assert kstest(some * 1.03, norm.cdf).pvalue < P_FLOOR
    assert kstest(some + 0.02, norm.cdf).pvalue < P_FLOOR
    # Each row alone, and each column alone, is a sample of the same law: p values are uniform.
    for lines in (values[:60, :500], values.T[:60, :500]):
        p = [kstest(line, norm.cdf).pvalue for line in lines]
        assert kstest(p, "uniform").pvalue > P_FLOOR


# ---- independence


def correlations(x, y):
    """z-scores of products of x, x^2 - 1 and sign-free size of two arrays that should not know
    each other."""
    n = x.size
    root = math.sqrt(n)
    squares = (x * x - 1) * (y * y - 1) / 2
    mixed = (x * x - 1) * y / math.sqrt(2)
    return [float(a.mean()) * root for a in (x * y, squares, mixed)]


def assert_unrelated(x, y):
    for z in correlations(x, y):
        assert_close(z, 0.0, 1.0)


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 256])
def test_columns_and_rows_are_independent(values, lag):
    assert_unrelated(values[:, lag:], values[:, :-lag])
    assert_unrelated(values[lag:], values[:-lag])
    assert_unrelated(values[lag:, lag:], values[:-lag, :-lag])
    # Control: neighbours that share 1% of their numbers.
    mixed = values[:, lag:].copy()
    mixed[::100] = values[::100, :-lag]
    assert max(abs(z) for z in correlations(mixed, values[:, :-lag])) > 5


def test_keys_are_independent(values):
    part = values[:1000, :1000]
    for other in (
        KEY + np.uint64(1),
        KEY ^ np.uint64(1 << 63),
        Streams(11).key("evaluation", 2),
        Streams(12).key("evaluation", 1),
        np.uint64((int(KEY) + GOLDEN) & WORD),
    ):
        assert_unrelated(part, table(other, 0, 1000, 0, 1000))
    # Negative control: the same key is the same table.
    assert correlations(part, table(KEY, 0, 1000, 0, 1000))[0] > 100


def test_neighbouring_columns_fill_the_plane(values):
    edges = norm.ppf(np.arange(1, 24) / 24)

    def plane_p(x, y):
        cell = [np.searchsorted(edges, a.ravel()) for a in (x, y)]
        counts = np.bincount(cell[0] * 24 + cell[1], minlength=576)
        return chi_squared_p(counts, np.full(576, 1 / 576))

    x, y = values[:1000, :-1], values[:1000, 1:]
    assert plane_p(x, y) > P_FLOOR
    assert plane_p(values[:1000], values[1:1001]) > P_FLOOR
    # Control: one pair in 300 has equal signs and sizes.
    y = y.copy()
    y.ravel()[::300] = x.ravel()[::300]
    assert plane_p(x, y) < P_FLOOR


def test_sums_along_rows_and_columns_are_normal(values):
    # Any long-range correlation shows in the variance of sums.
    for axis in (0, 1):
        total = values.sum(axis=axis) / math.sqrt(2000)
        assert kstest(total, norm.cdf).pvalue > P_FLOOR
        assert_close(float((total**2).mean()), 1.0, math.sqrt(2 / total.size))
    trend = values + 0.01
    assert_far(float((trend.sum(axis=1) ** 2).mean() / 2000), 1.0, math.sqrt(2 / 2000))
