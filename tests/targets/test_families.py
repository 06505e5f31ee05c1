"""What every family of teachers does: descriptions, seeds, outputs, blocks, wrong points and words."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from teacher_cases import normal

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.sources import FiniteCluster, parse_source
from percolaw.rng import Streams
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.families import FAMILIES, family_from, from_description, parse_target
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import (
    ReluTeacher,
)
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


@pytest.mark.parametrize("kind", [LinearTeacher, FourierTeacher, MaternTeacher])
def test_description_is_plain_with_numpy_parameters(kind):
    json.dumps(kind(n_outputs=np.int64(2)).sample(3).description)


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


@pytest.mark.parametrize("family", [LinearTeacher(), MaternTeacher(0.5, n_features=50)], ids=str)
def test_functions_have_the_covariance_that_is_stated(family):
    x = normal(3, 5, 2)
    draws = np.array([family.sample(2, seed)(x) for seed in range(1500)])
    mean, expected = draws.mean(axis=0), family.covariance(x, x)
    found = draws.T @ draws / 1500
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / 1500)
    assert (np.abs(found - expected) < 5.0 * error).all()
    assert (np.abs(mean) < 5.0 * np.sqrt(np.diag(expected) / 1500)).all(), "mean 0"
    assert not (np.abs(1.5 * found - expected) < 5.0 * error).all(), "control"
    assert FourierTeacher().covariance is None


@pytest.mark.parametrize(
    "family",
    [
        SumTeacher((LinearTeacher(), MaternTeacher(0.5, 2.0))),
        ProductTeacher((FourierTeacher(), ReluTeacher(2, 10)), groups=(1, 2)),
        SumTeacher(
            (LinearTeacher(), ProductTeacher((LinearTeacher(), FourierTeacher()), groups=(1, 2))),
            weights=(1.0, -2.0),
            groups=(1, 3),
        ),
        SumTeacher((SumTeacher((LinearTeacher(), FourierTeacher())), MaternTeacher(1.5))),
    ],
    ids=lambda family: family.word,
)
def test_words_of_sums_and_products_are_read_back(family):
    assert parse_target(family.word) == family


@pytest.mark.parametrize("word", ["sum of ()", "sum of (linear", "product of (linear; nothing)"])
def test_words_of_no_sum_are_refused(word):
    with pytest.raises(ValueError, match="unknown teacher"):
        parse_target(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MaternTeacher(0.5, 2), MaternTeacher(0.5, 2.0)),
        (MaternTeacher(1), MaternTeacher(1.0)),
        (ReluTeacher(1, 9, 2, 1, 1, 3), ReluTeacher(1, 9, 2.0, 1.0, 1, 3.0)),
        (FourierTeacher(low=1, high=3), FourierTeacher(low=1.0, high=3.0)),
        (FiniteCluster(4, coordination_number=6.0), FiniteCluster(4, coordination_number=6)),
    ],
)
def test_equal_objects_have_equal_words(one, other):
    """And so the same random numbers, however their numbers were typed."""
    assert one == other
    assert one.word == other.word


def test_an_end_that_says_again_what_the_beginning_says_is_refused():
    assert parse_target("Matérn 0.5, length_scale = 2").length_scale == 2.0
    with pytest.raises(ValueError, match="its end says again what its beginning says"):
        parse_target("Matérn 0.5, smoothness = 2.0")
    with pytest.raises(ValueError, match="its end says again what its beginning says"):
        parse_source("cluster d = 16, dim = 4")
    with pytest.raises(ValueError, match="its end says again what its beginning says"):
        parse_source("lattice d = 2, p_c, ratio = 1.2")
    with pytest.raises(ValueError, match="it gives a field twice"):
        parse_target("Fourier, high = 8.0, high = 9.0")
    for typed, word in (("Cube 4", "cube 4"), ("Sphere 2 X Cube 1", "sphere 2 x cube 1")):
        assert parse_source(typed).word == word
    assert parse_source("finite cluster d = 4, coordination_number = inf").word.endswith("= inf")
