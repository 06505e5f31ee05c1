"""Samples: what is kept of a data set, its classes, and every kind of bad input."""

import numpy as np
import pytest
from scipy import sparse

from percolaw.analysis.adjacency import hamming_graph, neighbor_graph
from percolaw.analysis.sample import TOLERANCES, as_sample
from percolaw.datasets.strings import coded_strings

N = 420
RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((N, 3))
LABELS = np.arange(N) % 5
WORDS = ["".join("abcd"[(i // 4**j) % 4] for j in range(5)) for i in range(N)]


def test_points_and_classes_are_kept():
    sample = as_sample(POINTS, LABELS)
    assert (sample.n, sample.n_repeated, sample.metric, sample.has_graph) == (
        N,
        0,
        "euclidean",
        False,
    )
    np.testing.assert_array_equal(sample.elements, POINTS)
    np.testing.assert_array_equal(sample.classes, LABELS[:, None])
    assert sample.levels == ("classes",)
    assert sample.values is None
    graph = sample.graph(4)
    np.testing.assert_array_equal(graph.low, neighbor_graph(POINTS, 4).low)
    np.testing.assert_array_equal(
        sample.agreeing(graph, 0), LABELS[graph.low] == LABELS[graph.high]
    )


def test_words_as_classes_and_no_function():
    named = as_sample(POINTS, [f"class {i}" for i in LABELS])
    np.testing.assert_array_equal(named.classes[:, 0], LABELS)
    bare = as_sample(POINTS)
    assert bare.levels == ()
    assert bare.classes.shape == (N, 0)


def test_the_first_of_equal_elements_is_kept_with_its_class():
    points = np.concatenate([POINTS, POINTS[:30] * (1 + 1e-16)])
    label = np.concatenate([LABELS, (LABELS[:12] + 1) % 5, LABELS[12:30]])
    order = np.random.default_rng(1).permutation(N + 30)
    sample = as_sample(points[order], label[order])
    assert (sample.n, sample.n_repeated, sample.n_disagreeing) == (N, 30, 12)
    row = {tuple(p): i for i, p in reversed(list(enumerate(points[order])))}
    kept = sorted(row.values())
    np.testing.assert_array_equal(sample.elements, points[order][kept])
    np.testing.assert_array_equal(sample.classes[:, 0], label[order][kept])


def test_cosine_compares_directions():
    scaled = np.concatenate([POINTS, 3.0 * POINTS[:10]])
    sample = as_sample(scaled, metric="cosine")
    assert sample.n_repeated == 10
    np.testing.assert_allclose(np.linalg.norm(sample.elements, axis=1), 1.0)
    assert as_sample(scaled).n_repeated == 0
    scaled[7] = 0.0
    with pytest.raises(ValueError, match="point 7 is zero and has no direction"):
        as_sample(scaled, metric="cosine")


@pytest.mark.parametrize(
    "given",
    [
        WORDS,
        np.array(WORDS),
        np.array(WORDS, dtype=object),
        np.array(WORDS, dtype="S5"),
        coded_strings(WORDS).codes,
    ],
    ids=["list", "array", "objects", "bytes", "codes"],
)
def test_strings_in_every_form(given):
    sample = as_sample(given, LABELS, metric="hamming")
    assert (sample.n, sample.n_repeated, sample.has_graph) == (N, 0, True)
    np.testing.assert_array_equal(sample.elements, coded_strings(WORDS).codes)
    assert sample.graph(3).n_bonds == hamming_graph(sample.elements).n_bonds


def test_repeated_strings_are_left_out():
    sample = as_sample(WORDS[::-1] + WORDS[:7], metric="hamming")
    assert (sample.n, sample.n_repeated) == (N, 7)
    np.testing.assert_array_equal(sample.elements, coded_strings(WORDS[::-1]).codes)


@pytest.mark.parametrize(
    "function",
    [
        np.append(LABELS, [*LABELS[:6], 9]),
        np.append(LABELS, [*LABELS[:6], 9]) + 0.5,  # numbers
        np.stack([np.arange(N + 7) % 2, np.append(LABELS, [*LABELS[:6], 9])], axis=1),
    ],
    ids=["classes", "numbers", "hierarchy"],
)
def test_one_string_with_two_labels_is_counted(function):
    if function.ndim == 2:  # a copy that disagrees at any level does
        function[N:, 0] = function[:7, 0]
    sample = as_sample(WORDS + WORDS[:7], function, metric="hamming")
    assert (sample.n_repeated, sample.n_disagreeing) == (7, 1)
    assert sample.part(np.arange(400)).n_disagreeing == 1


def test_a_given_graph_is_taken_as_it_is():
    ring = sparse.csr_array((np.ones(N), (np.arange(N), (np.arange(N) + 1) % N)), shape=(N, N))
    sample = as_sample(ring, LABELS, metric="graph")
    assert (sample.n, sample.n_repeated, sample.graph(9).n_bonds) == (N, 0, N)
    part = sample.part(np.arange(100)[::-1])
    assert part.graph(1).n_bonds == 99
    np.testing.assert_array_equal(part.classes[:, 0], LABELS[:100][::-1])
    again = as_sample(sample.elements, metric="graph")
    assert again.graph(1) is sample.elements


def test_a_part_keeps_rows_together():
    values = POINTS[:, 0]
    sample = as_sample(POINTS, values)
    rows = np.array([5, 3, 400])
    part = sample.part(rows)
    np.testing.assert_array_equal(part.elements, POINTS[rows])
    np.testing.assert_array_equal(part.values, values[rows])
    np.testing.assert_array_equal(part.classes, sample.classes[rows])


def test_real_values_are_cut_at_each_tolerance():
    values = RNG.standard_normal(N) * 7.0 + 100.0
    sample = as_sample(POINTS, values)
    assert sample.levels == tuple(f"tolerance {w:g} sd" for w in TOLERANCES)
    np.testing.assert_array_equal(sample.values, values)
    for level, width in enumerate(TOLERANCES):
        label = sample.classes[:, level]
        for one in np.unique(label):
            assert np.ptp(values[label == one]) <= width * values.std() * (1 + 1e-12)
        assert label.min() == 0
        assert np.all(np.bincount(label) > 0)
        # Classes follow one another, so that neighbouring intervals are neighbouring classes.
        assert np.all(np.diff(label[np.argsort(values)]) >= 0)
        n_most = np.ptp(values) / (width * values.std()) + 2
        assert 0.4 * n_most < np.unique(label).size <= n_most
    other = as_sample(POINTS, -3.0 * values + 2.0)  # the axis of tolerance is free of units
    for level in range(len(TOLERANCES)):
        assert other.classes[:, level].max() == sample.classes[:, level].max()


def test_values_that_no_tolerance_cuts():
    values = np.full(N, 0.5)
    values[0] = 0.6
    sample = as_sample(POINTS, values)
    np.testing.assert_array_equal(np.sort(sample.classes[:, 0])[-2:], [0, 1])


def test_a_hierarchy_has_a_level_a_column():
    fine = LABELS * 2 + (np.arange(N) // 5) % 2
    sample = as_sample(POINTS, np.stack([LABELS, fine], axis=1), level_names=("coarse", "fine"))
    assert sample.levels == ("coarse", "fine")
    assert [np.unique(c).size for c in sample.classes.T] == [5, 10]


@pytest.mark.parametrize(
    ("elements", "function", "metric", "message"),
    [
        (POINTS, LABELS[:-1], "euclidean", f"{N} elements and {N - 1} labels"),
        (POINTS, np.ones(N, int), "euclidean", "two classes are the least"),
        (POINTS, np.arange(N), "euclidean", "fewer than two elements a class"),
        (POINTS, np.full(N, 0.5), "euclidean", "constant function"),
        (POINTS, np.where(LABELS == 3, np.nan, 0.5 * LABELS), "euclidean", "nan"),
        (np.where(POINTS > 2.0, np.nan, POINTS), LABELS, "euclidean", "NaN"),
        (np.where(POINTS > 2.0, np.inf, POINTS), LABELS, "euclidean", "inf"),
        (np.ones((N, 3)), LABELS, "euclidean", r"at least 400 distinct elements; got 1 \(of 420\)"),
        (POINTS[:399], LABELS[:399], "euclidean", "at least 400 distinct elements; got 399"),
        (np.repeat(POINTS[:210], 2, axis=0), LABELS, "euclidean", "got 210"),
        (POINTS[:0], LABELS[:0], "euclidean", "elements"),
        (POINTS[:, 0], LABELS, "euclidean", "elements"),
        (POINTS, LABELS, "manhattan", "metric"),
        ([*WORDS[:-1], "abc"], LABELS, "hamming", "one length"),
        ([], None, "hamming", "no strings"),
        (WORDS[:50], None, "hamming", "got 50"),
        (np.eye(N), LABELS, "graph", "self-loops"),
        (POINTS, LABELS, "graph", "square"),
        (sparse.csr_array((10, 10)), None, "graph", "got 10"),
    ],
)
def test_bad_input_is_refused_with_its_reason(elements, function, metric, message):
    with pytest.raises(ValueError, match=message):
        as_sample(elements, function, metric=metric)


@pytest.mark.parametrize(
    "given", [[1, 2, 3] * 200, [b"ab"] * 3 + ["ab"] * 500, [list("abc")] * 500, 7], ids=range(4)
)
def test_what_is_no_text_is_refused(given):
    with pytest.raises(TypeError, match=r"strings|text|str"):
        as_sample(given, metric="hamming")


def test_names_of_levels_are_one_a_column():
    with pytest.raises(ValueError, match="level_names"):
        as_sample(POINTS, LABELS, level_names=("a", "b"))
