"""Dimension of layers: what is concluded of made-up rows, and layers that are left out."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from network_cases import assert_no_leak, drawn, read_back, sources, targets

from percolaw.datasets.sources import parse_source
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.layer_dimension import MEDIAN, TWO_NN, LayerDimension
from percolaw.neural.config import Training


def test_layers_are_measured_on_points_that_no_student_saw(monkeypatch):
    e = LayerDimension(
        n_seeds=1,
        settings=sources("cube 2"),
        teachers=targets("linear", "Matérn 0.5"),
        n_train=60,
        n_validation=20,
        n_points=400,
        width=8,
        depth=1,
        training=Training(steps=2, evaluate_every=1, device="cpu"),
    )
    found, seen = [], []
    real = neural.train_and_test

    def spy(network, x, y, students, training, test):
        found.append(SimpleNamespace(**locals()))
        found[-1].trained, losses = real(network, x, y, students, training, test)
        return found[-1].trained, losses

    monkeypatch.setattr(neural, "train_and_test", spy)
    module = sys.modules[LayerDimension.__module__]
    activations = module.layer_activations
    monkeypatch.setattr(module, "layer_activations", lambda *a: seen.append(a) or activations(*a))
    monkeypatch.setattr(module, "_estimates", lambda values, streams: {MEDIAN: 2.0, TWO_NN: 2.0})
    rows = e.measure(e.cells()[0])
    (call,) = found
    assert_no_leak(call)
    assert len(call.test) == 400
    untrained, *of_students = seen
    assert untrained[0] is not call.trained
    assert [student for _, _, student in of_students] == [0, 1]
    for trained, _, _ in of_students:
        assert trained is call.trained
    for _, x, *_ in seen:
        np.testing.assert_array_equal(x, np.float32(call.x[call.test]))
    names = ["", *["untrained"] * 2, *["linear"] * 2, *["Matérn 0.5"] * 2]
    assert [r["teacher"] for r in rows] == names


LAYERS = LayerDimension(
    n_seeds=5, settings=sources("cube 2", "sphere 2 x cube 1"), teachers=targets("linear")
)
NAMES = ["layer 1 before", "layer 1 after", "layer 2 before", "layer 2 after"]


def layer_rows(e, factor=1.0, gone=lambda row: False, **more):
    rng = np.random.default_rng(10)
    rows = []
    for cell in e.cells():
        truth = parse_source(cell["points"]).dimension
        names = ("untrained", *(target.word for target in e.teachers))
        plan = [("", "input"), *itertools.product(names, NAMES)]
        for teacher, layer in plan:
            value = truth * (factor if teacher == "linear" else 1.0)
            value = float(value * (1 + 0.01 * rng.standard_normal()))
            row = {**cell, "teacher": teacher, "layer": layer, MEDIAN: value, TWO_NN: value}
            if teacher == "linear":
                row |= {"loss": 0.1, "stopped": "plateau", **more}
            if gone(row):
                row |= {MEDIAN: None, TWO_NN: None}
            rows.append(row)
    return rows


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agrees"), (0.8, "disagrees")])
def test_dimension_of_the_last_layer_before_its_nonlinearity(factor, verdict):
    found = LAYERS.conclude(layer_rows(LAYERS, factor))
    assert len(found.claims) == 2 * 3
    for claim in found.claims:
        trained = "of linear, layer 2 before" in claim.name
        assert trained or "of input" in claim.name or "of untrained, layer 2 before" in claim.name
        assert claim.verdict == (verdict if trained else "agrees")
    for plot, source in zip(read_back(found), LAYERS.settings, strict=True):
        assert f"{source} (D = {source.dimension:g})" == plot.title


def test_layers_that_collapsed_are_left_out():
    gone = LAYERS.conclude(layer_rows(LAYERS, gone=lambda r: r["layer"] == "layer 2 before"))
    assert [c.verdict for c in gone.claims if "input" in c.name] == ["agrees"] * 2
    lost = [c for c in gone.claims if "layer" in c.name]
    assert {c.verdict for c in lost} == {"inconclusive"}
    assert {c.note for c in lost} == {"5 of 5 have none"}
    drawn(gone)
    once = LAYERS.conclude(
        layer_rows(LAYERS, gone=lambda r: r["layer"] == "layer 2 before" and r["seed"] == 0)
    )
    assert {c.verdict for c in once.claims} == {"agrees"}
    assert {c.note for c in once.claims if "layer" in c.name} == {"1 of 5 have none"}
    assert {c.note for c in once.claims if "input" in c.name} == {""}
    read_back(once)
    two = LAYERS.conclude(
        layer_rows(LAYERS, gone=lambda r: r["layer"] == "layer 2 before" and r["seed"] < 2)
    )
    for claim in two.claims:
        assert claim.verdict == ("inconclusive" if "layer" in claim.name else "agrees")
        assert claim.note == ("2 of 5 have none" if "layer" in claim.name else "")
    read_back(two)


@pytest.mark.parametrize("n_bad", [1, 2])
def test_layers_of_students_that_diverged_are_left_out(n_bad):
    rows = layer_rows(LAYERS)
    for row in rows:
        if row["teacher"] == "linear" and row["seed"] < n_bad:
            row |= {"loss": None, "stopped": "diverged", MEDIAN: 40.0, TWO_NN: 40.0}
    found = LAYERS.conclude(rows)
    for claim in found.claims:
        assert claim.measured < 4.0
        of_trained = "of linear" in claim.name
        assert claim.note == (f"{n_bad} of 5 have none" if of_trained else "")
        assert claim.verdict == ("inconclusive" if of_trained and n_bad > 1 else "agrees")
    assert all(row["dimension"] < 4.0 for row in found.tables["table"])
    read_back(found)
