"""Conclusions about parities from rows made by hand: learners that obey the laws, and others."""

import dataclasses

import numpy as np
import pytest

from percolaw.experiments.base import preset
from percolaw.experiments.quanta.quanta_composite import QuantaComposite
from percolaw.experiments.quanta.quanta_data import QuantaData
from percolaw.experiments.quanta.quanta_model import QuantaModel
from percolaw.experiments.quanta.quanta_time import QuantaTime
from percolaw.laws.sparse_parity import unknown_parity


def verdicts(experiment, rows):
    return {c.name: c for c in experiment.conclude(rows).claims}


def one(said, text):
    (claim,) = [c for name, c in said.items() if text in name]
    return claim


def time_rows(experiment, exponent=1.0):
    """Losses that fall from 1 to 0 around t_k = 50 (p_1 / p_k)^exponent."""
    steps = np.unique(np.geomspace(10, experiment.training.steps, 40).astype(int))
    at = 50.0 * (experiment.weight[0] / experiment.weight) ** exponent
    loss = 1.0 / (1.0 + (steps[:, None] / at) ** 6)
    return [
        {"seed": s, "step": steps.tolist(), "loss": (loss * (1 + 1e-3 * s)).tolist()}
        for s in range(experiment.n_seeds)
    ]


def test_tasks_that_learn_at_their_own_times():
    experiment = QuantaTime()
    said = verdicts(experiment, time_rows(experiment))
    assert one(said, "order of their use").measured == 0.0
    assert one(said, "exponent in 1/frequency").measured == pytest.approx(1.0, abs=0.02)
    assert one(said, "learn as the first one").verdict == "agrees"
    assert one(said, "against that of the sum").verdict == "agrees"
    assert one(said, "infinitely many").verdict == "disagrees"
    said = verdicts(experiment, time_rows(experiment, 0.6))
    assert one(said, "exponent in 1/frequency").verdict == "disagrees"
    assert one(said, "learn as the first one").verdict == "disagrees"
    nothing = time_rows(experiment)
    for row in nothing:
        row["loss"] = np.ones_like(row["loss"]).tolist()
    assert {c.verdict for c in experiment.conclude(nothing).claims} == {"inconclusive"}


def model_rows(experiment, learned):
    """The n most used tasks have no errors, n = learned(width); the others are at chance."""
    rows = []
    for seed in range(experiment.n_seeds):
        for width in experiment.widths:
            known = np.arange(experiment.n_tasks) < round(learned(width))
            error = np.where(known, 0.0, 0.5)
            loss = np.where(known, 0.0, 1.0 + 1e-3 * seed)
            rows.append({"seed": seed, "width": width, "error": [error] * 2, "loss": [loss] * 2})
    return rows


def test_tasks_in_proportion_to_width():
    experiment = dataclasses.replace(QuantaModel(), widths=(8, 16, 32, 64))
    said = verdicts(experiment, model_rows(experiment, lambda w: w / 4))
    assert one(said, "tasks learned, exponent").measured == pytest.approx(1.0)
    assert one(said, "all but the n most").measured == pytest.approx(1.0, abs=0.01)
    assert one(said, "n linear").verdict == "agrees"
    assert one(said, "half the budget").measured == 1.0
    said = verdicts(experiment, model_rows(experiment, lambda w: 2 * w**0.5))
    assert one(said, "tasks learned, exponent").verdict == "disagrees"
    rare = model_rows(experiment, lambda w: w / 4)
    for row in rare:
        row["error"] = [each[::-1] for each in row["error"]]
    assert one(verdicts(experiment, rare), "most used ones").verdict == "disagrees"
    few = dataclasses.replace(experiment, n_tasks=10)  # one seed knows all where the others do not
    rows = model_rows(few, lambda w: min(w / 4, 9))
    for row in rows:
        if row["seed"] == 0 and row["width"] == 32:
            row["error"], row["loss"] = ([[0.0] * 10] * 2 for _ in range(2))
    assert np.isfinite(one(verdicts(few, rows), "tasks learned, exponent").measured)
    assert "too few" not in one(verdicts(few, rows), "all but the n most").note


def data_rows(experiment, threshold):
    """A network that knows a task from `threshold(p)` of its samples on; elimination by its law."""
    rng, weight = np.random.default_rng(0), experiment.weight
    rows = []
    for seed in range(experiment.n_seeds):
        for size in experiment.sizes:
            error = np.where(size * weight >= threshold(weight), 0.0, 0.5)
            for learner in ("network", "kernel"):
                rows.append({"seed": seed, "learner": learner, "n_train": size, "error": error})
        shape = (experiment.n_repeats, experiment.n_tasks)
        unknown = unknown_parity(np.arange(60), 560)
        needed = (rng.random((*shape, 1)) < unknown).sum(axis=-1)
        known = rng.gamma(needed) / weight
        exact = {"needed": needed, "known": known, "kernel": 1000.0}
        rows.append({"seed": seed, "learner": "elimination", **exact})
    return rows


def test_one_threshold_for_all_tasks():
    experiment = dataclasses.replace(QuantaData(), sizes=tuple(500 * 2**i for i in range(9)))
    said = verdicts(experiment, data_rows(experiment, lambda p: 300.0 + 0.0 * p))
    assert one(said, "elimination: loss").verdict == "agrees"
    assert abs(one(said, "until it is learned, exponent").measured) < 0.1
    assert one(said, "with one threshold").verdict == "agrees"
    assert one(said, "infinitely many").verdict == "disagrees"
    said = verdicts(experiment, data_rows(experiment, lambda p: 1000.0 * p**0.5))
    assert one(said, "until it is learned, exponent").verdict == "disagrees"
    rows = data_rows(experiment, lambda p: 300.0 + 0.0 * p)
    for row in rows:
        if row["learner"] == "elimination":  # a task that is identified in no sample is not known
            row["known"] = np.where(np.arange(experiment.n_tasks) == 0, np.nan, row["known"])
    assert one(verdicts(experiment, rows), "elimination: loss").verdict == "disagrees"


def test_a_kernel_that_knows_too_little_has_no_threshold():
    experiment = dataclasses.replace(QuantaData(), kernel_sizes=(10, 20, 40))
    assert experiment._kernel_threshold(np.array([0.5, 0.3, 0.05])) == pytest.approx(35.0, abs=5.0)
    assert experiment._kernel_threshold(np.array([0.51, 0.5, 0.49])) is None
    assert experiment._kernel_threshold(np.array([0.09, 0.05, 0.0])) is None


def composite_rows(experiment, parts_at, unions_at):
    """Parts are learned at step 100 or not at all, unions with their parts at another step."""
    n, pairs = experiment.n_parts, experiment.unions
    steps = np.array([20.0, 50.0, 100.0, 200.0, 400.0])
    rows = []
    for seed in range(experiment.n_seeds):
        for beside in ("their parts", "nothing", "other parts"):
            at = np.full(2 * n + len(pairs), np.inf)
            if beside == "their parts":
                at[:n], at[2 * n :] = parts_at, unions_at
            loss = np.where(steps[:, None] >= at, 0.0, 1.0)
            rows.append({"seed": seed, "beside": beside, "step": steps, "loss": loss})
    return rows


def test_unions_with_and_without_their_parts():
    experiment = QuantaComposite()
    said = verdicts(experiment, composite_rows(experiment, 100, 200))
    assert {c.verdict for c in said.values()} == {"agrees"}
    said = verdicts(experiment, composite_rows(experiment, 200, 100))
    assert one(said, "after both").verdict == "disagrees"
    missing = [100, 100, 100, np.inf]
    said = verdicts(experiment, composite_rows(experiment, missing, 200))
    assert one(said, "and not otherwise").verdict == "disagrees"
    assert one(said, "and not otherwise").measured == 0.5
    said = verdicts(experiment, composite_rows(experiment, np.inf, np.inf))
    assert one(said, "and not otherwise").verdict == "inconclusive"


def test_configs_that_cannot_be_are_refused():
    for call, match in (
        (lambda: QuantaModel(widths=(4, 8)), "widths"),
        (lambda: QuantaData(sizes=(100, 50, 200)), "sizes"),
        (lambda: QuantaComposite(n_bits=23), "n_bits must be"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    assert preset(QuantaTime, "gpu").n_tasks == 500
