"""Named streams, keyed normals and the kernel hash."""

import random

import numpy as np
import pytest
from numba import njit
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import sample_clusters, yule_process
from percolaw.clusters.growth import grow_clusters
from percolaw.kernels.random import bits, mix, uniform
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import (
    BLOCK_ELEMENTS,
    STREAMS,
    Streams,
    as_streams,
    normal_rows,
    rows_per_block,
)

GOLDEN = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1

#: Numbers of STREAM_VERSION 1, written down once.
PINNED_KEYS = [614664563128233135, 1883082863998564671, 16504243508366862345]
PINNED_DRAWS = (13762097558954633188, 974494456420904808, 4910575110495595313)


# ---- streams


def first_draws(streams, stream, *items):
    return tuple(streams.generator(stream, *items).bit_generator.random_raw(3).tolist())


def test_a_stream_is_reproducible():
    assert first_draws(Streams(7), "target", 3) == first_draws(Streams(7), "target", 3)
    assert Streams(7).key("target", 3) == Streams(7).key("target", 3)
    assert Streams(np.int64(7)) == Streams(7)


def test_streams_differ_by_name_item_seed_and_path():
    draws, keys = [], []
    for seed in (0, 1, 2**40):
        root = Streams(seed)
        for streams in (root, root.child(0), root.child(1), root.child(0, 1), root.child(1, 0)):
            for name in STREAMS:
                for items in ((), (0,), (1,), (0, 1), (1, 0), (0, 0), (2**32 - 1,)):
                    draws.append(first_draws(streams, name, *items))
                    keys.append(int(streams.key(name, *items)))
    assert len(set(draws)) == len(draws) == 3 * 5 * len(STREAMS) * 7
    assert len(set(keys)) == len(keys)


def test_child_is_not_the_item_of_the_same_number():
    # Without the length of the path in the key these three would be one stream.
    first = first_draws(Streams(0).child(1, 2), "target")
    assert first != first_draws(Streams(0).child(1), "target", 2)
    assert first != first_draws(Streams(0), "target", 1, 2)
    assert Streams(0).child(1).child(2) == Streams(0).child(1, 2)


def test_numbers_of_stream_version_1_are_pinned():
    # A change here is a change of all results for a given seed: bump STREAM_VERSION.
    asked = [(0, "clusters"), (0, "ties"), (9, "sizes")]
    assert [int(Streams(seed).key(name, 5)) for seed, name in asked] == PINNED_KEYS
    assert first_draws(Streams(1).child(2), "embedding", 3) == PINNED_DRAWS


def test_items_do_not_correlate():
    x = np.array([Streams(0).generator("target", i).standard_normal() for i in range(2000)])
    assert_close(x.mean(), 0.0, 1 / np.sqrt(x.size))
    product = x[1:] * x[:-1]
    assert_close(product.mean(), 0.0, 1 / np.sqrt(product.size))
    # Control: neighbours that share a quarter of their variance.
    mixed = (x[1:] + 0.6 * x[:-1]) / np.sqrt(1.36)
    assert_far((mixed[1:] * mixed[:-1]).mean(), 0.0, 1 / np.sqrt(product.size))


def test_items_beyond_32_bits_are_streams_of_their_own():
    assert first_draws(Streams(0), "target", 2**32) != first_draws(Streams(0), "target", 0, 1)


def test_huge_seeds_do_not_run_into_the_stream_key():
    assert first_draws(Streams(5 + 3 * 2**32), "clusters") != first_draws(Streams(5), "split", 0)
    with pytest.raises(ValueError, match=r"seed must lie in 0\.\.2\^64 - 1; got"):
        Streams(5 + 3 * 2**96)


def test_unknown_stream_and_bad_seed_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"unknown stream 'noise'; choose from clusters, "):
        Streams(0).generator("noise")
    with pytest.raises(ValueError, match=r"seed must lie in 0..2\^64 - 1; got -1"):
        Streams(-1)
    for bad in (1.0, "1", True, None):
        with pytest.raises(TypeError, match="seed must be an integer; got"):
            Streams(bad)


# ---- as_streams


def test_as_streams_of_an_integer_is_that_seed_every_time():
    assert as_streams(5) == as_streams(np.int32(5)) == Streams(5)
    streams = Streams(5).child(1)
    assert as_streams(streams) is streams


def test_as_streams_of_a_generator_advances_it():
    generator = np.random.default_rng(0)
    first, second = as_streams(generator), as_streams(generator)
    assert first != second
    again = np.random.default_rng(0)
    assert (as_streams(again), as_streams(again)) == (first, second)


def test_as_streams_of_none_is_fresh():
    assert len({as_streams(None).seed for _ in range(20)}) == 20


@pytest.mark.parametrize("bad", [True, 1.5, "0", np.random, np.random.RandomState(0), [1]])
def test_as_streams_refuses_anything_else(bad):
    with pytest.raises(TypeError, match="rng must be an integer seed, a numpy Generator"):
        as_streams(bad)


def test_as_streams_refuses_a_negative_seed():
    with pytest.raises(ValueError, match=r"seed must lie in 0\.\.2.64 - 1; got -3"):
        as_streams(-3)


# ---- normal_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [None, 1, 7, 700, BLOCK_ELEMENTS + 5])
def test_fewer_rows_are_the_first_of_more(dtype, width):
    block = rows_per_block(1 if width is None else width)
    assert block == (1 if width and width > BLOCK_ELEMENTS else BLOCK_ELEMENTS // (width or 1))
    n = 2 * block + 3

    def rows(n):
        out = np.full((n,) if width is None else (n, width), np.nan, dtype=dtype)
        normal_rows(Streams(3), "embedding", out, 4)
        return out

    whole = rows(n)
    assert np.isfinite(whole).all()
    for few in (0, 1, min(5, block), block - 1, block, block + 1, 2 * block, n - 1):
        np.testing.assert_array_equal(rows(few), whole[:few])
    # Control: the comparison is not between constant rows or repeated blocks.
    assert not np.array_equal(whole[:3], whole[block : block + 3])
    assert np.unique(whole[:block].ravel()[:500]).size == 500


def test_normal_rows_depend_on_stream_item_and_seed():
    def rows(seed, stream, *items):
        out = np.empty((4, 3))
        normal_rows(Streams(seed), stream, out, *items)
        return out.tobytes()

    cases = [(0, "embedding"), (0, "target"), (1, "embedding"), (0, "embedding", 1)]
    assert len({rows(*case) for case in cases}) == len(cases)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_rows_are_standard_normal_across_blocks(dtype):
    out = np.empty(4 * BLOCK_ELEMENTS, dtype=dtype)
    normal_rows(Streams(0), "embedding", out)
    x = out.astype(np.float64)
    assert_close(x.mean(), 0.0, 1 / np.sqrt(x.size))
    assert_close(x.var(), 1.0, np.sqrt(2 / x.size))
    fourth, error = mean_and_error(x**4)
    assert_close(fourth, 3.0, error)
    between = x[:BLOCK_ELEMENTS] * x[BLOCK_ELEMENTS : 2 * BLOCK_ELEMENTS]
    assert_close(between.mean(), 0.0, 1 / np.sqrt(BLOCK_ELEMENTS))
    assert_far((1.02 * x).var(), 1.0, np.sqrt(2 / x.size))
    flat, error = mean_and_error(
        (np.sqrt(12) * (np.random.default_rng(0).random(x.size) - 0.5)) ** 4
    )
    assert_far(flat, 3.0, error)


def test_normal_rows_refuse_a_strided_array():
    with pytest.raises(ValueError, match=r"C-contiguous; pass np\.ascontiguousarray"):
        normal_rows(Streams(0), "embedding", np.empty((4, 6))[:, ::2])


# ---- no global state


def test_public_calls_leave_global_random_states_alone():
    np.random.seed(123)  # noqa: NPY002 - the state that must not move
    random.seed(123)
    numpy_before = np.random.get_state()  # noqa: NPY002
    python_before = random.getstate()
    as_streams(None)
    as_streams(np.random.default_rng(1))
    normal_rows(Streams(0), "embedding", np.empty(10))
    tree = conditioned_clusters([20, 30], 3, rng=None)
    tree.nearest([0, 25], rng=None)
    tree.span([3, 4, 40], collapse=True)
    sample_clusters("site", 5, max_size=100, rng=None)
    grow_clusters(BetheLattice(3), 5, max_size=100, rng=None)
    yule_process(50, rng=None)
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert numpy_after[0] == numpy_before[0]
    np.testing.assert_array_equal(numpy_after[1], numpy_before[1])
    assert numpy_after[2:] == numpy_before[2:]
    assert random.getstate() == python_before
    # Control: one draw from either would be seen.
    np.random.random()  # noqa: NPY002
    random.random()
    assert np.random.get_state()[2] != numpy_before[2]  # noqa: NPY002
    assert random.getstate() != python_before


# ---- the kernel hash


@njit
def many_bits(key, first, n):
    out = np.empty(n, np.uint64)
    for i in range(n):
        out[i] = bits(key, np.uint64(first + i))
    return out


def unit(words):
    return (words >> np.uint64(11)) * 2.0**-53


def plain_mix(word):
    """The SplitMix64 finaliser, in Python integers."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return word ^ (word >> 31)


def plain_bits(key, index):
    first = plain_mix((key + (index + 1) * GOLDEN) & WORD)
    rotated = ((key >> 32) | (key << 32)) & WORD
    return plain_mix((first + rotated) & WORD)


def one_round(key, n):
    """The hash without its second, keyed round: a control."""
    return np.array([plain_mix((key + (i + 1) * GOLDEN) & WORD) for i in range(n)], dtype=np.uint64)


N_WORDS = 200_000
KEYS = [0, 1, GOLDEN, WORD, int(Streams(0).key("ties"))]


def test_hash_equals_its_plain_python_twin():
    # First output of the published SplitMix64 with seed 0.
    assert int(mix(np.uint64(GOLDEN))) == plain_mix(GOLDEN) == 0xE220A8397B1DCDAF
    for key in KEYS:
        for index in (0, 1, 2, 1000, 2**31, 2**63, WORD):
            assert int(bits(np.uint64(key), np.uint64(index))) == plain_bits(key, index)
            u = uniform(np.uint64(key), np.uint64(index))
            assert u == (plain_bits(key, index) >> 11) / 2**53
            assert 0.0 <= u < 1.0


@pytest.mark.parametrize("key", KEYS)
def test_hash_is_uniform_in_every_byte(key):
    words = many_bits(np.uint64(key), 0, N_WORDS)
    flat = np.full(256, 1 / 256)
    for shift in range(0, 64, 8):
        byte = (words >> np.uint64(shift)) & np.uint64(255)
        assert chi_squared_p(np.bincount(byte.astype(int), minlength=256), flat) > P_FLOOR
    assert np.unique(words).size == N_WORDS
    # Controls: a slightly bent uniform, and plain counters, whose top byte is not uniform.
    bent = (unit(words) ** 1.1 * 256).astype(int)
    assert chi_squared_p(np.bincount(bent, minlength=256), flat) < P_FLOOR
    assert chi_squared_p(np.bincount(np.arange(N_WORDS) >> 12, minlength=256)[:256], flat) < P_FLOOR


def assert_unrelated(first, second):
    """Every output bit differs half of the time, and the uniforms do not correlate."""
    n = first.size
    different = first ^ second
    for shift in range(64):
        ones = int(((different >> np.uint64(shift)) & np.uint64(1)).sum())
        assert_close(ones / n, 0.5, 0.5 / np.sqrt(n))
    product = 12 * (unit(first) - 0.5) * (unit(second) - 0.5)
    assert_close(product.mean(), 0.0, 1 / np.sqrt(n))


@pytest.mark.parametrize("lag", [1, 2, 16, 64])
@pytest.mark.parametrize("key", [0, int(Streams(0).key("ties"))])
def test_hash_has_no_serial_correlation(key, lag):
    words = many_bits(np.uint64(key), 0, N_WORDS)
    assert_unrelated(words[lag:], words[:-lag])
    # Control: a Weyl sequence is uniform too, but its steps are constant.
    weyl = np.arange(N_WORDS, dtype=np.uint64) * np.uint64(GOLDEN)
    with pytest.raises(AssertionError):
        assert_unrelated(weyl[lag:], weyl[:-lag])


def test_keys_that_overlap_as_counters_do_not_correlate():
    # key + golden counts through the same first-round words, one index later.
    key = int(Streams(0).key("clusters"))
    for step in (1, 2, 5):
        other = (key + step * GOLDEN) & WORD
        first = many_bits(np.uint64(key), step, N_WORDS)
        second = many_bits(np.uint64(other), 0, N_WORDS)
        assert_unrelated(first, second)
    # Control: without the second keyed round the two streams are shifted copies.
    plain = one_round(key, 2001)
    shifted = one_round((key + GOLDEN) & WORD, 2000)
    np.testing.assert_array_equal(plain[1:], shifted)
    with pytest.raises(AssertionError):
        assert_unrelated(plain[1:], shifted)


@pytest.mark.parametrize("step", [1, 2, 1 << 32, 1 << 63])
def test_neighbouring_keys_do_not_correlate(step):
    key = int(Streams(0).key("clusters"))
    first = many_bits(np.uint64(key), 0, N_WORDS)
    assert_unrelated(first, many_bits(np.uint64((key + step) & WORD), 0, N_WORDS))
    with pytest.raises(AssertionError):
        assert_unrelated(first, first)
