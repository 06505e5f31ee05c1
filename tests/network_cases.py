"""Experiments with networks and made-up rows of them; figures of what they conclude."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

pytest.importorskip("torch")

from percolaw.datasets.sources import parse_source
from percolaw.experiments.base import preset
from percolaw.experiments.networks.effective_dof import EffectiveDof
from percolaw.experiments.networks.nn_data_scaling import NnDataScaling
from percolaw.experiments.networks.nn_model_scaling import NnModelScaling
from percolaw.neural.config import Training
from percolaw.runs.store import strict_json
from percolaw.targets.families import parse_target


def sources(*words):
    return tuple(map(parse_source, words))


def targets(*words):
    return tuple(map(parse_target, words))


def curves_of(conclusion):
    """Learning curves of networks as they are shown, by points and teacher."""
    return {
        (plot.title.split(" (D = ")[0], one.name): one
        for plot in conclusion.plots
        if plot.figure.endswith("-curves")
        for one in plot.series
        if one.kind == "measured"
    }


def fit_of(series):
    """Exponent and window of the fit kept with a curve; None without one."""
    found = [(s.measured, s.window) for s in series.stored if s.window is not None]
    return found[0] if found else None


def trained_row(seed, loss, **more):
    """What `neural.train_and_test` says of one student; it diverged if the loss is None."""
    bad = loss is None
    return {
        "seed": seed,
        "loss": loss,
        "validation": loss,
        "train": loss,
        "gradient_norm": None if bad else 0.01,
        "steps": 100,
        "stopped": "diverged" if bad else "plateau",
        "curve": [],
        "target": 0,
        **more,
    }


DATA = NnDataScaling(
    n_seeds=5,
    smallest=30,
    largest=3000,
    n_sizes=7,
    fit_from=100,
    tolerance=0.1,
    settings=sources("cluster d = 16", "cube 2"),
    teachers=targets("ReLU 1 x 1000", "Matérn 0.5", "Fourier"),
    teachers_elsewhere=targets("Matérn 0.5", "Matérn 2.5"),
)


def predicted_data(points, teacher):
    big_d, order = parse_source(points).dimension, parse_target(teacher).approximation_order
    return (2.0 if math.isinf(order) else min(order, big_d + 2.0)) / big_d


def data_rows(e, factor=1.0, wide=1.0, common=0.0, own=0.01, gap=0.02, diverged=lambda *a: False):
    """Rows as `measure` returns them: power laws with c/D times a factor, of networks and of their
    limit; `common` scatter is shared by both, `own` is the network's. `wide` may be a function of n."""
    rows = []
    for cell in e.cells():
        doubled = cell["kind"] == "doubled"
        sizes = e.doubled_sizes() if doubled else e.sizes()
        for teacher in cell["teachers"]:
            exponent = predicted_data(cell["points"], teacher)
            for n in sizes:
                noise = np.random.default_rng([*f"{cell['points']}{teacher}{n}".encode()])
                z = noise.standard_normal((100, 2))[cell["seed"]]
                shared = math.exp(common * z[0])
                loss = float((n / 30) ** (-factor * exponent) * shared * math.exp(own * z[1]))
                limit = (
                    wide(n, exponent) if callable(wide) else 0.9 * (n / 30) ** (-wide * exponent)
                )
                bad = diverged(cell["seed"], n, teacher, doubled)
                loss = None if bad else loss / (1 + gap) if doubled else loss
                row = trained_row(cell["seed"], loss, n=n, teacher=teacher)
                row |= {"kind": cell["kind"], "points": cell["points"]}
                rows.append(row if doubled else row | {"wide": float(limit * shared)})
    return rows


def exponents_of(conclusion):
    return [c for c in conclusion.claims if "exponent c/D" in c.name]


MODEL = NnModelScaling(
    n_seeds=5,
    widths=(4, 6, 8, 12, 16, 24, 32, 48),
    fit_from=50,
    tolerance=0.15,
    settings=sources("cluster d = 16", "cube 2"),
    teachers=targets("ReLU 1 x 1000", "Matérn 0.5", "Fourier"),
)


def model_rows(e, factor=1.0, gap=0.02, diverged=lambda *a: False, last=1.0):
    rows = []
    for cell, seed in ((c, s) for c in e.cells() for s in c["seeds"]):
        doubled = cell["kind"] == "doubled"
        for width, target in itertools.product(
            e.doubled_widths() if doubled else e.widths, e.teachers
        ):
            order, big_d = target.approximation_order, parse_source(cell["points"]).dimension
            exponent = factor * (2.0 if math.isinf(order) else min(order, 4.0)) / big_d
            teacher = target.word
            noise = np.random.default_rng([*f"{cell['points']}{teacher}{width}".encode()])
            z = noise.standard_normal(100)[seed]
            n = 3 * width**2
            loss = float((n / 48) ** -exponent * math.exp(0.01 * z)) * (last if n > 5000 else 1.0)
            bad = diverged(seed, width, teacher)
            loss = None if bad else loss / (1 + gap) if doubled else loss
            row = trained_row(seed, loss, teacher=teacher, width=width, budget=1.0)
            row |= {"n_inner": n, "n_parameters": n + 16 * width}
            rows.append(
                {**row, "kind": cell["kind"], "points": cell["points"], "depth": cell["depth"]}
            )
    return rows


#: A grid of widths and budgets as the laptop preset has it, with one depth more.
GRID = dataclasses.replace(
    preset(NnModelScaling, "laptop"),
    settings=sources("cube 4"),
    teachers=targets("ReLU 1 x 1000", "Matérn 0.5"),
    widths=(4, 6, 8, 12, 16, 24, 32),
    growth=0.5,
    other_depths=(2,),
)


def grid_rows(e, factor=1.0, step_exponent=0.6, height=0.2, rate=0.01):
    """Rows of a sum of two powers: c/D times a factor in size, and `height` times as much in the steps at
    a budget of 1; the best learning rate is `rate` at the smallest width, 0.01 at the others."""
    rows = []
    for cell, seed in ((c, s) for c in e.cells() for s in c["seeds"]):
        of_rates = cell["kind"] == "rates"
        tried = [(w, b) for w, b in e._trainings(cell["kind"])]
        for (width, budget), target, rated in itertools.product(
            tried, e.teachers, e.rates if of_rates else (None,)
        ):
            noise = np.random.default_rng([*f"{cell}{width}{budget}{target.word}{seed}".encode()])
            n, teacher = 3 * width**2, target.word
            exponent = factor * min(target.approximation_order, 4.0) / 4.0
            steps = round(e.training.steps * budget * (n / 48) ** e.growth)
            loss = 0.5 * (n / 48) ** -exponent
            loss += 0.5 * height * (steps / e.training.steps) ** -step_exponent
            loss *= math.exp(0.005 * noise.standard_normal())
            row = trained_row(seed, float(loss), teacher=teacher, width=width, budget=budget)
            if of_rates:
                best = math.log(rate if width == e.widths[0] else 0.01)
                row |= {"rate": rated}
                row["validation"] *= math.exp(0.3 * (math.log(rated) - best) ** 2)
            row |= {"n_inner": n, "n_parameters": n + 4 * width, "steps": steps}
            row |= {"flops": 6 * n * steps * 128}
            rows.append(
                {**row, "kind": cell["kind"], "points": cell["points"], "depth": cell["depth"]}
            )
    return rows


LINEAR = EffectiveDof(
    n_seeds=1,
    settings=sources("cube 2"),
    sizes=(100,),
    widths=(8,),
    n_width=100,
    depth=0,
    decays=(0.0,),
    dropouts=(0.0,),
    n_probes=2,
    n_test=50,
    training=Training(
        learning_rate=0.1,
        steps=300,
        schedule="cosine",
        patience=1000,
        keep="last",
        dtype="float64",
        device="cpu",
    ),
)


def rows_of(x, n_all):
    """Row numbers, checked to be in range and different."""
    x = np.asarray(x)
    assert np.unique(x).size == x.size
    assert x.min() >= 0
    assert x.max() < n_all
    return set(x.tolist())


def assert_no_leak(call):
    n_all = call.x.shape[0]
    assert call.y.shape[0] == n_all
    assert len({row.tobytes() for row in call.x}) == n_all, "no point twice under two numbers"
    test = set().union(*(rows_of(rows, n_all) for rows in np.atleast_2d(call.test)))
    for student in call.students:
        train, validation = rows_of(student.train, n_all), rows_of(student.validation, n_all)
        assert not train & validation
        assert not train & test
        assert not validation & test


def read_back(conclusion):
    """The plots of a record; data of the page are finite numbers or null."""
    from percolaw.report.records import read_plots

    made = [dataclasses.asdict(plot) for plot in conclusion.plots]
    plots = read_plots(json.loads(json.dumps(strict_json(made), allow_nan=False)))
    assert plots == conclusion.plots
    assert len({plot.id for plot in plots}) == len(plots)
    return plots


def drawn(conclusion):
    """Figures of the plots, laid out. It takes a second: for the odd cases, once an experiment."""
    pytest.importorskip("matplotlib")
    from percolaw.report import draw
    from percolaw.report.style import styled

    with styled():
        figures = draw.figures(read_back(conclusion))
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


def points_of(plot):
    """x of the points of measured curves that a fit may use, and of the others."""
    every = [
        (x, usable)
        for one in plot.series
        if one.kind == "measured"
        for x, usable in zip(one.x, one.usable or [True] * len(one.x), strict=True)
    ]
    return sorted(x for x, good in every if good), sorted(x for x, good in every if not good)


def marked(axis):
    """x of filled and of hollow markers."""
    filled, hollow = [], []
    for line in axis.get_lines():
        if line.get_marker() not in ("None", None, "") and line.get_linestyle() == "None":
            where = hollow if line.get_markerfacecolor() == "white" else filled
            where += np.asarray(line.get_xdata()).tolist()
    return sorted(filled), sorted(hollow)


def panel(figure, name):
    (axis,) = [a for a in figure.axes if a.get_title() == name]
    return axis
