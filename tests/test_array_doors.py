"""Whatever kind of array a user has: every public function gives the right value or refuses it."""

import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse

import percolaw as pl
from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.dimension.mle import local_dimension
from percolaw.learners.kernel import nested_curve
from percolaw.learners.tree_posterior import posterior_variance
from percolaw.scaling.fit import aggregate, log_slopes
from percolaw.targets.slices import data_slice

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
#: Multiples of 1/8 below 8: every kind below holds them exactly, float16 and bfloat16 too.
X = RNG.integers(-60, 60, (130, 3)) / 8.0
Y = X @ [1.0, 2.0, 3.0]
QUERIES = RNG.integers(-60, 60, (7, 3)) / 8.0
TREE = pl.conditioned_clusters(200, rng=0)
TEACHING = pl.LinearTeacher()
TEACHER = pl.LinearTeacher().sample(3, 0)


class Kind(NamedTuple):
    """An array of another kind, and the sentence that may refuse it (None: it must be taken)."""

    make: Callable[[np.ndarray], Any]
    refusal: str | None = None


def masked(x: np.ndarray) -> Any:
    mask = np.zeros(x.shape, dtype=bool)
    mask.flat[-1] = True
    return np.ma.array(np.where(mask, -9999, x), mask=mask)


def records(x: np.ndarray) -> Any:
    return np.zeros(len(x), dtype=[("a", float)])


def padded(x: np.ndarray) -> Any:
    wide = np.zeros((*x.shape, 2), dtype=x.dtype)
    wide[..., 0] = x
    return wide[..., 0]


def locked(x: np.ndarray) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


KINDS = {
    "list": Kind(lambda x: x.tolist()),
    "list of tensors": Kind(lambda x: [torch.tensor(row) for row in x]),
    "mask of nothing": Kind(lambda x: np.ma.array(x, mask=False)),
    "big-endian": Kind(lambda x: x.astype(x.dtype.newbyteorder(">"))),
    "strided": Kind(padded),
    "reversed": Kind(lambda x: x[::-1].copy()[::-1]),
    "read-only": Kind(locked),
    "tensor": Kind(torch.tensor),
    "masked": Kind(masked, "masked value"),
    "list of masked": Kind(lambda x: list(masked(x)), "masked value"),
    "sparse": Kind(lambda x: scipy.sparse.csr_array(np.atleast_2d(x)), r"sparse.*toarray"),
    "sparse tensor": Kind(lambda x: torch.tensor(x).to_sparse(), r"sparse.*to_dense"),
    "objects": Kind(lambda x: x.astype(object), "must be"),
    "complex": Kind(lambda x: x + 1j, "must be"),
    "text": Kind(lambda x: x.astype(str), "must be"),
    "dates": Kind(lambda x: x.astype("datetime64[D]"), "must be"),
    "records": Kind(records, "must be"),
    "none": Kind(lambda x: None, "must be|points must"),
    "number": Kind(lambda x: x.flat[0], "must|rows|shape|need|takes"),
}
#: Further kinds for numbers that are not ids.
REAL_KINDS = {
    "float16": Kind(lambda x: x.astype(np.float16)),
    "longdouble": Kind(lambda x: x.astype(np.longdouble)),
    "bfloat16": Kind(lambda x: torch.tensor(x).to(torch.bfloat16)),
    "requires gradients": Kind(lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True)),
    "integers beyond 2^53": Kind(lambda x: (x * 8).astype(np.int64) + 2**60, "2\\^53"),
    "unsigned beyond 2^53": Kind(
        lambda x: np.uint64(2**63) + (x * 8 + 600).astype(np.uint64), "2\\^53"
    ),
}
SIZES = np.array([10, 40, 160, 640])
LOSS = SIZES**-0.5
#: Function of one array, and the array.
REAL_DOORS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "nearest_neighbors points": (lambda a: pl.nearest_neighbors(a, QUERIES, 2), X),
    "nearest_neighbors queries": (lambda a: pl.nearest_neighbors(X, a, 2), QUERIES),
    "NearestNeighbors points": (lambda a: pl.NearestNeighbors(2).fit(a, Y).predict(QUERIES), X),
    "NearestNeighbors values": (lambda a: pl.NearestNeighbors(2).fit(X, a).predict(QUERIES), Y),
    "NearestNeighbors queries": (pl.NearestNeighbors(2).fit(X, Y).predict, QUERIES),
    "KernelRegression points": (
        lambda a: pl.KernelRegression(ridge=0.1).fit(a, Y).predict(QUERIES),
        X,
    ),
    "KernelRegression values": (
        lambda a: pl.KernelRegression(ridge=0.1).fit(X, a).predict(QUERIES),
        Y,
    ),
    "KernelRegression queries": (pl.KernelRegression(ridge=0.1).fit(X, Y).predict, QUERIES),
    "RandomFeatures points": (lambda a: pl.RandomFeatures(20).fit(a, Y).predict(QUERIES), X),
    "RandomFeatures values": (lambda a: pl.RandomFeatures(20).fit(X, a).predict(QUERIES), Y),
    "nested_curve test": (
        lambda a: nested_curve(pl.KernelRegression().kernel, X, Y, a, [9, 90], 0.1).prediction,
        QUERIES,
    ),
    "scaling_curve points": (
        lambda a: pl.scaling_curve(pl.NearestNeighbors(), a, Y, [9, 90], n_test=30).loss,
        X,
    ),
    "scaling_curve values": (
        lambda a: pl.scaling_curve(pl.NearestNeighbors(), X, a, [9, 90], n_test=30).loss,
        Y,
    ),
    "estimate_dimension": (lambda a: pl.estimate_dimension(a).dimension, X),
    "local_dimension": (lambda a: local_dimension(a, 20), X),
    "teacher": (TEACHER, X),
    "standardized_inputs": (pl.standardized_inputs, X),
    "MaternTeacher.on_points": (lambda a: pl.MaternTeacher(0.5).on_points(a).value, X[:9]),
    "data_slice": (lambda a: data_slice(a).points, X[:3]),
    "fit_power_law loss": (lambda a: pl.fit_power_law(SIZES, a).exponent, LOSS),
    "local_exponents": (lambda a: pl.local_exponents(SIZES, a), LOSS),
    "aggregate": (lambda a: aggregate(np.asarray([LOSS]) if a is None else [a]), LOSS),
    "log_slopes": (lambda a: log_slopes(SIZES, a), LOSS),
    "diagnose": (
        lambda a: [f.signature for f in pl.diagnose(2.0 ** np.arange(5), a)],
        2.0 ** -np.arange(5),
    ),
    "Tree.accumulate": (TREE.accumulate, np.resize(Y, 200)),
    "TreeNearest values": (
        lambda a: pl.TreeNearest().fit(TREE, np.arange(130), a).predict(),
        Y,
    ),
    "TreePosterior values": (
        lambda a: pl.TreePosterior().fit(TREE, np.arange(130), a).predict(),
        Y,
    ),
    "Dataset X": (
        lambda a: Dataset(a, Y, np.zeros(130, int), np.array([130])).with_teacher(TEACHING).y,
        X,
    ),
    "Dataset y": (lambda a: Dataset(X, a, np.zeros(130, int), np.array([130])).y, Y),
}
IDS = np.arange(0, 150, 3)
BONDS = np.arange(150)
ID_DOORS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "Tree.from_parent": (lambda a: pl.Tree.from_parent(a).depth(), TREE.parent),
    "Tree.from_parent start": (lambda a: pl.Tree.from_parent(TREE.parent, a).depth(), TREE.start),
    "Tree.nearest": (lambda a: TREE.nearest(a), IDS),
    "Tree.span": (lambda a: TREE.span(a).site, IDS),
    "Graph.from_bonds": (lambda a: pl.Graph.from_bonds(151, a, BONDS).degree(), BONDS + 1),
    "TreeNearest sites": (lambda a: pl.TreeNearest().fit(TREE, a, np.sin(IDS)).predict(), IDS),
    "posterior_variance": (lambda a: posterior_variance(TREE, a), IDS),
    "conditioned_clusters": (lambda a: pl.conditioned_clusters(a, rng=0).parent, IDS + 1),
    "Dataset.take": (
        lambda a: Dataset(X, Y, np.zeros(130, int), np.array([130])).take(a).y,
        np.arange(50),
    ),
    "scaling_curve sizes": (
        lambda a: pl.scaling_curve(pl.NearestNeighbors(), X, Y, a, n_test=30).loss,
        np.array([9, 90]),
    ),
    "nested_curve sizes": (
        lambda a: nested_curve(pl.KernelRegression().kernel, X, Y, QUERIES, a, 0.1).prediction,
        np.array([9, 90]),
    ),
}
#: Where a single number or nothing is meant to be allowed, or an array of these numbers cannot be made.
ALLOWED = {
    ("conditioned_clusters", "number"),
    ("Dataset.take", "number"),
    ("Tree.from_parent start", "none"),
    ("aggregate", "none"),
    ("aggregate", "number"),
    ("log_slopes", "number"),
    ("posterior_variance", "number"),
    ("Tree.nearest", "number"),
    ("Tree.span", "number"),
    ("scaling_curve sizes", "number"),
}
CASES = [
    (name, kind)
    for doors, kinds in ((REAL_DOORS, {**KINDS, **REAL_KINDS}), (ID_DOORS, KINDS))
    for name in doors
    for kind in kinds
    if (name, kind) not in ALLOWED
]


EXPECTED: dict[tuple[str, bytes], Any] = {}


def given_plain(name: str, door: Callable[[Any], Any], array: np.ndarray) -> Any:
    """What a door gives for a plain array, asked for once: many kinds hold the same numbers."""
    key = (name, array.tobytes())
    if key not in EXPECTED:
        EXPECTED[key] = door(array)
    return EXPECTED[key]


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        return all(same(a, b) for a, b in zip(found, expected, strict=True))
    if np.asarray(expected).dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    return bool(np.allclose(found, expected, rtol=1e-9, atol=1e-12))  # strides change sums' order


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.filterwarnings("ignore:values are")
def test_right_or_refused(name, kind):
    door, array = (REAL_DOORS | ID_DOORS)[name]
    make, refusal = (KINDS | REAL_KINDS)[kind]
    if kind in ("float16", "bfloat16") and not same(
        np.asarray(checks.array("a", make(array))), array
    ):
        array = np.asarray(checks.array("a", make(array)), dtype=np.float64)  # what it does hold
    if refusal is None:
        assert same(door(make(array)), given_plain(name, door, array))
        return
    with pytest.raises((TypeError, ValueError), match=refusal) as caught:
        door(make(array))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_control_without_the_door_masks_are_lost():
    assert np.asarray(masked(X)).flat[-1] == -9999
    with pytest.raises(ValueError, match="1 masked value"):
        checks.array("points", masked(X))


@pytest.mark.parametrize("name", ["scipy.sparse", "torch"])
def test_a_library_that_another_thread_is_importing_is_not_asked(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    np.testing.assert_array_equal(checks.array("points", [X[:, 0], X[:, 1]]), X[:, :2].T)


def test_float32_of_points_far_from_the_origin_is_refused():
    y = np.arange(130.0)
    far = Dataset(X + 1e9, y, np.zeros(130, int), np.array([130]))
    with pytest.raises(ValueError, match=r"X would lose its structure in float32.*Centre it first"):
        far.to_torch()
    with pytest.raises(ValueError, match="points would lose its structure"):
        pl.NeuralRegression(pl.MLP(width=4), pl.Training(steps=2)).fit(X + 1e9, y)
    with pytest.raises(ValueError, match="values would lose its structure"):
        pl.NeuralRegression(pl.MLP(width=4), pl.Training(steps=2)).fit(X, np.sin(y) + 1e9)
    near = pl.nearest_neighbors(X, QUERIES, 3)
    moved = pl.nearest_neighbors(far.X, QUERIES + 1e9, 3)
    np.testing.assert_array_equal(moved[1], near[1])
    np.testing.assert_allclose(moved[0], near[0], rtol=1e-12)


def test_a_column_that_does_not_vary_may_be_anywhere():
    far = np.c_[X, np.full(130, 1e9)]
    checks.single("points", far)
    checks.single("points", np.full((1, 2), 1e9 + 1.0))
    with pytest.raises(ValueError, match="structure"):
        checks.single("points", np.full((4, 1), 1e300) * np.arange(4.0)[:, None])


def test_long_floats_beyond_float64_are_refused():
    long = X.astype(np.longdouble)
    long[3, 1] = np.longdouble("1e400")
    with pytest.raises(ValueError, match=r"beyond 1\.8e308"):
        pl.nearest_neighbors(long, QUERIES)


def test_learners_name_values_of_another_shape():
    for learner in (pl.NearestNeighbors(), pl.KernelRegression(), pl.RandomFeatures(9)):
        with pytest.raises(ValueError, match="y must have 130 rows; got the single number"):
            learner.fit(X, np.array(3.0))
        with pytest.raises(ValueError, match=r"y must have shape \(n,\) or \(n, n_outputs\)"):
            learner.fit(X, np.zeros((130, 2, 2)))


@pytest.mark.parametrize("value", [10**400, 2**64])
def test_integers_of_hundreds_of_digits(value):
    with pytest.raises(ValueError, match=r"k is an integer of [0-9]+ bits; 64 are the most"):
        pl.nearest_neighbors(X, QUERIES, value)
    with pytest.raises(ValueError, match=r"coordination_number must be an integer >= 3"):
        pl.conditioned_clusters(10, value)
    with pytest.raises(ValueError, match=r"too large|must be finite"):
        checks.real("ridge", value * 10**400)
