"""The nonlinearity score: known values, a plain loop, invariance, and vetting by it."""

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from statistical import assert_close, assert_far, mean_and_error
from teacher_cases import normal

import percolaw
from percolaw.targets.families import from_description
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.nonlinearity import nonlinearity, vet
from percolaw.targets.relu import (
    ReluTeacher,
)
from percolaw.targets.teacher import TeacherFamily


def grid_r2(f, low=-0.5, high=0.5, n=100):
    """R^2 of scikit-learn's straight line on the slice's grid."""
    t = np.linspace(low, high, n)[:, None]
    y = f(t[:, 0])
    return LinearRegression().fit(t, y).score(t, y)


def test_linear_functions_score_one():
    for d in (1, 4, 20):
        found = nonlinearity(LinearTeacher().sample(d, rng=d), d)
        assert found.score == pytest.approx(1.0, abs=1e-12)
        assert found.standard_error < 1e-12
        assert found.n_constant == 0
    affine = nonlinearity(lambda x: 1e6 + x @ [1.0, -1e-3], 2)
    assert affine.score == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("f", "low", "high"),
    [
        (np.square, -0.5, 0.5),
        (np.abs, -0.5, 0.5),
        (np.square, 0.0, 1.0),
        (np.sin, -3.0, 3.0),
        (np.exp, -1.0, 4.0),
        (lambda t: np.sign(t), -0.5, 0.5),
    ],
    ids=["square", "abs", "square 0..1", "sin", "exp", "sign"],
)
def test_known_scores_in_one_dimension(f, low, high):
    found = nonlinearity(lambda x: f(x[:, 0]), 1, low=low, high=high, n_repeats=3)
    assert found.score == pytest.approx(grid_r2(f, low, high), abs=1e-12)
    assert found.standard_error < 1e-12  # all slices are alike
    if f is np.square:
        # On [0, 1] the limit of a fine grid is 15/16; on a symmetric interval 0.
        fine = nonlinearity(
            lambda x: x[:, 0] ** 2, 1, low=low, high=high, n_points=5000, n_repeats=2
        )
        assert fine.score == pytest.approx(0.0 if low < 0 else 15 / 16, abs=1e-4)
        if low < 0:  # control: another range
            assert abs(found.score - grid_r2(f, low, high + 0.3)) > 0.1
    if f is np.sin:
        # R^2 = cov(t, sin t)^2 / (var t var sin t) over [-3, 3]
        cov = (math.sin(3) - 3 * math.cos(3)) / 3
        var = 0.5 - math.sin(6) / 12
        fine = nonlinearity(
            lambda x: np.sin(x[:, 0]), 1, low=-3, high=3, n_points=5000, n_repeats=2
        )
        assert fine.score == pytest.approx(cov**2 / (3 * var), abs=5e-4)
        assert abs(fine.score - nonlinearity(lambda x: np.sin(x[:, 0]), 1).score) > 0.1


def test_a_function_of_one_coordinate_is_constant_along_the_others():
    found = nonlinearity(lambda x: x[:, 2] ** 2, 5, n_repeats=10)
    assert found.score == pytest.approx(4 / 5, abs=1e-12)
    assert found.n_constant == 4 * 10
    constant = nonlinearity(lambda x: np.full(x.shape[0], 3.7), 5, n_repeats=10)
    assert (constant.score, constant.n_constant) == (1.0, 50)


def test_product_of_coordinates_is_linear_along_the_axes():
    # The score looks along axes only: a saddle passes for linear.
    assert nonlinearity(lambda x: x[:, 0] * x[:, 1], 2).score == pytest.approx(1.0, abs=1e-12)


def reference_score(f, d, seed, n_slices, n_points=60):
    """The published score written out, one slice and one regression at a time."""
    rng = np.random.default_rng(seed)
    t = np.linspace(-0.5, 0.5, n_points)
    score = []
    for _ in range(n_slices):
        for axis in range(d):
            x = np.tile(rng.uniform(-0.5, 0.5, d), (n_points, 1))
            x[:, axis] = t
            y = f(x)
            score.append(np.corrcoef(t, y)[0, 1] ** 2)
    return np.mean(np.reshape(score, (n_slices, d)), axis=1)


def test_score_against_a_plain_loop_and_its_standard_error():
    f = FourierTeacher(5, 4.0, 9.0).sample(3, rng=2)
    loop, loop_error = mean_and_error(reference_score(f, 3, 0, 200, 100))
    scores = [nonlinearity(f, 3, rng=s, n_repeats=40) for s in range(100)]
    mean, error = mean_and_error([s.score for s in scores])
    assert_close(loop, mean, math.hypot(loop_error, error))
    assert 0.05 < mean < 0.9
    # Scatter over seeds against the error each reports (and controls a factor apart).
    scatter = np.std([s.score for s in scores], ddof=1)
    reported = math.sqrt(np.mean([s.standard_error**2 for s in scores]))
    assert_close(scatter, reported, reported / math.sqrt(2 * 99))
    assert_far(scatter, reported * math.sqrt(3), reported / math.sqrt(2 * 99))
    assert_far(scatter, reported / 2, reported / math.sqrt(2 * 99))
    again = nonlinearity(f, 3, rng=5, n_repeats=40)
    assert again == scores[5]
    assert again != scores[6]


def test_more_nonlinear_teachers_score_lower():
    low = nonlinearity(FourierTeacher(20, 0.1, 0.2).sample(20, rng=0), 20)
    high = nonlinearity(FourierTeacher(20, 20.0, 40.0).sample(20, rng=0), 20)
    assert low.score > 0.9 > 0.7 > high.score


def test_several_outputs_are_averaged():
    found = nonlinearity(lambda x: np.stack([x[:, 0], x[:, 0] ** 2], axis=1), 1)
    assert found.score == pytest.approx(0.5, abs=1e-12)
    mixed = nonlinearity(lambda x: np.stack([x[:, 0], 0 * x[:, 0] + 2], axis=1), 1, n_repeats=7)
    assert (mixed.score, mixed.n_constant) == (pytest.approx(1.0), 7)


def test_score_does_not_depend_on_offset_and_scale():
    f = FourierTeacher(5, 4.0, 9.0).sample(2, rng=2)
    base = nonlinearity(f, 2).score
    for scale, offset in ((1e-6, 0.0), (1e6, 0.0), (3.0, -200.0)):
        found = nonlinearity(lambda x, s=scale, o=offset: o + s * f(x), 2).score
        assert found == pytest.approx(base, abs=1e-9)


def test_score_of_a_very_small_function():
    found = nonlinearity(lambda x: 1e-13 * x[:, 0] ** 2, 1)
    assert found.score == pytest.approx(0.0, abs=1e-9)
    assert found.n_constant == 0


@pytest.mark.parametrize("ends", [(1.0, 1.0), (math.nan, 1.0)], ids=str)
def test_nonlinearity_refuses_an_empty_range(ends):
    with np.errstate(all="ignore"), pytest.raises(ValueError):
        nonlinearity(lambda x: x[:, 0] ** 2, 1, low=ends[0], high=ends[1])


def test_nonlinearity_of_a_learner():
    x = normal(0, 300, 3)
    learner = percolaw.NearestNeighbors().fit(x, x[:, 0])
    found = nonlinearity(learner.predict, 3, n_repeats=20)
    assert 0.0 < found.score < 0.95  # steps
    line = LinearRegression().fit(x, x[:, 0] + x[:, 1] + x[:, 2])
    assert nonlinearity(line.predict, 3).score == pytest.approx(1.0, abs=1e-9)


def test_nonlinearity_refuses_nan_and_bad_counts():
    with pytest.raises(ValueError, match="NaN or infinity"):
        nonlinearity(lambda x: np.where(x[:, 0] > 0.4, np.nan, 1.0), 2)
    with pytest.raises(ValueError, match="n_repeats must be in"):
        nonlinearity(lambda x: x[:, 0], 2, n_repeats=1)
    with pytest.raises(ValueError, match="n_points must be in"):
        nonlinearity(lambda x: x[:, 0], 2, n_points=2)
    with pytest.raises(ValueError):
        nonlinearity(lambda x: x[:3, 0], 2)


class Counting(TeacherFamily):
    """Linear for the first draws of a run, then a wave."""

    word, approximation_order = "counting", math.nan

    def __init__(self, n_linear):
        self.n_linear, self.seeds = n_linear, []

    def sample(self, dim, rng=0):
        self.seeds.append(rng)
        family = LinearTeacher() if len(self.seeds) <= self.n_linear else FourierTeacher(3, 9, 9)
        return family.sample(dim, rng)


def test_vetting_refuses_and_counts():
    family = Counting(4)
    found = vet(family, 2, 0.9, rng=1, n_repeats=20)
    assert found.n_refused == 4
    assert len(set(family.seeds)) == 5
    assert found.teacher.description["family"] == "fourier"
    assert found.score.score <= 0.9
    assert vet(Counting(0), 2, 0.9, rng=1, n_repeats=20).n_refused == 0
    with pytest.raises(ValueError, match=r"none of 4 .* at most 0.9; the least was 1.000\. Raise"):
        vet(Counting(4), 2, 0.9, rng=1, n_repeats=20, most=4)


def test_vetted_teacher_is_made_again_from_its_description():
    family, d = FourierTeacher(4, 1.0, 12.0), 3
    found = vet(family, d, 0.45, rng=3, n_repeats=30)
    assert found.n_refused > 0
    again = from_description(json.loads(json.dumps(found.teacher.description)))
    x = normal(0, 30, d)
    np.testing.assert_array_equal(again(x), found.teacher(x))
    repeat = vet(family, d, 0.45, rng=3, n_repeats=30, most=found.n_refused + 1)
    np.testing.assert_array_equal(repeat.teacher(x), found.teacher(x))
    assert repeat.score == found.score
    # The score stands when it is measured anew, apart from the luck of having been chosen.
    fresh = nonlinearity(again, d, rng=99)
    assert_close(fresh.score, found.score.score, math.hypot(fresh.standard_error, 0.1))
    with pytest.raises(ValueError, match=r"none of 5 .*the least was 1\.000"):
        vet(LinearTeacher(), d, 0.9, most=5, n_repeats=5)
    with pytest.raises(ValueError, match="threshold"):
        vet(family, d, 1.5)
    for other in (None, "ReLU 2 x 600", FourierTeacher, found.teacher):
        with pytest.raises(TypeError, match=r"family must be a family of teachers.*got"):
            vet(other, d, 0.5)


def test_published_vetting_at_dimension_20():
    found = vet(ReluTeacher(2, 50), 20, 0.99, rng=0)
    loop, error = mean_and_error(reference_score(found.teacher, 20, 1, 40))
    assert_close(found.score.score, loop, math.hypot(error, found.score.standard_error))
