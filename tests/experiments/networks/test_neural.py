"""What students are given: nothing that is trained on is tested on, no fresh row is seen twice."""

import contextvars
import dataclasses
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from network_cases import LINEAR, assert_no_leak, sources, targets, trained_row

from percolaw import checks
from percolaw.datasets.sources import SITES_PER_POINT, FiniteCluster
from percolaw.errors import ResourceError
from percolaw.experiments.base import (
    SCRATCH,
    preset,
)
from percolaw.experiments.networks import effective_dof as freedom
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.nn_data_scaling import NnDataScaling
from percolaw.experiments.networks.nn_model_scaling import NnModelScaling
from percolaw.neural.config import Training
from percolaw.neural.data import RowOrder


@pytest.fixture
def calls(monkeypatch):
    """Arguments of every call of `neural.train_and_test`, which returns made-up rows."""
    found = []

    def fake(network, x, y, students, training, test):
        found.append(SimpleNamespace(**locals()))
        rows = [trained_row(s.seed, 0.1 * (i + 1)) for i, s in enumerate(students)]
        return None, [{k: v for k, v in r.items() if k != "seed"} for r in rows]

    monkeypatch.setattr(neural, "train_and_test", fake)
    return found


SMALL = {"n_validation": 30, "n_test": 40, "settings": sources("cluster d = 8")}


def test_data_scaling_never_tests_on_what_it_trains_on(calls):
    e = NnDataScaling(
        n_seeds=2,
        smallest=10,
        largest=100,
        n_sizes=4,
        fit_from=10,
        teachers=targets("linear", "Matérn 0.5", "Matérn 1.5"),
        **SMALL,
    )
    cells = e.cells()
    assert [(c["kind"], c["seed"]) for c in cells] == [("train", 0), ("train", 1), ("doubled", 0)]
    found = [e.measure(cell) for cell in cells]
    train, other, doubled = calls
    assert e.sizes() == [10, 22, 46, 100]
    assert e.doubled_sizes() == [46, 100]
    for call, sizes in ((train, e.sizes()), (other, e.sizes()), (doubled, [46, 100])):
        assert_no_leak(call)
        assert (len(call.test), call.x.shape) == (40, (170, 8))
        assert [len(s.train) for s in call.students] == sizes * 3
        assert [s.target for s in call.students] == np.repeat(range(3), len(sizes)).tolist()
        assert {len(s.validation) for s in call.students} == {30}
        for one in call.students:
            np.testing.assert_array_equal(one.train, call.students[-1].train[: len(one.train)])
            np.testing.assert_array_equal(one.validation, call.students[0].validation)
    assert train.training == other.training == e.training
    assert doubled.training == e.training.doubled()
    assert doubled.training.steps == 2 * e.training.steps
    # The doubled budget is on the same data, another seed on others.
    np.testing.assert_array_equal(doubled.x, train.x)
    np.testing.assert_array_equal(doubled.y, train.y)
    np.testing.assert_array_equal(doubled.test, train.test)
    np.testing.assert_array_equal(doubled.students[-1].train, train.students[-1].train)
    assert not {r.tobytes() for r in other.x} & {r.tobytes() for r in train.x}
    assert [s.seed for s in other.students] == [1] * 12
    # Rows are told apart as they were planned.
    names = [target.word for target in e.teachers]
    assert [(r["teacher"], r["n"]) for r in found[0]] == list(itertools.product(names, e.sizes()))
    assert [(r["teacher"], r["n"]) for r in found[2]] == list(itertools.product(names, [46, 100]))
    assert [r["loss"] for r in found[0]] == pytest.approx(0.1 * np.arange(1, 13))
    assert all(math.isfinite(r["wide"]) for r in found[0])
    assert not any("wide" in r for r in found[2])
    json.dumps(found, allow_nan=False)


def test_the_limit_learns_from_the_same_rows(calls):
    from percolaw.learners.kernel import KernelRegression
    from percolaw.numerics.covariance import NeuralTangent

    e = NnDataScaling(
        smallest=10,
        largest=100,
        n_sizes=3,
        teachers=targets("Matérn 0.5", "Matérn 1.5"),
        depth=2,
        **SMALL,
    )
    rows = e.measure(e.cells()[0])
    (call,) = calls
    for row, student in zip(rows, call.students, strict=True):
        x, y = call.x[student.train], call.y[student.train, student.target]
        out = KernelRegression(NeuralTangent(2)).fit(x, y).predict(call.x[call.test])
        loss = np.mean((np.ravel(out) - call.y[call.test, student.target]) ** 2)
        assert row["wide"] == pytest.approx(loss, rel=1e-6)


FRESH = NnModelScaling(
    settings=sources("cube 2"),
    teachers=targets("linear", "Matérn 0.5"),
    widths=(4, 5, 6),
    n_validation=10,
    n_test=10,
    training=Training(
        learning_rate=0.01, steps=60, batch_size=16, patience=1000, evaluate_every=20, device="cpu"
    ),
)


@pytest.mark.parametrize("training", [FRESH.training, Training(steps=1, batch_size=64)])
def test_endless_data_are_never_seen_twice(calls, training):
    e = dataclasses.replace(FRESH, training=training)
    for cell in (e.cells()[0], e.cells()[-1]):
        doubled = cell["kind"] == "doubled"
        e.measure(cell)
        assert len(calls) == (2 if doubled else 3)
        for call in calls:
            assert_no_leak(call)
            assert call.training == (training.doubled() if doubled else training)
            own = call.training
            for student in call.students:
                order = RowOrder(student.seed, np.asarray(student.train), own.batch_size)
                taken = order.minibatches(0, own.steps)
                assert np.unique(taken).size == taken.size == own.steps * own.batch_size
                if own.steps > 1:  # a step more would repeat one
                    more = order.minibatches(0, own.steps + 1)
                    assert np.unique(more).size < more.size
        calls.clear()


@pytest.mark.parametrize(
    "architecture",
    [
        "mlp",
        "residual",
        "transformer",
    ],
)
def test_inner_parameters_are_without_the_weights_of_coordinates(calls, architecture):
    e = dataclasses.replace(
        FRESH,
        architecture=architecture,
        settings=sources("cluster d = 8"),
        widths=(8, 16, 24),
        depth=2,
    )
    rows = e.measure(e.cells()[0])
    assert [r["width"] for r in rows] == [8, 8, 16, 16, 24, 24]
    for row in rows:
        network = neural.student_network(architecture, 2, row["width"])
        parameters = network.parameters(8, 1)
        assert row["n_parameters"] == sum(p.size for p in parameters.values())
        # Positions, too, grow with the columns of the inputs.
        grow = sum(parameters[k].size for k in ("weight 0", "position") if k in parameters)
        assert row["n_inner"] == row["n_parameters"] - grow


def test_a_doubled_budget_is_on_as_large_a_cluster(calls, monkeypatch):
    """The same points of the same cluster: drawn for the doubled budget in either case."""
    e = dataclasses.replace(FRESH, settings=sources("finite cluster d = 4"))
    asked, real = [], FiniteCluster.inputs
    monkeypatch.setattr(
        FiniteCluster,
        "inputs",
        lambda self, n, rng: asked.append((n, self.n_sites)) or real(self, n, rng),
    )
    for cell in (e.cells()[0], e.cells()[-1]):
        e.measure(cell)
    (n, sites), (more, same) = asked
    assert n == more == 120 * 16 + 20
    assert same == sites == SITES_PER_POINT * (60 * 16 + 20)


@pytest.mark.parametrize("label", NnModelScaling.presets)
def test_presets_have_points_for_every_step(label):
    """One a step, or as many as the config says at most."""
    e = preset(NnModelScaling, label)
    for cell in e.cells():
        n = e._n_points(cell["kind"], cell["depth"])
        for width, budget in e._trainings(cell["kind"]):
            network = neural.student_network(e.architecture, cell["depth"], width)
            training = e._training(network, budget)
            steps = training.doubled().steps if cell["kind"] == "doubled" else training.steps
            assert n >= min(steps * training.batch_size, e.most_points or math.inf)
            assert training.patience * training.evaluate_every > training.steps, "to the end"


def test_the_loop_itself_takes_no_row_twice(monkeypatch):
    """A real training, whose every batch is noted."""
    taken = {}
    real = RowOrder.minibatches

    def spy(self, first, count):
        out = real(self, first, count)
        for step, rows in enumerate(out, first):
            taken.setdefault(id(self), (self, {}))[1][step] = rows
        return out

    monkeypatch.setattr(RowOrder, "minibatches", spy)
    e = dataclasses.replace(FRESH, widths=(4, 5, 6), teachers=targets("linear"))
    rows = e.measure(e.cells()[0])
    assert len(rows) == 3
    assert {r["stopped"] for r in rows} <= {"budget", "plateau"}
    assert len(taken) == 3
    for _, steps in taken.values():
        used = np.concatenate([v for k, v in steps.items() if k < e.training.steps])
        assert sorted(steps)[: e.training.steps] == list(range(e.training.steps))
        assert np.unique(used).size == used.size == 60 * 16


def test_students_keep_their_states_where_the_unit_does(monkeypatch, tmp_path):
    class Told(Exception):
        pass

    def told(*arguments, checkpoint=None, **keywords):
        raise Told(checkpoint)

    monkeypatch.setattr(neural, "train", told)
    monkeypatch.setattr(freedom, "train", told)
    for e in (FRESH, LINEAR):
        for folder in (None, tmp_path / "scratch"):
            context = contextvars.copy_context()
            context.run(SCRATCH.set, folder)
            with pytest.raises(Told) as caught:
                context.run(e.measure, e.cells()[0])
            assert caught.value.args == (folder,)


def test_more_than_memory_holds_is_refused_with_a_remedy(calls, monkeypatch):
    """By the unit that needs it: a config may be looked at anywhere. Before anything is trained."""
    NnDataScaling(largest=10_000_000)
    huge = NnModelScaling(settings=sources("cube 2"), training=Training(steps=10**9))
    remedy = (
        r"points, one for every step.*Lower --training.steps, --training.batch-size, --most-points"
    )
    for cell in (huge.cells()[0], huge.cells()[-1]):
        with pytest.raises(ResourceError, match=remedy):
            huge.measure(cell)
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 20)
    e = NnModelScaling(settings=sources("cube 2"))
    with pytest.raises(ResourceError, match="1 x 773000 points, one for every step"):
        e.measure(e.cells()[0])
    e = NnDataScaling(settings=sources("cube 2"))
    with pytest.raises(ResourceError):
        e.measure(e.cells()[0])
    assert calls == []
