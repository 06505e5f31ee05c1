"""Teachers: their laws, descriptions, pieces, nonlinearity, random fields and slices."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LinearRegression
from statistical import assert_close, assert_far, mean_and_error

import percolaw
from percolaw.datasets.dataset import Dataset
from percolaw.numerics.covariance import Matern, NetworkGaussianProcess, cholesky
from percolaw.rng import Streams
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.families import FAMILIES, family_from, from_description
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher, earlier_neighbors, feature_error
from percolaw.targets.nonlinearity import nonlinearity, vet
from percolaw.targets.relu import (
    ReluTeacher,
    expected_linear_pieces,
    linear_pieces,
    n_parameters,
    sharma_kaplan_teacher,
)
from percolaw.targets.slices import data_slice, origin_slice
from percolaw.targets.teacher import standardized_inputs

#: Families on R^5.
CASES = {
    "linear": LinearTeacher(),
    "linear 3": LinearTeacher(n_outputs=3),
    "relu": ReluTeacher(depth=2, width=20),
    "relu 2": ReluTeacher(3, 10, 1.2, 0.3, n_outputs=2, output_scale=2.0),
    "fourier": FourierTeacher(n_waves=30),
    "fourier 2": FourierTeacher(10, 1.0, 3.0, n_outputs=2),
    "matern": MaternTeacher(n_features=40),
    "matern 2": MaternTeacher(1.3, 0.5, 30, n_outputs=2),
    "sum": SumTeacher((LinearTeacher(), FourierTeacher(10)), weights=(0.5, -2.0)),
    "sum groups": SumTeacher((LinearTeacher(2), ReluTeacher(1, 5, n_outputs=2)), groups=(2, 3)),
    "product": ProductTeacher((LinearTeacher(), LinearTeacher())),
    "nested": SumTeacher(
        (
            ProductTeacher((FourierTeacher(5), LinearTeacher()), groups=(1, 2)),
            SumTeacher((MaternTeacher(n_features=7), ReluTeacher(1, 4)), weights=(1.0, 3.0)),
        ),
        weights=(2.0, 0.25),
        groups=(3, 2),
    ),
}
every = pytest.mark.parametrize("name", sorted(CASES))


def normal(seed, n, d):
    return np.random.default_rng(seed).standard_normal((n, d))


# --- what every teacher does


@every
def test_description_makes_the_same_function_again(name):
    x = normal(0, 50, 5)
    teacher = CASES[name].sample(5, rng=11)
    text = json.dumps(teacher.description)
    again = from_description(json.loads(text))
    np.testing.assert_array_equal(again(x), teacher(x))
    assert again.description == json.loads(text) == teacher.description
    assert (
        (again.dim, again.n_outputs) == (teacher.dim, teacher.n_outputs) == (5, teacher.n_outputs)
    )
    other = dict(json.loads(text), seed=12)
    assert np.abs(from_description(other)(x) - teacher(x)).max() > 1e-3
    below = Streams(11, (4,))
    child = CASES[name].sample(5, below)
    assert np.abs(child(x) - teacher(x)).max() > 1e-3  # the path is part of the description
    np.testing.assert_array_equal(
        from_description(json.loads(json.dumps(child.description)))(x), child(x)
    )


@every
def test_seed_fixes_the_function(name):
    x = normal(1, 200, 5)
    first = CASES[name].sample(5, rng=3)(x)
    np.testing.assert_array_equal(CASES[name].sample(5, rng=3)(x), first)
    np.testing.assert_array_equal(CASES[name].sample(5, rng=Streams(3))(x), first)
    assert np.abs(CASES[name].sample(5, rng=4)(x) - first).max() > 1e-3
    generator = np.random.default_rng(0)
    one, two = (CASES[name].sample(5, generator) for _ in range(2))
    assert np.abs(one(x) - two(x)).max() > 1e-3
    np.testing.assert_array_equal(from_description(two.description)(x), two(x))
    fresh = CASES[name].sample(5, rng=None)
    np.testing.assert_array_equal(from_description(fresh.description)(x), fresh(x))


@every
def test_outputs(name):
    teacher = CASES[name].sample(5, rng=0)
    k = teacher.n_outputs
    for n in (0, 1, 7):
        value = teacher(normal(2, 7, 5)[:n])
        assert value.dtype == np.float64
        assert value.shape == ((n,) if k == 1 else (n, k))
        assert np.all(np.isfinite(value))
    if k > 1:
        value = teacher(normal(2, 300, 5))
        correlation = np.corrcoef(value.T) - np.eye(k)
        assert np.abs(correlation).max() < 0.999  # no output repeats another


@every
def test_values_do_not_depend_on_the_block(name):
    teacher = CASES[name].sample(5, rng=5)
    x = normal(3, 20_000, 5)
    whole = teacher(x)
    scale = np.abs(whole).max()
    cuts = [0, 1, 100, 8191, 8193, 16_384, 19_999, 20_000]
    pieces = [teacher(x[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(teacher(x[::-1])[::-1], whole, rtol=0, atol=1e-12 * scale)
    np.testing.assert_array_equal(teacher(x[:100].tolist()), teacher(x[:100]))
    single = teacher(x[:100].astype(np.float32))
    np.testing.assert_array_equal(single, teacher(x[:100].astype(np.float32).astype(float)))


@every
def test_wrong_points(name):
    teacher = CASES[name].sample(5, rng=0)
    for bad in (np.zeros((4, 6)), np.zeros(5), np.zeros((2, 5, 1)), np.zeros((0, 3)), 1.0):
        with pytest.raises(ValueError, match=r"shape \(n, 5\); got .*Sample it with the dimension"):
            teacher(bad)
    for row in (0, 9_000):
        for wrong in (np.nan, np.inf):
            x = np.zeros((10_000, 5))
            x[row, 2] = wrong
            with pytest.raises(
                ValueError, match=r"points has 1 non-finite value.*Remove or impute"
            ):
                teacher(x)
    with pytest.raises(TypeError, match="numeric"):
        teacher(np.full((2, 5), "a"))


@every
def test_global_random_state_and_inputs_are_left_alone(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    x = normal(4, 30, 5)
    keep = x.copy()
    CASES[name].sample(5, rng=0)(x)
    CASES[name].sample(5, rng=None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.testing.assert_array_equal(x, keep)


@every
def test_wrong_dimension_to_sample(name):
    family = CASES[name]
    with pytest.raises(ValueError, match=r"dim must be in \[1, inf\]; got 0"):
        family.sample(0)
    with pytest.raises(TypeError, match="rng must be an integer seed"):
        family.sample(5, rng="seed")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReluTeacher(depth=0).sample(3), "depth must be in"),
        (lambda: ReluTeacher(width=0).sample(3), "width must be in"),
        (lambda: FourierTeacher(0).sample(3), "n_waves must be in"),
        (lambda: FourierTeacher(5, 2.0, 1.0).sample(3), "high must be finite and in"),
        (lambda: FourierTeacher(5, -1.0, 1.0).sample(3), "low must be finite and in"),
        (lambda: LinearTeacher(0).sample(3), "n_outputs must be in"),
        (lambda: FourierTeacher(n_outputs=0).sample(3), "n_outputs must be in"),
        (lambda: MaternTeacher(n_outputs=0).sample(3), "n_outputs must be in"),
        (lambda: MaternTeacher(smoothness=0.0).sample(3), "smoothness must be"),
        (lambda: MaternTeacher(length_scale=-1.0).sample(3), "length_scale must be"),
        (lambda: MaternTeacher(n_features=0).sample(3), "n_features must be in"),
        (lambda: SumTeacher(()).sample(3), "sum of teachers needs at least one member"),
        (lambda: ProductTeacher(()).sample(3), "product of teachers needs at least one member"),
        (
            lambda: SumTeacher((LinearTeacher(),), weights=(1.0, 2.0)).sample(3),
            "1 members need as many weights; got 2",
        ),
        (
            lambda: SumTeacher((LinearTeacher(),), weights=(math.nan,)).sample(3),
            "weights has 1 non-finite",
        ),
        (
            lambda: SumTeacher((LinearTeacher(), LinearTeacher()), groups=(1, 1)).sample(3),
            r"groups must give each of the 2 members .* sum to the dimension 3; got \(1, 1\)",
        ),
        (
            lambda: ProductTeacher((LinearTeacher(),), groups=(1, 2)).sample(3),
            r"groups must give each of the 1 members",
        ),
        (
            lambda: ProductTeacher((LinearTeacher(1), LinearTeacher(2))).sample(3),
            r"one number of outputs; got \[1, 2\]",
        ),
        (lambda: family_from("rleu", {}), "unknown family 'rleu'.*Did you mean 'relu'"),
        (lambda: family_from("relu", {"breadth": 3}), "no parameter 'breadth'; it has .*'width'"),
        (lambda: from_description({"family": "relu"}), r"lacks \['dim', 'parameters', 'seed'\]"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_family_has_a_case():
    covered = {type(family) for family in CASES.values()}
    assert covered == set(FAMILIES.values())


@pytest.mark.parametrize("number", [np.int64(3), 3.0], ids=["int64", "float"])
def test_relu_description_is_plain_whatever_kind_of_integer_came_in(number):
    family = ReluTeacher(depth=number, width=number, n_outputs=number)
    teacher = family.sample(number)
    description = json.loads(json.dumps(teacher.description))
    np.testing.assert_array_equal(from_description(description)(np.ones((1, 3))).shape, (1, 3))


@pytest.mark.parametrize("kind", [LinearTeacher, FourierTeacher, MaternTeacher])
def test_description_is_plain_with_numpy_parameters(kind):
    json.dumps(kind(n_outputs=np.int64(2)).sample(3).description)


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


def test_number_of_matern_features_may_be_a_whole_float():
    MaternTeacher(n_features=1e2).sample(3)


# --- inputs


def test_standardized_inputs():
    x = 5.0 + normal(0, 400, 6) * np.array([1, 2, 3, 4, 5, 0.1])
    z = standardized_inputs(x.astype(np.float32))
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.mean(np.sum(z**2, axis=1)), 6.0, rtol=1e-12)
    ratio = cdist(z[:50], z[50:100]) / cdist(x[:50], x[50:100])
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
    assert np.ptp(z.std(axis=0)) > 1  # control: not whitened column by column
    with pytest.raises(ValueError, match="all points coincide"):
        standardized_inputs(np.ones((5, 2)))
    with pytest.raises(ValueError, match="non-finite"):
        standardized_inputs([[1.0, math.nan]])
    with pytest.raises(ValueError, match="2 dimension"):
        standardized_inputs(np.ones(5))


def test_dataset_with_teacher():
    x = (7.0 + 3.0 * normal(1, 60, 5)).astype(np.float32)
    data = Dataset(
        x, np.zeros(60), np.zeros(60, np.int64), np.array([60]), {"D": 4, "target": "old"}
    )
    for name in ("relu", "linear 3"):
        labelled = data.with_teacher(CASES[name], rng=9)
        truth = CASES[name].sample(5, rng=9)
        np.testing.assert_array_equal(labelled.y, truth(standardized_inputs(x)))
        assert labelled.truth == {"D": 4, "target": truth.description}
        again = from_description(json.loads(json.dumps(labelled.truth["target"])))
        np.testing.assert_array_equal(again(standardized_inputs(labelled.X)), labelled.y)
        np.testing.assert_array_equal(labelled.X, x)
        assert np.abs(labelled.y - truth(x)).max() > 0.1  # control: raw inputs are others
    np.testing.assert_array_equal(data.y, 0.0)
    assert data.truth["target"] == "old"


# --- laws


def test_linear_teacher_is_linear_with_covariance_dot_over_d():
    x = normal(0, 3, 8)
    f = LinearTeacher(n_outputs=20_000).sample(8, rng=0)
    value = f(x)
    for i, j in ((0, 0), (0, 1), (2, 2), (1, 2)):
        mean, error = mean_and_error(value[i] * value[j])
        assert_close(mean, x[i] @ x[j] / 8, error)
        if i == j:
            assert_far(mean, x[i] @ x[j], error)
    np.testing.assert_allclose(f(2.0 * x[:1] - 3.0 * x[1:2])[0], 2 * value[0] - 3 * value[1])
    across, error = mean_and_error(value[0, 1:] * value[0, :-1])
    assert_close(across, 0.0, error)  # outputs are independent
    many = [LinearTeacher().sample(8, rng=s)(x[:1])[0] for s in range(2000)]
    mean, error = mean_and_error(np.square(many))
    assert_close(mean, x[0] @ x[0] / 8, error)


@pytest.mark.parametrize(("depth", "weight", "bias"), [(1, 1.4, 1.0), (3, 1.2, 0.5), (2, 1.0, 0.0)])
def test_relu_variance_is_that_of_the_network_process(depth, weight, bias):
    # E f^2 is exact at every width: each layer maps the mean square by the same recursion.
    x = normal(1, 2, 6) * np.array([[1.0], [2.0]])
    family = ReluTeacher(depth, 30, weight, bias, output_scale=3.0)
    value = np.array([family.sample(6, rng=s)(x) for s in range(2000)])
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


def test_fourier_teacher_has_unit_variance_and_mean_zero():
    x = normal(5, 3, 4)
    f = FourierTeacher(n_waves=6, n_outputs=5000).sample(4, rng=0)(x)
    for row in f:
        mean, error = mean_and_error(row**2)
        assert_close(mean, 1.0, error)
        assert_far(mean, 0.5, error)
        assert_close(*_against(row, 0.0))


def _against(sample, truth):
    mean, error = mean_and_error(sample)
    return mean, truth, error


def test_fourier_wave_numbers_lie_in_their_band():
    # One dimension: a sum of m waves on a long line has all its power at |k| in the band.
    t = np.arange(8192) * 0.25
    window = np.hanning(t.size)
    frequency = 2 * math.pi * np.fft.rfftfreq(t.size, 0.25)
    centres = []
    for low, high in ((0.5, 2.0), (3.0, 3.5)):
        power = 0.0
        for seed in range(40):
            f = FourierTeacher(20, low, high).sample(1, rng=seed)(t[:, None])
            power = power + np.abs(np.fft.rfft(window * f)) ** 2
        power /= power.sum()
        inside = (frequency > low - 0.02) & (frequency < high + 0.02)
        assert power[inside].sum() > 0.9999
        narrow = (frequency > low + 0.1) & (frequency < high - 0.1)
        assert power[narrow].sum() < 0.97
        centres.append(power @ frequency)
        # Uniform in the band: no half has more than its share.
        half = power[inside & (frequency < (low + high) / 2)].sum()
        assert abs(half - 0.5) < 5 * 0.5 / math.sqrt(800)
    assert abs(centres[0] - 1.25) < 5 * 1.5 / math.sqrt(12 * 800)


def test_fourier_covariance_in_many_dimensions():
    # In d = 3 the mean of cos(k.r) over directions is sin(kr)/(kr).
    from scipy.integrate import quad

    low, high, r = 1.0, 2.0, 1.3
    x = np.array([[0.2, 0.1, -0.3], [0.2, 0.1 + r, -0.3]])
    a, b = FourierTeacher(4, low, high, n_outputs=6000).sample(3, rng=1)(x)
    mean, error = mean_and_error(a * b)
    truth = quad(lambda k: math.sin(k * r) / (k * r), low, high)[0] / (high - low)
    assert_close(mean, truth, error)
    assert_far(mean, quad(lambda k: math.cos(k * r), low, high)[0] / (high - low), error)


def test_sums_and_products_of_their_members():
    x = normal(6, 20, 5)
    streams = Streams(8)
    members = (LinearTeacher(2), FourierTeacher(6, n_outputs=2))
    one, two = (m.sample(5, streams.child(i))(x) for i, m in enumerate(members))
    found = SumTeacher(members, weights=(2.0, -0.5)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, 2 * one - 0.5 * two, rtol=1e-12)
    np.testing.assert_allclose(SumTeacher(members).sample(5, rng=8)(x), one + two, rtol=1e-12)
    found = ProductTeacher(members).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, one * two, rtol=1e-12)
    left = members[0].sample(2, streams.child(0))(x[:, :2])
    right = members[1].sample(3, streams.child(1))(x[:, 2:])
    found = ProductTeacher(members, groups=(2, 3)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, left * right, rtol=1e-12)
    found = SumTeacher(members, groups=(2, 3)).sample(5, rng=8)(x)
    np.testing.assert_allclose(found, left + right, rtol=1e-12)
    twice = SumTeacher((LinearTeacher(), LinearTeacher()), weights=(1.0, -1.0)).sample(5, rng=8)
    assert np.abs(twice(x)).max() > 0.1  # equal members are drawn independently


# --- linear pieces


def grid_pieces(layers, a, b, n_grid=40_001):
    """Activation patterns on a fine grid along the segment."""
    t = np.linspace(0, 1, n_grid)[:, None]
    x, changed = a + t * (b - a), np.zeros(n_grid - 1, dtype=bool)
    for weights, bias in layers[:-1]:
        before = x @ weights + bias
        changed |= np.any((before[1:] > 0) != (before[:-1] > 0), axis=1)
        x = np.maximum(before, 0)
    return 1 + int(changed.sum())


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
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_expected_pieces_are_the_mean_of_the_count(depth, bias):
    a, b = 2.0 * normal(1, 2, 6)
    width = 100
    family = ReluTeacher(depth, width, 1.3, bias)
    counts = [linear_pieces(family.layers(6, rng=s), a, b) for s in range(40)]
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


# --- nonlinearity


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


class Counting:
    """Linear for the first draws of a run, then a wave."""

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


def test_published_vetting_at_dimension_20():
    found = vet(ReluTeacher(2, 50), 20, 0.99, rng=0)
    loop, error = mean_and_error(reference_score(found.teacher, 20, 1, 40))
    assert_close(found.score.score, loop, math.hypot(error, found.score.standard_error))


# --- Matérn fields


def covariance_of(values, i, j):
    """Mean of products over independent fields, and its error."""
    return mean_and_error(values[i] * values[j])


@pytest.mark.parametrize("method", ["cholesky", "neighbors"])
@pytest.mark.parametrize("nu", [0.3, 0.5, 1.5, 2.2])
def test_covariance_of_fields(nu, method):
    x = normal(0, 12, 3)
    field = MaternTeacher(nu, 0.8, n_outputs=20_000).on_points(x, 4, method=method, n_neighbors=11)
    assert field.method == method
    assert field.value.shape == (12, 20_000)
    truth, wrong_nu, wrong_unit = (
        Matern(*args)(x, x) for args in ((nu, 0.8), (0.3 * nu, 0.8), (nu, 0.8 * math.sqrt(3)))
    )
    np.fill_diagonal(truth, 1.0)
    for i in range(12):
        for j in range(i + 1):
            mean, error = covariance_of(field.value, i, j)
            assert_close(mean, truth[i, j], error)
    near = np.unravel_index(np.argmax(np.abs(truth - wrong_nu)), truth.shape)
    mean, error = covariance_of(field.value, *near)
    assert_far(mean, wrong_nu[near], error)
    near = np.unravel_index(np.argmax(np.abs(truth - wrong_unit)), truth.shape)
    mean, error = covariance_of(field.value, *near)
    assert_far(mean, wrong_unit[near], error)
    across, error = mean_and_error(field.value[0, 1:] * field.value[0, :-1])
    assert_close(across, 0.0, error)


def test_covariance_of_fields_over_seeds():
    x = normal(1, 4, 2)
    values = np.array([MaternTeacher(0.5).on_points(x, s).value for s in range(2000)]).T
    truth = Matern(0.5)(x, x)
    for i in range(4):
        mean, error = mean_and_error(values[i])
        assert_close(mean, 0.0, error)
        for j in range(i):
            mean, error = covariance_of(values, i, j)
            assert_close(mean, truth[i, j], error)
            assert_far(mean, truth[i, j] ** 2, error)


@pytest.mark.parametrize("nu", [0.3, 0.5, 1.5, 6.0])
def test_covariance_of_sampled_functions(nu):
    # Exact in the mean over draws, whatever the number of waves.
    x = np.array([[0.0, 0.0, 0.0], [0.05, 0.0, 0.1], [0.5, -0.2, 0.1], [1.0, 1.0, -2.0]])
    values = MaternTeacher(nu, 0.7, n_features=8, n_outputs=6000).sample(3, rng=2)(x)
    truth = Matern(nu, 0.7)(x, x)
    for i in range(4):
        for j in range(i + 1):
            mean, error = covariance_of(values, i, j)
            assert_close(mean, truth[i, j], error)
    wrong_unit = Matern(nu, 0.7 * math.sqrt(3))(x, x)
    mean, error = covariance_of(values, 0, 3)
    assert_far(mean, wrong_unit[0, 3], error)
    seeds = [MaternTeacher(nu, 0.7, n_features=8).sample(3, rng=s)(x) for s in range(500)]
    mean, error = covariance_of(np.array(seeds).T, 0, 2)
    assert_close(mean, truth[0, 2], error)


@pytest.mark.parametrize("nu", [0.25, 0.5, 0.75])
def test_increments_scale_with_twice_the_smoothness(nu):
    base = 1e-6 * np.array([0.0, 1.0, 8.0])
    x = np.stack([base, np.zeros(3)], axis=1)
    values = MaternTeacher(nu, n_outputs=20_000).on_points(x, 0).value
    small, large = (values[i] - values[0] for i in (1, 2))
    ratio = np.log(np.mean(large**2) / np.mean(small**2)) / math.log(8.0)
    error = math.sqrt(2 * 2 / 20_000) / math.log(8.0)
    assert_close(ratio, 2 * nu, error, bias=0.002)
    assert_far(ratio, 2 * nu + 0.1, error)
    assert_far(ratio, 2.0, error)  # differentiable
    smooth = MaternTeacher(1.5, n_outputs=20_000).on_points(1e4 * x, 0).value
    ratio = np.log(np.var(smooth[2] - smooth[0]) / np.var(smooth[1] - smooth[0])) / math.log(8.0)
    assert_close(ratio, 2.0, error, bias=0.05)  # control: nu > 1 gives 2, not 3
    assert_far(ratio, 3.0, error)


@pytest.mark.parametrize("nu", [0.3, 0.5, 1.5])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_all_neighbors_are_the_cholesky_factor(nu, n_outputs):
    x = normal(2, 90, 3)
    family = MaternTeacher(nu, 0.6, n_outputs=n_outputs)
    exact = family.on_points(x, 5, method="cholesky")
    for k in (89, 90, 200):
        found = family.on_points(x, 5, method="neighbors", n_neighbors=k)
        np.testing.assert_allclose(found.value, exact.value, rtol=0, atol=1e-8)
        assert found.covariance_error < 1e-7
        assert abs(found.increment_error) < 1e-5
    few = family.on_points(x, 5, method="neighbors", n_neighbors=3)
    assert np.abs(few.value - exact.value).max() > 1e-3
    factor = np.linalg.cholesky(Matern(nu, 0.6)(x, x) + 1e-13 * np.eye(90))
    inverse = np.linalg.solve(factor, exact.value.reshape(90, -1))
    assert abs(np.mean(inverse**2) - 1) < 5 * math.sqrt(2 / (90 * n_outputs))


def dense_vecchia(kernel, x, k):
    """Covariance of the field by nearest earlier points, and those points, written out."""
    n = x.shape[0]
    truth = kernel(x, x)
    np.fill_diagonal(truth, 1.0)
    operator, variance, first = np.eye(n), np.ones(n), np.zeros(n, dtype=int)
    for i in range(1, n):
        near = np.argsort(np.sum((x[:i] - x[i]) ** 2, axis=1), kind="stable")[:k]
        weight = np.linalg.solve(truth[np.ix_(near, near)], truth[near, i])
        operator[i, near] = -weight
        variance[i] = 1 - weight @ truth[near, i]
        first[i] = near[0]
    root = np.linalg.solve(operator, np.diag(np.sqrt(variance)))
    return root, truth, first


@pytest.mark.parametrize(("nu", "k"), [(0.5, 5), (1.5, 8), (0.3, 2), (1.1, 12)])
def test_reported_errors_against_a_dense_computation(nu, k):
    n = 160
    x = normal(3, n, 3)
    kernel = Matern(nu, 0.9)
    field = MaternTeacher(nu, 0.9).on_points(x, 1, method="neighbors", n_neighbors=k)
    root, truth, first = dense_vecchia(kernel, x, k)
    found = root @ root.T
    noise = np.linalg.solve(
        cholesky(kernel, x)[0], MaternTeacher(nu, 0.9).on_points(x, 1, method="cholesky").value
    )
    np.testing.assert_allclose(field.value, root @ noise, atol=1e-9)
    probes = np.unique(np.linspace(1, n - 1, 16).astype(int))
    gap = found[:, probes] - truth[:, probes]
    assert field.covariance_error == pytest.approx(np.sqrt(np.mean(gap**2)), rel=1e-6)
    everywhere = np.sqrt(np.mean((found - truth) ** 2))
    assert 0.5 < field.covariance_error / everywhere < 2.0  # 16 probes stand for all
    i, j = probes, first[probes]
    got = found[i, i] + found[j, j] - 2 * found[i, j]
    wanted = truth[i, i] + truth[j, j] - 2 * truth[i, j]
    assert field.increment_error == pytest.approx(np.mean(got / wanted) - 1, rel=1e-4, abs=1e-7)
    # Control: another kernel's error is another.
    other = Matern(nu, 1.1)(x, x[probes])
    assert np.sqrt(np.mean((found[:, probes] - other) ** 2)) > 1.2 * field.covariance_error


@pytest.mark.parametrize("nu", [0.5, 1.5])
def test_errors_shrink_with_the_number_of_neighbors(nu):
    x = normal(4, 700, 3)
    family = MaternTeacher(nu)
    error = [
        family.on_points(x, 0, method="neighbors", n_neighbors=k).covariance_error
        for k in (2, 10, 50)
    ]
    assert error[0] > 2 * error[1] > 4 * error[2] > 0


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_fields_are_nested(n_outputs):
    x = normal(5, 600, 3)
    family = MaternTeacher(0.5, n_outputs=n_outputs)
    for n in (1, 2, 40, 41, 333):
        whole, part = (family.on_points(p, 7, method="neighbors").value for p in (x, x[:n]))
        np.testing.assert_array_equal(whole[:n], part)
        # LAPACK blocks by size, so here equal to rounding.
        whole, part = (family.on_points(p, 7, method="cholesky").value for p in (x, x[:n]))
        np.testing.assert_allclose(whole[:n], part, rtol=0, atol=1e-11)
    other = family.on_points(x, 8).value
    assert np.abs(other - whole).max() > 0.1


def test_methods_and_outputs_of_fields(monkeypatch):
    from percolaw.targets import matern as module

    x = normal(6, 50, 2)
    auto = MaternTeacher().on_points(x, 0)
    assert (auto.method, auto.covariance_error, auto.increment_error) == ("cholesky", 0.0, 0.0)
    assert auto.value.shape == (50,)
    assert MaternTeacher(n_outputs=2).on_points(x, 0).value.shape == (50, 2)
    monkeypatch.setattr(module, "CHOLESKY_LIMIT", 49)
    assert MaternTeacher().on_points(x, 0).method == "neighbors"
    assert MaternTeacher().on_points(x[:49], 0).method == "cholesky"
    one = MaternTeacher().on_points(x[:1], 0, method="neighbors")
    assert one.value[0] == MaternTeacher().on_points(x[:1], 0).value[0]


@pytest.mark.parametrize("d", [1, 3, 10])
def test_earlier_neighbors_against_brute_force(d):
    x = normal(7, 500, d)
    for k in (1, 7, 40):
        found = earlier_neighbors(x, k)
        distance = cdist(x, x)
        for i in range(500):
            truth = np.argsort(distance[i, :i], kind="stable")[:k]
            np.testing.assert_array_equal(found[i, : truth.size], truth)
            np.testing.assert_array_equal(found[i, truth.size :], -1)


def test_ordered_points_are_as_right_as_shuffled_ones():
    x = np.sort(normal(8, 400, 1), axis=0)
    found = MaternTeacher(0.5).on_points(x, 0, method="neighbors", n_neighbors=3)
    assert found.covariance_error < 1e-9  # Markov on the line: one neighbour is all


def test_feature_error_against_a_plain_computation():
    x = normal(9, 400, 3)
    few, many = (MaternTeacher(0.5, n_features=m) for m in (64, 1024))
    rms = [np.mean([feature_error(f, x, s)[0] for s in range(4)]) for f in (few, many)]
    assert 3 < rms[0] / rms[1] < 5  # 4 = sqrt(1024 / 64)
    relative = [feature_error(MaternTeacher(1.5, n_features=256), x, s)[1] for s in range(30)]
    mean, error = mean_and_error(relative)
    assert_close(mean, 0.0, error)


def test_wrong_points_of_fields():
    family = MaternTeacher()
    for bad in (np.zeros((0, 2)), np.zeros((3, 0))):
        with pytest.raises(ValueError, match=r"shape \(n, d\), neither 0; got"):
            family.on_points(bad)
    with pytest.raises(ValueError, match="2 dimension"):
        family.on_points(np.zeros(3))
    with pytest.raises(ValueError, match=r"1 non-finite value.*Remove or impute"):
        family.on_points([[0.0], [math.nan]])
    with pytest.raises(ValueError, match=r"unknown method 'choleski'.*Did you mean 'cholesky'"):
        family.on_points(np.zeros((3, 1)), method="choleski")
    with pytest.raises(ValueError, match="n_neighbors must be in"):
        family.on_points(normal(0, 3, 1), method="neighbors", n_neighbors=0)
    with pytest.raises(ValueError, match="n_outputs must be in"):
        MaternTeacher(n_outputs=0).on_points(normal(0, 3, 1))


def test_duplicates_take_a_jitter():
    x = normal(0, 100, 3)
    x[50:] = x[:50]
    field = MaternTeacher(1.5).on_points(x, 0, method="cholesky")
    assert 0 <= field.jitter <= 1e-8
    np.testing.assert_allclose(field.value[50:], field.value[:50], atol=1e-3)


@pytest.mark.parametrize("case", ["duplicates", "smooth line", "smooth plane"])
def test_neighbors_survive_singular_covariances_or_refuse_them(case):
    if case == "duplicates":
        x, nu = normal(0, 300, 3), 0.5
        x[100:200] = x[:100]
    elif case == "smooth line":
        x, nu = normal(0, 600, 1), 2.5
    else:
        x, nu = normal(3, 3000, 2), 4.5
    try:
        with np.errstate(all="ignore"):
            field = MaternTeacher(nu).on_points(x, 1, method="neighbors")
    except ValueError:
        return
    assert np.all(np.isfinite(field.value))
    assert np.abs(field.value).max() < 10
    assert field.covariance_error < 0.1


# --- slices


def frame(s):
    """Centre and unit vectors of a slice, from its corner points alone."""
    n = s.axis.size
    width = s.axis[-1] - s.axis[0]
    e1 = (s.points[n - 1] - s.points[0]) / width
    e2 = (s.points[n * (n - 1)] - s.points[0]) / width
    return (s.points[0] + s.points[-1]) / 2, e1, e2


@pytest.mark.parametrize("d", [2, 3, 30])
@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
def test_plane_goes_through_its_three_points(d, margin):
    data = 4.0 + normal(d, 3, d) * 2.0
    s = data_slice(data, n_pixels=33, margin=margin)
    assert s.points.shape == (33 * 33, d)
    centre, e1, e2 = frame(s)
    np.testing.assert_allclose([e1 @ e1, e2 @ e2, e1 @ e2], [1, 1, 0], atol=1e-10)
    np.testing.assert_allclose(centre + s.marks @ np.stack([e1, e2]), data, atol=1e-10)
    wrong = centre + s.marks[:, ::-1] @ np.stack([e1, e2])
    assert np.abs(wrong - data).max() > 0.1
    side = np.ptp(s.marks, axis=0).max()
    np.testing.assert_allclose(s.axis[-1], side * (0.5 + margin))
    np.testing.assert_allclose(s.axis, -s.axis[::-1])
    middle = (s.marks.max(axis=0) + s.marks.min(axis=0)) / 2
    np.testing.assert_allclose(middle, 0.0, atol=1e-10)


def test_collinear_points_are_refused():
    a, v = normal(0, 2, 7)
    for points in (
        [a, a + v, a + 3 * v],
        [a, a, a + v],
        [a, a + v, a],
        [a, a, a],
        [a + v, a, a - 1e3 * v],
    ):
        with pytest.raises(ValueError, match="lie on one line; choose others"):
            data_slice(np.array(points))
    bent = data_slice(np.array([a, a + v, a + 3 * v + 1e-3 * normal(1, 1, 7)[0]]))
    assert np.all(np.isfinite(bent.points))
    with pytest.raises(ValueError, match="points must have 3 rows; got 4"):
        data_slice(normal(0, 4, 3))
    with pytest.raises(ValueError, match="dim must be in"):
        data_slice(np.array([[0.0], [1.0], [2.0]]))
    with pytest.raises(ValueError, match="non-finite"):
        data_slice(np.array([[0.0, 1], [1, 2], [np.nan, 3]]))


def test_slice_through_the_origin():
    s = origin_slice(9, half_width=2.5, n_pixels=21, rng=3)
    centre, e1, e2 = frame(s)
    np.testing.assert_allclose(centre, 0.0, atol=1e-14)
    np.testing.assert_allclose(s.points[10 * 21 + 10], 0.0, atol=1e-14)
    np.testing.assert_allclose([e1 @ e1, e2 @ e2, e1 @ e2], [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(s.axis, np.linspace(-2.5, 2.5, 21))
    assert s.marks.shape == (0, 2)
    np.testing.assert_array_equal(origin_slice(9, 2.5, 21, rng=3).points, s.points)
    assert np.abs(origin_slice(9, 2.5, 21, rng=4).points - s.points).max() > 0.1
    # A direction at random: its mean square along each axis is 1/d.
    square = [frame(origin_slice(4, n_pixels=2, rng=i))[1][0] ** 2 for i in range(600)]
    mean, error = mean_and_error(square)
    assert_close(mean, 1 / 4, error)
    for bad in ({"dim": 1}, {"dim": 3, "half_width": 0.0}, {"dim": 3, "n_pixels": 1}):
        with pytest.raises(ValueError, match="must be"):
            origin_slice(**bad)


def test_image_has_rows_up_and_columns_right():
    s = data_slice(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), n_pixels=11)
    image = s.image(lambda x: 10 * x[:, 1] + x[:, 0])
    assert image.shape == (11, 11)
    across = 0.5 + s.axis  # the middle of the marks is (1/2, 1/2)
    np.testing.assert_allclose(image, 10 * across[:, None] + across[None, :], atol=1e-12)
    assert np.abs(image.T - image).max() > 1  # control: transposed is wrong
    teacher = ReluTeacher(1, 10).sample(2)
    np.testing.assert_array_equal(s.image(teacher).ravel(), teacher(s.points))
    learner = percolaw.NearestNeighbors().fit(normal(0, 30, 2), normal(1, 30, 1)[:, 0])
    assert s.image(learner.predict).shape == (11, 11)


def test_image_refuses_wrong_functions():
    s = origin_slice(3, n_pixels=5)
    two = LinearTeacher(2).sample(3)
    with pytest.raises(ValueError, match=r"one number a point, shape \(25,\); got \(25, 2\).*Pick"):
        s.image(two)
    assert s.image(lambda x: two(x)[:, 0]).shape == (5, 5)
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        s.image(lambda x: x[0])
    with pytest.raises(ValueError, match="NaN or infinity on the slice"):
        s.image(lambda x: np.full(25, np.inf))
    with pytest.raises(ValueError, match=r"takes points of shape \(n, 4\)"):
        s.image(LinearTeacher().sample(4))
