"""What a user's function gives back has the shape it should have, or is refused; nothing is broadcast."""

import dataclasses

import numpy as np
import pytest

import percolaw as pl
from percolaw import checks
from percolaw.learners.observations import fitted
from percolaw.targets.combined import SumTeacher
from percolaw.targets.slices import origin_slice
from percolaw.targets.teacher import Teacher

X = np.random.default_rng(0).standard_normal((5, 3))


def teacher(function, n_outputs=1):
    return Teacher(3, n_outputs, {"family": "mine"}, function)


@pytest.mark.parametrize(
    "function", [lambda x: x[:, 0], lambda x: x[:, :1], lambda x: x[:, 0].tolist()]
)
def test_a_number_a_point_in_any_form(function):
    np.testing.assert_array_equal(teacher(function)(X), X[:, 0])
    assert origin_slice(3, n_pixels=4).image(function).shape == (4, 4)


@pytest.mark.parametrize(
    ("function", "n_outputs"),
    [
        (lambda x: 1.0, 1),
        (lambda x: x[:1, 0], 1),
        (lambda x: x[:, 0], 5),  # five numbers would fill five rows of five
        (lambda x: x[:1], 3),
        (lambda x: x.T, 5),
        (lambda x: x, 1),
    ],
)
def test_other_shapes_are_refused(function, n_outputs):
    with pytest.raises(ValueError, match=r"the mine function's result must have shape \(5, "):
        teacher(function, n_outputs)(X)


def test_not_finite_or_masked():
    with pytest.raises(ValueError, match="mine function's result: 5 of 5 are NaN or infinite"):
        teacher(lambda x: x[:, 0] * np.nan)(X)
    with pytest.raises(ValueError, match="masked"):
        teacher(lambda x: np.ma.masked_less(x[:, 0], 10.0))(X)
    with pytest.raises(TypeError, match="must be numeric"):
        teacher(lambda x: x[:, 0] + 1j)(X)


@dataclasses.dataclass(frozen=True)
class Writing:
    """A family whose functions write into their argument."""

    def sample(self, dim, rng=0):
        def function(x):
            x *= 2.0
            return x.sum(axis=1)

        return Teacher(dim, 1, {"family": "writing", "parameters": {}}, function)


def test_a_function_that_writes_into_its_argument_changes_nothing_else():
    points = X.copy()
    both = SumTeacher((Writing(), Writing())).sample(3)
    np.testing.assert_allclose(both(points), 4.0 * X.sum(axis=1))
    np.testing.assert_array_equal(points, X)
    piece = origin_slice(3, n_pixels=4)
    before = piece.points.copy()
    piece.image(Writing().sample(3).function)
    np.testing.assert_array_equal(piece.points, before)


def test_tree_learners():
    @dataclasses.dataclass(frozen=True)
    class Mine:
        result: object

        def fit(self, tree, sites, values):
            return fitted(self, tree, sites, values)

        def estimate(self, observations):
            return self.result

    tree = pl.Tree.from_parent([-1, 0, 1, 2])
    assert Mine([1, 2, 3, 4]).fit(tree, [0], [5.0]).predict().tolist() == [1, 2, 3, 4]
    for result in (1.0, [1.0], np.eye(4), [[1.0, 2.0, 3.0, 4.0]]):
        with pytest.raises(ValueError, match=r"the estimate of Mine must have shape \(4,\)"):
            Mine(result).fit(tree, [0], [5.0]).predict()
    with pytest.raises(ValueError, match="4 of 4 are NaN"):
        Mine(np.full(4, np.nan)).fit(tree, [0], [5.0]).predict()


def test_checks_returned():
    assert checks.returned("it", [[1], [2]], (2,)).tolist() == [1.0, 2.0]
    assert checks.returned("it", [1, 2], (2, 1)).tolist() == [[1.0], [2.0]]
    with pytest.raises(ValueError, match=r"it must have shape \(2, 2\); got \(2,\). Transpose."):
        checks.returned("it", [1, 2], (2, 2), "Transpose.")
