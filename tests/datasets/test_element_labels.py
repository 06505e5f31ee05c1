"""Labels are classes, numbers or a hierarchy; what is none of these is refused with a remedy."""

import numpy as np
import pytest

from percolaw.datasets.element_labels import element_labels


@pytest.mark.parametrize(
    ("values", "classes", "names"),
    [
        (["b", "a", "b", "b"], [1, 0, 1, 1], ("a", "b")),
        (np.array([7, 3, 7, 3], dtype=">i2"), [1, 0, 1, 0], ("3", "7")),
        (np.array([1.0, 0.0, 1.0, 1.0]), [1, 0, 1, 1], ("0", "1")),
        ([[True], [False], [True], [True]], [1, 0, 1, 1], ("False", "True")),
        (np.array(["b", "a", "b", "b"], dtype=object), [1, 0, 1, 1], ("a", "b")),
    ],
)
def test_classes_are_numbered_in_the_order_of_their_names(values, classes, names):
    found = element_labels(values, 4)
    assert found.labels.tolist() == classes
    assert found.labels.dtype == np.int64
    assert found.names == names
    assert found.values is None
    assert found.levels is None


def test_numbers_are_values_and_whole_ones_if_asked():
    assert element_labels([0.5, 1.0, 2.0], 3).values.tolist() == [0.5, 1.0, 2.0]
    assert element_labels([5, 1, 2], 3, "numbers").values.tolist() == [5.0, 1.0, 2.0]
    assert element_labels([0.5, 0.5, 2.0, 2.0], 4, "classes").labels.tolist() == [0, 0, 1, 1]


def test_integers_that_float64_cannot_tell_are_no_values():
    """Times in nanoseconds, say: as floats a few of them would be one."""
    with pytest.raises(ValueError, match=r"beyond 2\^53.*Subtract an offset"):
        element_labels(np.arange(6) * 100 + 1_700_000_000_000_000_000, 6, "numbers")


def test_columns_may_be_of_text_and_of_numbers():
    columns = np.array([["x", "y"] * 3, [1, 2, 1, 2, 3, 2]], dtype=object).T
    assert element_labels(columns, 6).levels.max(axis=0).tolist() == [1, 2]
    columns[3, 1] = 2.5
    with pytest.raises(ValueError, match="level 2 holds numbers"):
        element_labels(columns, 6)


def test_a_hierarchy_only_splits_classes():
    """The same name under two classes is two classes, though column by column it is one."""
    columns = [["x", "one"], ["x", "two"], ["y", "one"], ["y", "one"], ["y", "three"]]
    found = element_labels(columns, 5, names=("kind", "number"))
    assert found.names == ("kind", "number")
    coarse, fine = found.levels.T
    assert coarse.tolist() == [0, 0, 1, 1, 1]
    assert len({*fine.tolist()}) == 4
    assert fine[0] != fine[2] == fine[3]


@pytest.mark.parametrize(
    ("values", "n", "kind", "said"),
    [
        ([1, 2, 1], 4, "auto", "4 elements and 3 labels; give one for each"),
        ([1.5, np.nan, 2.5], 3, "auto", "label 1 is nan, and 1 such are among 3. Leave out"),
        (["a", "", "b", ""], 4, "auto", "label 1 is empty, and 2 such"),
        (["a", None, "b"], 3, "auto", "label 1 is missing"),
        (["a", "a"], 2, "auto", "all 2 labels are a; two classes are the least"),
        ([2.0, 2.0], 2, "numbers", "a constant function says nothing"),
        (range(9), 9, "auto", "9 classes for 9 elements.*say kind 'numbers'.*coarser"),
        (["a", "b"], 2, "numbers", "must be numbers; got text, 'a'"),
        (["a", "b", "c", "a"], 4, "auto", "3 classes for 4 elements.*agree. Take coarser"),
        (np.zeros((2, 2, 2)), 2, "auto", r"shape \(n,\), or \(n, n_levels\)"),
        ([[0, 1.5], [1, 2.5]], 2, "auto", "level 1, holds|level 2 holds numbers"),
        ([[0, 1], [0, 2]], 2, "auto", "level 1, the first column, are equal; leave it out"),
        (
            [[1, 0], [2, 0], [2, 0]],
            3,
            "auto",
            "no column splits the 2 classes.*coarsest to the finest",
        ),
        ([1, 2], 2, "clases", "unknown kind 'clases'. Did you mean 'classes'"),
    ],
)
def test_reason_and_remedy(values, n, kind, said):
    with pytest.raises(ValueError, match=said):
        element_labels(values, n, kind)


def test_objects_are_no_labels():
    with pytest.raises(TypeError, match=r"label 1 is 3 \(int\); labels must be all text"):
        element_labels(["a", 3, "b"], 3)
