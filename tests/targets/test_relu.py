"""ReLU teachers: their law, their layers, and the linear pieces along a line."""

import json
import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error
from teacher_cases import normal

from percolaw.numerics.covariance import NetworkGaussianProcess
from percolaw.targets.families import from_description
from percolaw.targets.relu import (
    ReluTeacher,
    expected_linear_pieces,
    linear_pieces,
    n_parameters,
    sharma_kaplan_teacher,
)

# --- what every teacher does


@pytest.mark.parametrize("number", [np.int64(3), 3.0], ids=["int64", "float"])
def test_relu_description_is_plain_whatever_kind_of_integer_came_in(number):
    family = ReluTeacher(depth=number, width=number, n_outputs=number)
    teacher = family.sample(number)
    description = json.loads(json.dumps(teacher.description))
    np.testing.assert_array_equal(from_description(description)(np.ones((1, 3))).shape, (1, 3))


@pytest.mark.parametrize(
    "family",
    [
        {"n_outputs": 0},
        {"weight_scale": math.nan},
        {"bias_scale": -1.0},
        {"output_scale": math.inf},
    ],
    ids=["outputs", "weight", "bias", "output scale"],
)
def test_relu_refuses_what_makes_no_function(family):
    with pytest.raises(ValueError):
        ReluTeacher(**family)


# --- laws


@pytest.mark.parametrize(
    ("depth", "weight", "bias"),
    [
        (3, 1.2, 0.5),
        *(pytest.param(*law, marks=pytest.mark.slow) for law in ((1, 1.4, 1.0), (2, 1.0, 0.0))),
    ],
)
def test_relu_variance_is_that_of_the_network_process(depth, weight, bias):
    # E f^2 is exact at every width: each layer maps the mean square by the same recursion.
    x = normal(1, 2, 6) * np.array([[1.0], [2.0]])
    family = ReluTeacher(depth, 30, weight, bias, output_scale=3.0)
    value = np.array([family.sample(6, rng=s)(x) for s in range(1000)])
    truth = 9.0 * NetworkGaussianProcess(depth, weight, bias).diagonal(x)
    for i in range(2):
        mean, error = mean_and_error(value[:, i] ** 2)
        assert_close(mean, truth[i], error)
        assert_far(
            mean, 9.0 * NetworkGaussianProcess(depth, 1.2 * weight, bias).diagonal(x)[i], error
        )
        assert_far(mean, truth[i] / 9.0, error)
    mean, error = mean_and_error(value[:, 0] * value[:, 1])
    cross = 9.0 * NetworkGaussianProcess(depth, weight, bias)(x[:1], x[1:])[0, 0]
    assert_close(mean, cross, error, bias=0.1 * math.sqrt(truth[0] * truth[1]))


def by_hand(layers, x, scale=1.0):
    for weights, bias in layers[:-1]:
        x = np.where(x @ weights + bias > 0, x @ weights + bias, 0.0)
    return scale * (x @ layers[-1][0] + layers[-1][1])


def test_relu_teacher_is_the_network_of_its_layers():
    family = ReluTeacher(3, 12, 0.7, 0.4, n_outputs=2, output_scale=5.0)
    layers = family.layers(4, rng=6)
    shapes = [(w.shape, b.shape) for w, b in layers]
    assert shapes == [((4, 12), (12,)), ((12, 12), (12,)), ((12, 12), (12,)), ((12, 2), (2,))]
    x = normal(2, 40, 4)
    np.testing.assert_allclose(family.sample(4, rng=6)(x), by_hand(layers, x, 5.0), rtol=1e-12)
    wide = ReluTeacher(2, 300, 0.7, 0.4).layers(200, rng=0)
    for (weights, bias), fan_in in zip(wide[:2], (200, 300), strict=True):
        mean, error = mean_and_error(weights**2)
        assert_close(mean, 0.49 / fan_in, error)
        assert_far(mean, 0.98 / fan_in, error)
        mean, error = mean_and_error(bias**2)
        assert_close(mean, 0.16, error)


def test_zero_bias_relu_is_homogeneous():
    x = normal(3, 30, 4)
    for depth in (1, 3):
        f = ReluTeacher(depth, 25, bias_scale=0.0, n_outputs=2).sample(4, rng=1)
        for factor in (0.01, 2.5, 100.0):
            np.testing.assert_allclose(f(factor * x), factor * f(x), rtol=1e-10, atol=1e-12)
        assert np.abs(f(-x) + f(x)).max() > 0.1  # positive factors only
        g = ReluTeacher(depth, 25, bias_scale=1.0).sample(4, rng=1)
        assert np.abs(g(2.5 * x) - 2.5 * g(x)).max() > 0.1


def test_published_teacher():
    family = sharma_kaplan_teacher(n_outputs=2)
    layers = family.layers(20, rng=0)
    assert [w.shape for w, _ in layers] == [(20, 600), (600, 600), (600, 2)]
    for weights, bias in layers:
        np.testing.assert_array_equal(bias, 0.0)
        mean, error = mean_and_error(weights**2)
        assert_close(mean, 1.0 / weights.shape[0], error)
        if weights.shape[1] > 2:
            assert_far(mean, 2.0 / weights.shape[0], error)
    x = normal(4, 20, 20)
    np.testing.assert_allclose(family.sample(20, rng=0)(x), by_hand(layers, x, 6.0), rtol=1e-10)
    assert n_parameters(family, 20) == 20 * 600 + 600 * 600 + 600 * 2


def grid_pieces(layers, a, b, n_grid=40_001):
    """Activation patterns on a fine grid along the segment."""
    t = np.linspace(0, 1, n_grid)[:, None]
    x, changed = a + t * (b - a), np.zeros(n_grid - 1, dtype=bool)
    for weights, bias in layers[:-1]:
        before = x @ weights + bias
        changed |= np.any((before[1:] > 0) != (before[:-1] > 0), axis=1)
        x = np.maximum(before, 0)
    return 1 + int(changed.sum())


# --- linear pieces


@pytest.mark.parametrize("d", [2, 20])
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_linear_pieces_against_a_fine_grid(d, bias):
    counts = []
    for seed in range(6):
        depth = 1 + seed % 3
        family = ReluTeacher(depth, 12, bias_scale=bias)
        layers = family.layers(d, rng=seed)
        a, b = 2.0 * normal(seed, 2, d)
        found = linear_pieces(layers, a, b)
        assert found == grid_pieces(layers, a, b)
        assert found == linear_pieces(layers, b, a)
        # The kinks seen in values: second differences vanish on pieces. At most one each.
        value = family.sample(d, rng=seed)(a + np.linspace(0, 1, 4001)[:, None] * (b - a))
        kinks = np.abs(np.diff(value, 2)) > 1e-9 * np.abs(value).max()
        starts = int(np.sum(kinks[1:] & ~kinks[:-1]) + kinks[0])
        assert starts <= found - 1
        counts.append(found)
        # Pieces add up over a split of the segment, up to the piece it cuts.
        middle = 0.37 * a + 0.63 * b
        assert linear_pieces(layers, a, middle) + linear_pieces(layers, middle, b) == found + 1
    assert len(set(counts)) > 2


def test_linear_pieces_of_one_unit_by_hand():
    layers = [(np.array([[2.0]]), np.array([-1.0])), (np.array([[1.0]]), np.array([0.0]))]
    assert linear_pieces(layers, [0.0], [1.0]) == 2  # kink at 1/2
    assert linear_pieces(layers, [0.6], [1.0]) == 1
    assert linear_pieces(layers, [0.0], [0.4]) == 1
    assert linear_pieces(layers, [3.0], [3.0]) == 1
    # A tent by two units, folded again by a second layer: 4 pieces inside, 1 outside each end.
    tent = (np.array([[1.0, 1.0]]), np.array([0.0, -0.5]))
    fold = (np.array([[2.0, 2.0], [-4.0, -4.0]]), np.array([0.0, -0.5]))
    out = (np.array([[2.0], [-4.0]]), np.array([0.0]))
    assert linear_pieces([tent, fold, out], [0.0], [1.0]) == 4
    assert linear_pieces([tent, fold, out], [-1.0], [2.0]) == 6
    assert linear_pieces([tent, out], [0.0], [1.0]) == 2


def test_zero_bias_pieces_along_rays():
    layers = ReluTeacher(3, 40, bias_scale=0.0).layers(6, rng=0)
    v = normal(0, 1, 6)[0]
    assert linear_pieces(layers, 0.5 * v, 3.0 * v) == 1
    assert linear_pieces(layers, -v, v) == 2
    assert linear_pieces(layers, v, -normal(1, 1, 6)[0]) > 10


def test_zero_bias_pieces_through_the_origin_off_the_middle():
    layers = ReluTeacher(3, 40, bias_scale=0.0).layers(6, rng=0)
    v = normal(0, 1, 6)[0]
    assert linear_pieces(layers, -v, 2.0 * v) == 2


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("depth", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_expected_pieces_are_the_mean_of_the_count(depth, bias):
    a, b = 2.0 * normal(1, 2, 6)
    width = 100
    family = ReluTeacher(depth, width, 1.3, bias)
    counts = [linear_pieces(family.layers(6, rng=s), a, b) for s in range(30)]
    mean, error = mean_and_error(counts)
    truth = expected_linear_pieces(family, a, b)
    # Exact for the first layer; each later one deviates by O(1) piece, whatever the width.
    assert_close(mean, truth, error, bias=1.5 * (depth - 1))
    assert_far(mean, 1 + (truth - 1) / 2, error)
    assert_far(mean, 1 + depth * width, error)
    shallow = ReluTeacher(depth + 1, width, 1.3, bias)
    assert_far(mean, expected_linear_pieces(shallow, a, b), error)
    assert_far(mean, expected_linear_pieces(family, a, 0.5 * (a + b)), error)


def test_expected_pieces_by_hand():
    # Depth 1, no bias: a unit changes sign with probability angle / pi.
    a, b = np.array([1.0, 0.0, 0.0]), np.array([-1.0, math.sqrt(3), 0.0])
    family = ReluTeacher(1, 60, bias_scale=0.0)
    found = expected_linear_pieces(family, a, b)
    assert found == pytest.approx(1 + 60 * (2 / 3), rel=1e-4)
    # With biases the angle is that in one dimension more.
    family = ReluTeacher(1, 60, weight_scale=1.5, bias_scale=0.8)
    u, v = (np.append(1.5 * x / math.sqrt(3), 0.8) for x in (a, b))
    angle = math.acos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    found = expected_linear_pieces(family, a, b)
    assert found == pytest.approx(1 + 60 * angle / math.pi, rel=1e-4)
    assert expected_linear_pieces(family, a, b, n_nodes=4000) == pytest.approx(
        1 + 60 * angle / math.pi, rel=1e-6
    )
    # Without biases every layer has as many, in the limit: angles only shrink with biases.
    assert expected_linear_pieces(family, a, a) == 1.0


def test_expected_pieces_through_the_origin_are_a_number():
    with np.errstate(all="ignore"):
        found = expected_linear_pieces(ReluTeacher(bias_scale=0.0), [-1.0], [1.0], n_nodes=401)
    assert math.isfinite(found)


def test_number_of_parameters_by_hand():
    assert n_parameters(ReluTeacher(1, 3), 2) == 2 * 3 + 3 + 3 + 1
    assert n_parameters(ReluTeacher(2, 5, n_outputs=4), 7) == 35 + 5 + 25 + 5 + 20 + 4
    assert n_parameters(ReluTeacher(2, 5, bias_scale=0.0, n_outputs=4), 7) == 35 + 25 + 20
    for bias in (0.0, 1.0):
        family = ReluTeacher(3, 6, bias_scale=bias)
        layers = family.layers(4)
        total = sum(w.size + (b.size if bias else 0) for w, b in layers)
        assert n_parameters(family, 4) == total


def test_linear_pieces_refuses_wrong_ends():
    layers = ReluTeacher(1, 3).layers(4)
    with pytest.raises(ValueError, match="start must have 4 coordinates; got 3"):
        linear_pieces(layers, np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="end must have 4 rows; got 5"):
        linear_pieces(layers, np.zeros(4), np.zeros(5))
    with pytest.raises(ValueError, match="non-finite"):
        linear_pieces(layers, np.zeros(4), np.full(4, np.nan))
