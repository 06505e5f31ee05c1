"""Every registered experiment keeps the protocol, and its verdicts can turn against it."""

import copy
import dataclasses
import json
import math
import random
from typing import Any

import numpy as np
import pytest
from conclusions import claim_with
from runnable import SMOKE
from smoke_verdicts import smoke_units
from threadpoolctl import threadpool_limits
from toy_experiment import cells, lighter, shared_root, smoke_run

from percolaw.experiments import fields
from percolaw.experiments.base import (
    Experiment,
    Preset,
    canonical_json,
    config_dict,
    preset,
    run_id,
)
from percolaw.experiments.real.analysis import DataAnalysis, measurement
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import REPRODUCTIONS
from percolaw.laws import scaling_laws as theory
from percolaw.laws import single_cluster
from percolaw.runs.store import RunFolder, read_record, strict_json

NAMES = list(EXPERIMENTS)


@pytest.fixture
def smoke(tmp_path_factory):
    """name -> config, record and stored rows of the smoke preset."""

    def get(name):
        experiment, folder = smoke_run(shared_root(tmp_path_factory), name)
        store = RunFolder(folder, config_dict(experiment))
        return experiment, read_record(folder), store.rows(cells(experiment))

    return get


def legacy_state():
    """NumPy's global state, which nobody should touch."""
    return np.random.get_state()[1].copy()  # noqa: NPY002


def verdicts(experiment, rows) -> list[str]:
    return [claim.verdict for claim in experiment.conclude(rows).claims]


# --- the protocol --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_description(name):
    cls = experiment_class(name)
    assert isinstance(cls(), Experiment)
    assert cls.name == name
    assert cls.__dataclass_params__.frozen
    assert cls.title
    assert cls.source
    assert not cls.presets or {"smoke", "laptop"} <= set(cls.presets)
    assert {"paper", "gpu"} & set(cls.presets) or issubclass(cls, DataAnalysis)
    if hasattr(cls, "unavailable") and cls.unavailable():
        pytest.skip(cls.unavailable())
    for label, given in cls.presets.items():
        assert isinstance(given, Preset)
        assert given.time
        assert "iB" in given.memory
        experiment = preset(cls, label)
        if issubclass(cls, DataAnalysis):
            continue  # its units follow from its data, up to 17 million sequences
        experiment = lighter(experiment) if label == "smoke" else experiment
        units = cells(experiment)
        check_distinct(units)
        assert experiment.cells() == units


def check_distinct(units):
    assert len({canonical_json(cell) for cell in units}) == len(units), "equal units"


def test_reproductions_name_registered_experiments():
    for title, members in REPRODUCTIONS.values():
        assert title
        assert set(members) <= set(EXPERIMENTS)
    with pytest.raises(ValueError, match=r"unknown preset 'smoek'.*Did you mean 'smoke'"):
        preset(experiment_class(NAMES[0]), "smoek")


@pytest.mark.parametrize("name", SMOKE)
def test_smoke_preset_concludes(name, smoke):
    experiment, record, rows = smoke(name)
    assert record["status"] == "done"
    assert record["id"] == run_id(experiment)
    assert record["units"] == len(cells(experiment))
    check_distinct(cells(experiment))
    json.loads(canonical_json(rows))
    claims = experiment.conclude(rows).claims
    for claim in claims:
        assert claim.verdict in ("agrees", "disagrees", "inconclusive")
        assert math.isfinite(claim.predicted), claim.name
        if math.isnan(claim.measured):  # too few to measure on, which the note says
            assert claim.verdict == "inconclusive"
            assert "too few" in claim.note
            continue
        assert math.isfinite(claim.measured), claim.name
        assert claim.tolerance >= 0.0
        assert claim.interval[0] <= claim.interval[1]
        # Bootstrap intervals of three seeds need not contain the mean; they must reach near it.
        width = claim.interval[1] - claim.interval[0]
        assert claim.interval[0] - width <= claim.measured <= claim.interval[1] + width
        assert claim.name
        assert claim.source
    assert len({c.name for c in claims}) == len(claims)
    assert claims or record["tables"]


@pytest.mark.parametrize("name", SMOKE)
def test_conclude_is_pure(name, smoke):
    experiment, record, rows = smoke(name)
    before = copy.deepcopy(rows)
    state = legacy_state()
    again = experiment.conclude(rows)  # the record holds what the run concluded of them
    assert canonical_json(rows) == canonical_json(before), "conclude changed the rows"
    # A record holds null for the ends of unknown intervals: strict JSON has no infinity.
    assert canonical_json(strict_json(list(again.claims))) == canonical_json(record["claims"])
    assert canonical_json(strict_json(again.tables)) == canonical_json(record["tables"])
    np.testing.assert_array_equal(legacy_state(), state)


def some_cells(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One cell of each kind: the smallest, of the last seed, for every word in it."""
    found: dict[Any, Any] = {}
    for cell in every:
        words = tuple(sorted((k, v) for k, v in cell.items() if isinstance(v, str)))
        sizes = [v for k, v in cell.items() if k != "seed" and isinstance(v, (int, float))]
        old = found.get(words)
        place = sum(sizes), -cell.get("seed", 0)
        if old is None or place < old[0]:
            found[words] = place, cell
    return [cell for _, cell in found.values()]


#: Experiments of which one unit is measured again, for they train networks or read their data for each
#: unit; and as many of every other experiment.
DEAR = (
    "real-vectors",
    "real-contexts",
    "real-rna",
    "nn-tuning",
    "nn-data-scaling",
    "nn-model-scaling",
    "effective-dof",
)
DEAR += ("in-context", "architectures")
AT_MOST = 2


def spying(experiment):
    """An object that is the experiment, and the set of the attributes that were read of it.

    The files of an analysis are not read once more for it.
    """
    seen: set[str] = set()

    class Spy(type(experiment)):
        def __getattribute__(self, attribute):
            seen.add(attribute)
            return super().__getattribute__(attribute)

        if isinstance(experiment, DataAnalysis):

            def data(self, name):
                return measurement(experiment, name).sample

    values = {f.name: getattr(experiment, f.name) for f in dataclasses.fields(experiment)}
    return Spy(**values), seen


@pytest.mark.parametrize("name", SMOKE)
def test_measure_depends_on_config_and_cell_alone(name, tmp_path_factory):
    """Units again, without those that the run measured before them, and blind to what is judged."""
    experiment, units = smoke_units(shared_root(tmp_path_factory), name)
    every = cells(experiment)
    if not every:
        assert experiment.measure({}) == []
        return
    chosen = [every[-1]] if name in DEAR else some_cells(every)[:AT_MOST]
    for cell in chosen:
        legacy, python = legacy_state(), random.getstate()
        spy, seen = spying(experiment)
        asked = copy.deepcopy(cell)
        seen.clear()
        with threadpool_limits(1):  # as runs do: matrix products depend on it in the last digits
            again = spy.measure(cell)
        assert not seen & {"__dict__", "cells", "conclude", *fields.judged(type(experiment))}
        assert cell == asked, "measure changed its cell"
        assert again
        assert all(isinstance(row, dict) for row in again)
        assert canonical_json(again) == canonical_json(units[every.index(cell)])
        np.testing.assert_array_equal(legacy_state(), legacy)
        assert random.getstate() == python


# --- negative controls: wrong data must disagree ---------------------------------------------------


def law_rows(name, experiment, change=lambda n: 1.0):
    """Rows of a scaling law as theory has it, 2% scatter, losses times change(n)."""
    curve = {"model-scaling": theory.model_scaling_loss, "data-scaling": theory.data_scaling_loss}
    n = np.geomspace(1.0, experiment.largest, experiment.n_sizes)
    exact = curve[name](n, experiment.rank_exponent, experiment.cluster_exponent)
    rng = np.random.default_rng(1)
    rows = []
    for seed in range(experiment.n_seeds):
        loss = exact * change(n) * np.exp(0.02 * rng.standard_normal(n.size))
        for index, size in enumerate(n):
            row = {"seed": seed, "index": index, "n": float(size), "n_sites": 10**6}
            row |= dict.fromkeys(("nearest", "adjusted", "posterior"), float(loss[index]))
            row["finite_ensemble"] = float(exact[index])
            if name == "model-scaling":
                row |= {"spent": 1.2, "exact_budget": float(loss[index])}
            rows.append(row)
    return rows


LAWS = ("model-scaling", "data-scaling")


@pytest.mark.parametrize("name", LAWS)
def test_scaling_law_agrees_with_itself(name):
    experiment = experiment_class(name)(n_seeds=6, n_sizes=30)
    assert set(verdicts(experiment, law_rows(name, experiment))) == {"agrees"}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_scaled_losses_disagree(name, factor):
    """A wrong constant: the curves disagree, the exponents do not mind."""
    experiment = experiment_class(name)(n_seeds=6, n_sizes=30)
    found = experiment.conclude(law_rows(name, experiment, lambda n: factor))
    for claim in found.claims:
        assert claim.verdict == ("agrees" if "exponent" in claim.name else "disagrees")


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("extra", [-0.06, 0.06])
def test_wrong_exponent_disagrees(name, extra):
    experiment = experiment_class(name)(n_seeds=6, n_sizes=30)
    found = experiment.conclude(law_rows(name, experiment, lambda n: (n / 1000.0) ** extra))
    exponents = [c for c in found.claims if "exponent" in c.name]
    assert len(exponents) == 2
    assert {c.verdict for c in exponents} == {"disagrees"}


@pytest.mark.parametrize("name", LAWS)
def test_measured_losses_times_two_disagree(name, smoke):
    experiment, _, rows = smoke(name)
    doubled = [
        row | {k: 2.0 * row[k] for k in ("adjusted", "exact_budget") if k in row} for row in rows
    ]
    found = experiment.conclude(doubled)
    assert claim_with(found, "theory summed on the clusters drawn").verdict == "disagrees"
    before = experiment.conclude(rows)
    assert claim_with(before, "theory summed on the clusters drawn").verdict == "agrees"


def cluster_rows(rows, change=lambda n: 1.0, gain=None):
    """Measured bins of one cluster replaced by the exact curve, 1% scatter, times change(n)."""
    gain = single_cluster.posterior_constant() if gain is None else gain
    rng = np.random.default_rng(2)
    out = []
    for row in copy.deepcopy(rows):
        if row["kind"] == "bin" and row["exact_count"]:
            loss = row["exact_predicted"] * change(row["n"]) * np.exp(0.01 * rng.standard_normal())
            row["exact_measured"] = float(loss * (gain if row["learner"] == "posterior" else 1.0))
        out.append(row)
    return out


CURVE, EXPONENT, GAIN = "over the exact curve", "1-NN exponent", "exact posterior loss"


def test_single_cluster_verdicts(smoke):
    experiment, _, rows = smoke("single-cluster")

    def found(**changes):
        conclusion = experiment.conclude(cluster_rows(rows, **changes))
        return [claim_with(conclusion, name).verdict for name in (CURVE, EXPONENT, GAIN)]

    assert found() == ["agrees"] * 3
    assert found(change=lambda n: 1.1) == ["disagrees", "agrees", "agrees"]
    assert found(change=lambda n: 0.9) == ["disagrees", "agrees", "agrees"]
    assert found(change=lambda n: n**-0.06)[:2] == ["disagrees"] * 2
    assert found(change=lambda n: n**0.06)[:2] == ["disagrees"] * 2
    assert found(gain=1.0) == ["agrees", "agrees", "disagrees"]


def test_single_cluster_scale_factors(smoke):
    experiment, _, rows = smoke("single-cluster")
    wrong = copy.deepcopy(rows)
    for row in wrong:
        if row["kind"] == "factors":
            row["factor"] = [3.0 * f for f in row["factor"]]
    before, found = (
        {c.name: c.verdict for c in experiment.conclude(r).claims if "scale factor" in c.name}
        for r in (rows, wrong)
    )
    assert len(before) == 3
    assert "disagrees" not in before.values()
    # The size-weighted mean scatters so much from seed to seed that three seeds refute nothing.
    assert [found[name] for name in before if "weighted" not in name] == ["disagrees"] * 2


@pytest.mark.filterwarnings("ignore")  # powerlaw on data that are no power law
@pytest.mark.parametrize("shift", [0.85, 1.15])
def test_cluster_sizes_at_a_shifted_p_disagree(monkeypatch, shift, smoke):
    experiment, _, rows = smoke("cluster-sizes")
    sizes = "size distribution at p = 1 p_c"
    assert claim_with(experiment.conclude(rows), sizes).verdict == "agrees"
    right = type(experiment)._lattice
    with monkeypatch.context() as patch:
        patch.setattr(type(experiment), "_lattice", lambda self, mean: right(self, mean * shift))
        grown = [
            row
            for cell in experiment.cells()
            if cell["offspring"] == 1.0
            for row in experiment.measure(cell)
        ]
    others = [row for row in rows if row["offspring"] != 1.0]
    found = experiment.conclude(others + grown)
    assert claim_with(found, sizes).verdict == "disagrees"
    if shift > 1.0:
        assert claim_with(found, "sites at p = 1 p_c").verdict == "disagrees"
    assert claim_with(found, "size distribution at p = 0.9 p_c").verdict == "agrees"


def test_dof_scan_notices_a_bad_prediction(smoke):
    experiment, _, rows = smoke("dof-scan")
    share = "share of random allocations"
    before = experiment.conclude(rows)
    assert claim_with(before, share).verdict != "disagrees"
    bad = [row | {"loss": 2.0 * row["loss"]} if row["kind"] == "paper" else row for row in rows]
    assert claim_with(experiment.conclude(bad), share).verdict == "disagrees"
    bad = [row | {"loss": 1.4 * row["loss"]} for row in rows]
    surface = "loss over the theory summed"
    assert claim_with(before, surface).verdict == "agrees"
    assert claim_with(experiment.conclude(bad), surface).verdict == "disagrees"
    for name in ("b of the valley", "log k_br of the valley"):
        assert claim_with(before, name).verdict != "disagrees"
    elsewhere = [row | {"loss": 0.1 * math.exp(abs(row["shape"] - 2.0))} for row in rows]
    found = experiment.conclude(elsewhere)
    assert claim_with(found, "b of the valley").verdict == "disagrees"


def test_wrong_constants_of_the_literature_disagree():
    widths = experiment_class("parameters-vs-dof")
    found = widths(width_exponent=0.5, prefactor=0.6)
    assert set(verdicts(found, [])) == {"disagrees"}
    by_dimension = experiment_class("exponents-by-dimension")
    assert set(verdicts(by_dimension(), [])) == {"agrees"}


def test_theory_curves_disagree_only_where_a_logarithm_delays():
    curves = experiment_class("theory-curves")()
    found = curves.conclude([]).claims
    assert [bool(c.note) for c in found] == [c.verdict == "disagrees" for c in found]
    assert sum(bool(c.note) for c in found) == 2
    early = experiment_class("theory-curves")(limit_from=10.0)
    assert verdicts(early, []).count("disagrees") > 2
