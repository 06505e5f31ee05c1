"""The likeliest mistakes in Python end in a sentence that says the remedy."""

import sys
import types

import numpy as np
import pytest

import percolaw as pl
from percolaw import checks
from percolaw.errors import MissingExtraError, PercolawError, ResourceError
from percolaw.experiments.registry import experiment_class

# --- the likeliest mistakes in Python ------------------------------------------------------------


def tree():
    return pl.conditioned_clusters(50)


MISTAKES = [
    (lambda: pl.BetheLattice(200, 1.5), ValueError, r"bond_probability .*\[0, 1\]; got 1\.5"),
    (lambda: pl.BetheLattice(200, -0.1), ValueError, r"bond_probability .*\[0, 1\]; got -0\.1"),
    (lambda: pl.BetheLattice(200, "a"), TypeError, r"bond_probability .*number; got 'a' \(str\)"),
    (
        lambda: pl.BetheLattice(200, np.nan),
        ValueError,
        "bond_probability must be a finite number.*nan",
    ),
    (lambda: pl.BetheLattice(2), ValueError, r"coordination_number .*>= 3.*got 2\. z = 2 is"),
    (lambda: pl.BetheLattice(3.5), ValueError, r"coordination_number .*integer >= 3.*got 3\.5"),
    (
        lambda: pl.BetheLattice(200, 0.1, mean_offspring=1.0),
        ValueError,
        "give bond_probability or mean_offspring, not both",
    ),
    (lambda: pl.bethe_threshold(1), ValueError, "coordination_number .*got 1"),
    (lambda: pl.critical_exponents(1), ValueError, r"dimension must be in \[2, inf\]; got 1"),
    (lambda: pl.conditioned_clusters(0), ValueError, "sizes must be at least 1; got 0"),
    (lambda: pl.conditioned_clusters([5, -3]), ValueError, "sizes must be at least 1; got -3"),
    (lambda: pl.conditioned_clusters(2.5), TypeError, "sizes must be integers.*float64"),
    (lambda: pl.conditioned_clusters([]), ValueError, r"sizes must be .*non-empty.*\(0,\)"),
    (lambda: pl.conditioned_clusters(9, 2), ValueError, "coordination_number .*got 2"),
    (lambda: pl.conditioned_clusters(9, rng=-1), ValueError, "seed must lie in .*got -1"),
    (lambda: pl.conditioned_clusters(9, rng="x"), TypeError, "rng must be an integer.*got 'x'"),
    (
        lambda: pl.grow_clusters(pl.BetheLattice(200), 0),
        ValueError,
        r"n_clusters must be in \[1, inf\]; got 0",
    ),
    (
        lambda: pl.grow_clusters(pl.BetheLattice(200), 5, 100, 10),
        ValueError,
        r"max_size must be in \[100, 2147483647\]; got 10",
    ),
    (
        lambda: pl.sample_clusters("sites", 5),
        ValueError,
        "unknown ensemble 'sites'. Did you mean 'site'. There are site, cluster, yule",
    ),
    (lambda: pl.yule_process(10, 2.0), ValueError, r"new_cluster_probability .*\[0, 1\]; got 2"),
    (lambda: pl.TreeWalk(steps="gausian"), ValueError, "unknown steps.*Did you mean 'gaussian'"),
    (
        lambda: pl.TreeNearest().fit(tree(), [1, 2], [1.0]),
        ValueError,
        "values must have 2 rows; got 1",
    ),
    (
        lambda: pl.TreeNearest().fit(tree(), [1, 2], [1.0, np.inf]),
        ValueError,
        r"values has 1 non-finite value\(s\) of 2 \(NaN or inf\)\. Remove or impute",
    ),
    (
        lambda: pl.TreeNearest().fit(tree(), [1, 99], [1.0, 2.0]),
        ValueError,
        r"sites must lie in \[0, 49\]; got ids from 1 to 99",
    ),
    (
        lambda: pl.TreePosterior().fit(tree(), [1.5], [1.0]),
        TypeError,
        "sites must be integer site ids; got dtype float64",
    ),
    (
        lambda: pl.TreePosterior().fit(tree(), [1, 2], [[1.0, 2.0]]),
        ValueError,
        r"values must have 1 dimension\(s\); got shape \(1, 2\)",
    ),
    (
        lambda: pl.TreePosterior().fit(tree(), [1], [1.0]).predict([-1]),
        ValueError,
        r"query must lie in \[0, 49\]; got ids from -1 to -1",
    ),
    (
        lambda: tree().distance_between([0, 1], [1, 2, 3]),
        ValueError,
        r"one shape; got \(2,\) and \(3,\)",
    ),
    (
        lambda: pl.fit_power_law([1, 10, 100], [1, np.nan, 1]),
        ValueError,
        r"loss has 1 non-finite value\(s\) of 3",
    ),
    (
        lambda: pl.fit_power_law([1, 10, 100], [1, -1, 1]),
        ValueError,
        r"loss must be positive for logarithms; 1 value\(s\) are not",
    ),
    (
        lambda: pl.fit_power_law([1, 10, 100], [1, 0.5]),
        ValueError,
        r"loss must have shape .* n_sizes = 3; got \(2,\)",
    ),
    (
        lambda: pl.fit_power_law([1, 2, 3], [1, 0.5, 0.3]),
        ValueError,
        "at least 3 sizes over at least a decade.*Widen the window or measure more",
    ),
    (lambda: pl.geometric(100, 10), ValueError, r"stop must be .*\[100, .*\]; got 10"),
    (lambda: pl.nearest_neighbor_loss(-1), ValueError, "mean_observed must be >= 0"),
    (lambda: pl.model_scaling_loss(9, -1, 0.5), ValueError, "rank_exponent .*got -1"),
    (lambda: experiment_class("dof-scn"), ValueError, "experiment.*Did you mean 'dof-scan'"),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES)
def test_mistake(mistake, kind, message):
    with pytest.raises(kind, match=message) as caught:
        mistake()
    assert type(caught.value) in (ValueError, TypeError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mistake", "kind", "message"),
    [
        pytest.param(lambda: pl.grow_clusters(200, 10), TypeError, "lattice"),
        pytest.param(lambda: pl.run("single-cluster"), TypeError, "experiment"),
        pytest.param(lambda: pl.sample_clusters("site", 0), ValueError, "n_clusters"),
        pytest.param(
            lambda: pl.conditioned_clusters([3.0, np.nan]), (TypeError, ValueError), "nan|finite"
        ),
    ],
)
def test_mistake_with_an_unhelpful_answer(mistake, kind, message):
    with pytest.raises(kind, match=message):
        mistake()


def test_what_does_not_fit_is_refused_with_bytes(monkeypatch):
    small = pl.conditioned_clusters(200_000)
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 20)
    for ask in (
        lambda: pl.conditioned_clusters(10**6),
        lambda: pl.conditioned_clusters([10**5] * 10),
        lambda: pl.grow_clusters(pl.BetheLattice(200), 10**6, max_size=1000),
        lambda: pl.yule_process(10**6),
        lambda: pl.TreeWalk().sample(small),
    ):
        with pytest.raises(
            ResourceError, match=r"needs [\d.e+]+ [KMG]iB of memory and 1 MiB are available\. \w"
        ) as caught:
            ask()
        assert isinstance(caught.value, MemoryError)
        assert isinstance(caught.value, PercolawError)
    pl.conditioned_clusters(1000)  # what fits is done


def test_too_many_sizes_are_refused_with_bytes():
    with pytest.raises(ResourceError, match="TiB of memory"):
        pl.sample_sizes("site", 10**14)


def test_memory_is_counted_in_units():
    for n_bytes, text in ((10, "10 B"), (2048, "2 KiB"), (3 << 30, "3 GiB"), (5 << 40, "5 TiB")):
        assert checks.human_bytes(n_bytes) == text
    assert checks.available_memory() > 1 << 20
    checks.memory(1.0, "one byte", "")


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[report\]'") as caught:
        checks.extra("igraph", "report")
    assert isinstance(caught.value, ImportError)
    assert isinstance(checks.extra("json", "report"), types.ModuleType)
