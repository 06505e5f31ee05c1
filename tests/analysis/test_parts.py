"""Parts of an analysis: plain rows, the same in any order of parts, of elements and with any threads."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import percolaw.analysis.class_draws
from percolaw.analysis.class_draws import TRIES
from percolaw.analysis.parts import CHUNK, NULLS, SHARES, Measurement, Settings, plan
from percolaw.analysis.sample import as_sample
from percolaw.errors import MissingExtraError

FEW = Settings(k=4, other_k=(3,), n_draws=20, learners=("nearest neighbour",), n_repeats=3)
FIELDS = {"quantity", "x", "value", "low", "high"}


def points_sample(n=401, seed=0):
    x = np.random.default_rng(seed).random((n, 2))
    return as_sample(x, (np.floor(3 * x) @ [3, 1]).astype(int))


def strings_sample():
    words = ["".join("abcd"[(i // 4**j) % 4] for j in range(5)) for i in range(450)]
    return as_sample(words, np.arange(450) // 64, metric="hamming")


def graph_sample():
    site = np.arange(420)
    low, high = np.concatenate([site[:-1], site[:-20]]), np.concatenate([site[1:], site[20:]])
    matrix = sparse.csr_array((np.ones(low.size), (low, high)), shape=(420, 420))
    return as_sample(matrix, site // 84, metric="graph")


SAMPLES = {"points": points_sample, "strings": strings_sample, "graph": graph_sample}


def key(part):
    return json.dumps(part, sort_keys=True)


@pytest.fixture(scope="module", autouse=True)
def few_sweeps():
    """The null of maximum entropy stops at its fewest sweeps, equilibrated or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percolaw.analysis.class_draws, "TRIES", TRIES[:1])
        yield


@pytest.fixture(scope="module", params=SAMPLES)
def measured(request):
    sample = SAMPLES[request.param]()
    measurement = Measurement(sample, FEW, seed=3)
    parts = plan(sample, FEW)
    return sample, parts, {key(part): measurement.rows(part) for part in parts}


def test_rows_are_plain(measured):
    _, parts, rows = measured
    assert len(rows) == len(parts)  # no part twice
    for part in parts:
        assert rows[key(part)], part
        for row in rows[key(part)]:
            said = {"text"} if row["quantity"] in ("expectation", "no prediction") else set()
            assert set(row) == FIELDS | set(part) | said
            assert {name: row[name] for name in part} == part
            assert json.loads(json.dumps(row, allow_nan=False)) == row
            assert all(type(row[f]) in (int, float, type(None)) for f in FIELDS - {"quantity"})


def test_parts_do_not_depend_on_one_another(measured):
    sample, parts, rows = measured
    again = Measurement(sample, FEW, seed=3)
    for part in parts[::-3]:
        assert again.rows(part) == rows[key(part)]


def test_draws_are_numbered_once(measured):
    sample, parts, _ = measured
    for null in NULLS:
        draws = [p for p in parts if p.get("null") == null]
        assert sum(p["count"] for p in draws) == FEW.n_draws
    many = plan(sample, Settings(k=4, other_k=(3,), n_draws=50))
    first = [(p["first"], p["count"]) for p in many if p.get("null") == "permuted"]
    assert first == [(0, CHUNK), (CHUNK, CHUNK), (2 * CHUNK, 10)]


def test_what_is_planned_suits_the_sample(measured):
    sample, parts, rows = measured
    kinds = {p["part"] for p in parts}
    sizes = {p["n"] for p in parts if p["part"] == "clusters"}
    assert sizes == {int(sample.n * share) for share in SHARES}
    ks = {p["k"] for p in parts if "k" in p}
    if sample.metric == "euclidean":
        assert kinds == {
            "geometry",
            "geometry draws",
            "agreement",
            "clusters",
            "tail",
            "draws",
            "learning",
        }
        assert ks == {3, 4}
    else:
        learners = [p["learner"] for p in parts if p["part"] == "learning"]
        of_strings = sample.metric == "hamming"
        assert ("agreement" in kinds) == of_strings
        assert learners == ["nearest neighbour"] * of_strings
        assert ks == {4}
    quantities = {row["quantity"] for part in parts for row in rows[key(part)]}
    assert ("dimension" in quantities) == (sample.metric == "euclidean")
    assert {"largest component", "agreement", "clusters of size at least"} <= quantities


def test_another_seed_is_another_measurement(measured):
    sample, parts, rows = measured
    part = next(p for p in parts if p.get("null") == "permuted")
    assert Measurement(sample, FEW, seed=4).rows(part) != rows[key(part)]


def test_faiss_is_missed_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    sample = as_sample(np.random.default_rng(0).random((420, 2)))
    plan(sample, FEW)
    with pytest.raises(MissingExtraError, match="faiss"):
        plan(replace(sample, approximate=True), FEW)


def test_geometry_alone_without_a_function():
    x = np.random.default_rng(0).random((420, 2))
    assert {p["part"] for p in plan(as_sample(x), FEW)} == {"geometry", "geometry draws"}


def test_no_k_is_planned_twice():
    parts = plan(points_sample(), Settings(k=3, other_k=(3, 10, 10)))
    assert len({key(p) for p in parts}) == len(parts)


def test_the_smallest_part_is_larger_than_k():
    """Half of an eighth of 401 elements is 25: its neighbours must be there before anything starts."""
    sample = points_sample()
    with pytest.raises(ValueError, match="25, not more than k = 25"):
        plan(sample, Settings(k=4, other_k=(25,)))
    settings = Settings(k=24, other_k=(), n_draws=20, learners=())
    last = [p for p in plan(sample, settings) if p["part"] == "clusters"][-1]
    assert Measurement(sample, settings).rows(last)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 0}, "k must"),
        ({"other_k": (0,)}, "k must"),
        ({"n_draws": 19}, "n_draws"),
        ({"n_repeats": 2}, "n_repeats"),
        ({"nulls": ("random",)}, "null"),
        ({"learners": ("forest",)}, "learner"),
    ],
)
def test_settings_that_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changed)


THREADS = """
import json, numpy as np
from percolaw.analysis.parts import Measurement, Settings, plan
from percolaw.analysis.sample import as_sample
from percolaw.errors import MissingExtraError
x = np.random.default_rng(0).random((402, 3))
sample = as_sample(x, (x[:, 0] > 0.5).astype(int))
settings = Settings(k=4, other_k=(), n_draws=20, learners=("nearest neighbour", "kernel"), n_repeats=3)
one = Measurement(sample, settings)
kept = [p for p in plan(sample, settings) if p.get("null") != "maximum entropy"]
print(json.dumps([one.rows(p) for p in kept]))
"""


@pytest.mark.slow
def test_threads_change_nothing():
    said = []
    for n_threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", THREADS],
            env=os.environ | dict.fromkeys(names, n_threads),
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        said.append([row for rows in json.loads(done.stdout) for row in rows])
    assert len(said[0]) == len(said[1]) > 500
    for one, other in zip(*said, strict=True):
        for name in one:
            if isinstance(one[name], float):
                assert one[name] == pytest.approx(other[name], rel=1e-9, abs=1e-12), one
            else:
                assert one[name] == other[name]
