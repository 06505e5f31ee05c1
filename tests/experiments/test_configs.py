"""Configs of every experiment: what is refused before work, and what units are named by."""

import contextlib
import dataclasses

import numpy as np
import pytest

from percolaw.cli.measuring import configure
from percolaw.datasets.sources import parse_source
from percolaw.experiments import fields
from percolaw.experiments.base import from_config
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.neural.config import Training


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cluster-sizes", {"offspring": (0.9, 1.1)}, "offspring must contain 1.0"),
        ("cluster-sizes", {"coordination_number": 2}, "coordination_number .*>= 3.*got 2"),
        ("cluster-sizes", {"n_clusters": 5}, r"n_clusters must be in \[100"),
        ("single-cluster", {"n_seeds": 0}, r"n_seeds must be in \[1"),
        ("model-scaling", {"n_sizes": 3}, r"n_sizes must be in \[8"),
        ("data-scaling", {"largest": float("nan")}, "largest must be finite"),
        ("dof-scan", {"n_settings": 5}, r"n_settings must be in \[20"),
        ("cluster-drawings", {"sizes": (100, 1)}, r"sizes must be in \[2"),
        ("exponents-by-dimension", {"dimensions": (1,)}, r"dimensions must be in \[2"),
        ("dimension", {"sizes": (100,)}, "sizes must be"),
        ("dimension", {"shapes": ("cub 2",)}, "unknown shapes 'cub 2'.*Did you mean 'cube 2'"),
        ("dimension", {"steps": ("gausian",)}, "Did you mean 'gaussian'"),
        ("dimension", {"n_seeds": 0}, "n_seeds"),
        ("dimension", {"coordination_number": 2}, "coordination_number"),
        ("regimes", {"ratios": (0.8, 0.9, 1.1)}, r"ratios must hold 1 \(p_c\)"),
        ("regimes", {"ratios": (0.9, 1.0, 1.0)}, "ratios has 1.0 twice"),
        ("regimes", {"ratios": (0.01, 1.0)}, "ratios must be finite and in"),
        (
            "regimes",
            {"dimensions": (1,)},
            "a chain has no threshold below p = 1; take 2 to 8, or 0",
        ),
        (
            "regimes",
            {"dimensions": (9,)},
            r"dimensions \(0 is the Bethe lattice\) must be in \[0, 8\]; got 9",
        ),
        ("regimes", {"dimensions": (2, 3, 2)}, "dimensions has 2 twice"),
        ("regimes", {"n_seeds": 0}, r"n_seeds must be in \[1"),
        ("regimes", {"per_decade": 1}, r"per_decade must be in \[2, 20\]"),
        ("dimension-table", {"dimensions": ()}, "dimensions must hold 2 to 8"),
        ("dimension-table", {"dimensions": (2, 0)}, "dimensions must hold 2 to 8"),
        ("dimension-table", {"dimensions": (1, 2)}, "a chain has no threshold below p = 1"),
        ("dimension-table", {"dimensions": (9,)}, r"must be in \[0, 8\]; got 9"),
        ("dimension-table", {"dimensions": (2, 2)}, "dimensions has 2 twice"),
        (
            "dimension-table",
            {"sweep_sites": (10_000, 10_050)},
            r"two lengths from 3 on in 2 dimensions.*\[100, 100\]",
        ),
        ("dimension-table", {"sweep_sites": (100_000, 10_000)}, "two lengths from 3 on"),
        ("dimension-table", {"sweep_sites": (4, 10_000)}, "two lengths from 3 on"),
        ("dimension-table", {"sweep_sites": (10_000,)}, r"two lengths.*which gives \[100\]"),
        (
            "dimension-table",
            {"sweep_sites": (100, 1000, 10_000)},
            "two lengths.*Raise them, or drop the dimension",
        ),
        ("dimension-table", {"sweep_sites": (400, 3000), "dimensions": (7,)}, "in 7 dimensions"),
        ("dimension-table", {"below": (0.08, 0.04)}, "two rising numbers between 0 and 1"),
        ("dimension-table", {"below": (0.04, 1.0)}, "two rising numbers between 0 and 1"),
        ("dimension-table", {"below": (0.04,)}, "below|unpack"),
        (
            "dimension-table",
            {"n_learned": 9, "n_balls": 8},
            r"n_learned \(at most n_balls\) must be in \[1, 8\]",
        ),
        ("dimension-table", {"max_size": 9999}, r"max_size must be in \[10000"),
        ("dimension-table", {"n_sweeps": 1}, r"n_sweeps must be in \[2"),
        ("mean-field-check", {"dimensions": (1,)}, r"dimensions must be in \[2, 8\]"),
        ("mean-field-check", {"size_window": (100.0,)}, "size_window must be two sizes"),
        ("mean-field-check", {"size_window": (100.0, 10.0)}, "size_window must be two sizes"),
        ("mean-field-check", {"size_window": (0.0, 10.0)}, "size_window must be two sizes"),
        ("mean-field-check", {"budget": 1}, r"budget must be in \[10000"),
        ("mean-field-check", {"n_balls": 0}, r"n_balls must be in \[1"),
        ("sampling", {"n_pruned": 9}, r"n_pruned must be in \[10"),
        ("sampling", {"n_clusters": 100}, r"n_clusters \(n_pruned at least\) must be in \[3000"),
        ("sampling", {"tree_size": 50_000}, r"tree_size \(10 n_random at least\)"),
        ("sampling", {"n_random": 500}, r"n_random must be in \[1000"),
        ("sampling", {"n_field": 500}, r"n_field must be in \[1000, 20000\]"),
        ("sampling", {"n_design": 50}, r"n_design must be in \[100"),
        ("sampling", {"largest": 100.0}, r"largest must be finite and in"),
        ("sampling", {"decades": 0.5}, "decades must be finite and in"),
        ("sampling", {"coordination_number": 2}, "coordination_number"),
        ("learnability", {"ratios": (0.9, 1.0, 1.1, 1.2)}, "at least 5 rising"),
        ("learnability", {"ratios": (0.9, 1.0, 1.1, 1.1, 1.2)}, "ratios has 1.1 twice"),
        ("learnability", {"ratios": (0.0, 1.0, 1.1, 1.2, 1.3)}, "above 0"),
        ("learnability", {"budgets": ()}, "budgets must rise"),
        ("learnability", {"budgets": (100, 100)}, "budgets has 100 twice"),
        ("learnability", {"budgets": (0, 100)}, "from 1 or more"),
        ("learnability", {"dimensions": (1,)}, "a chain has no threshold"),
        ("nn-data-scaling", {"settings": ("cube",)}, "unknown points 'cube'; there are"),
        (
            "nn-data-scaling",
            {"settings": ("cube 2", "cube 3", "cube 2")},
            "settings has cube 2 twice",
        ),
        ("nn-data-scaling", {"settings": ()}, "settings must name one at least"),
        ("nn-data-scaling", {"teachers": ("ReLU",)}, "unknown teacher 'ReLU'; there are"),
        ("nn-data-scaling", {"teachers_elsewhere": ("Matérn",)}, "unknown teacher 'Matérn'"),
        ("nn-data-scaling", {"smallest": 4}, r"smallest must be in \[5"),
        ("nn-data-scaling", {"largest": 299}, r"largest must be in \[300"),
        ("nn-data-scaling", {"n_sizes": 2}, r"n_sizes must be in \[3"),
        ("nn-data-scaling", {"n_seeds": 0}, r"n_seeds must be in \[1"),
        ("nn-data-scaling", {"n_validation": 0}, r"n_validation must be in \[1"),
        ("nn-data-scaling", {"n_test": 0}, r"n_test must be in \[1"),
        ("nn-data-scaling", {"architecture": "cnn"}, "unknown architecture 'cnn'"),
        ("nn-data-scaling", {"width": 0}, "width"),
        ("nn-data-scaling", {"depth": -1}, "depth"),
        ("nn-model-scaling", {"widths": (8, 4, 16)}, "widths must rise, three at least"),
        ("nn-model-scaling", {"widths": (4, 4, 8)}, "widths must rise"),
        ("nn-model-scaling", {"widths": (4, 8)}, "widths must rise, three at least"),
        ("nn-model-scaling", {"widths": (0, 4, 8)}, "width"),
        ("nn-model-scaling", {"settings": ("torus",)}, "unknown points"),
        ("nn-model-scaling", {"teachers": ("torus",)}, "unknown teacher"),
        ("nn-tuning", {"rates": (0.1, 0.01, 0.3)}, "rates must rise, three at least"),
        ("nn-tuning", {"rates": (0.1, 0.2)}, "rates must rise, three at least"),
        ("nn-tuning", {"rates": (0.1, 0.1, 0.2)}, "rates has 0.1 twice"),
        ("nn-tuning", {"n_train": 4}, r"n_train must be in \[5"),
        ("nn-tuning", {"sizes": (30, 4)}, r"sizes must be in \[5"),
        ("nn-tuning", {"widths": (0,)}, "width"),
        ("nn-tuning", {"points": "torus"}, "unknown points"),
        ("nn-tuning", {"teacher": "torus"}, "unknown teacher"),
        ("effective-dof", {"training": Training()}, "training.keep must be last"),
        ("effective-dof", {"sizes": (4, 30)}, r"sizes must be in \[5, 5000"),
        ("effective-dof", {"n_width": 5001}, r"n_width must be in \[5, 5000"),
        ("effective-dof", {"decays": (-1.0,)}, "decays must be finite and in"),
        ("effective-dof", {"dropouts": (1.0,)}, "dropouts must be finite and in"),
        ("effective-dof", {"n_probes": 0}, r"n_probes must be in \[1"),
        ("effective-dof", {"amplitude": 0.0}, "amplitude must be"),
        ("effective-dof", {"settings": ("torus",)}, "unknown points"),
        ("layer-dimension", {"n_points": 399}, r"n_points must be in \[400"),
        ("layer-dimension", {"n_train": 9}, r"n_train must be in \[10"),
        ("layer-dimension", {"settings": ("torus",)}, "unknown points"),
        ("layer-dimension", {"teachers": ("torus",)}, "unknown teacher"),
        ("dictionary-scaling", {"budgets": (2,)}, "budgets must rise, two at least"),
        ("quanta-data", {"kernel_sizes": (8, 4, 16)}, "kernel_sizes must rise, three at least"),
        ("quanta-percolation", {"smoothness": (1.0, 0.5)}, "smoothness must rise"),
        ("quanta-percolation", {"largest": 60_000}, "a tenth of n_sites"),
        ("in-context", {"length": 129}, "129 pairs is longer than a cluster of 128 points"),
        ("in-context", {"length": 1}, r"length must be in \[2"),
        ("in-context", {"n_points": 1}, r"n_points must be in \[2"),
        ("in-context", {"n_clusters": (4, 16)}, "n_clusters must begin with 1"),
        ("in-context", {"n_clusters": (1, 16, 4)}, "n_clusters must rise"),
        ("in-context", {"n_functions": (8, 8)}, "n_functions must rise"),
        ("in-context", {"laws": ("linear", "linear")}, "laws has linear twice"),
        ("in-context", {"laws": ("tree walk",)}, "those beside .tree walk., which is always there"),
        ("in-context", {"laws": ("ReLU 2 x 8",)}, "covariance of 'ReLU 2 x 8' is not known"),
        ("in-context", {"laws": ("torus",)}, "unknown teacher"),
        (
            "in-context",
            {"points": "finite cluster d = 8, n_sites = 90"},
            r"128 points are to be some of the cluster's 90 site",
        ),
        ("in-context", {"width": 33}, "multiple of n_heads"),
        ("layer-dimension", {"architecture": "mpl"}, "unknown architecture 'mpl'.*mean 'mlp'"),
    ],
)
def test_bad_config_is_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        from_config(experiment_class(name), given)


#: Configs that would fail in every unit, or only after all were measured, or do everything twice.
LATE = {
    "nn-data-scaling": [
        {"teachers": ("linear", "linear")},
        {"teachers_elsewhere": ("linear",) * 2},
    ],
    "nn-model-scaling": [
        {"settings": ("cube 2", "cube 2")},
        {"n_validation": 0},
        {"n_test": 0},
        {"teachers": ()},
    ],
    "nn-tuning": [
        {"n_validation": 0},
        {"rates": (0.0, 0.1, 0.2)},
        {"rates": (-0.1, 0.1, 0.2)},
        {"widths": (8, 8)},
    ],
    "effective-dof": [
        {"settings": ("cube 2", "cube 2")},
        {"n_test": 0},
        {"sizes": ()},
        {"decays": (1.0, 1.0)},
    ],
    "layer-dimension": [{"settings": ("cube 2", "cube 2")}, {"n_validation": 0}],
}


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name in LATE for given in LATE[name]]
)
def test_bad_config_is_refused_before_work(name, given):
    (field,) = given
    with pytest.raises(ValueError, match=field):
        from_config(experiment_class(name), given)


def test_points_of_unknown_dimension_are_refused(tmp_path):
    file = tmp_path / "points.npy"
    np.save(file, np.zeros((50, 3)))
    with pytest.raises(ValueError, match=r"the dimension of points\.npy is not known"):
        experiment_class("nn-data-scaling")(settings=(parse_source(str(file)),))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_judged_is_not_measured(name):
    """Fields of cells and verdicts alone: the others are part of what units are named by."""
    cls = experiment_class(name)
    judged = fields.judged(cls)
    assert ("n_seeds" in judged) == hasattr(cls(), "n_seeds")
    assert (
        not {"boxes", "training", "max_size", "budget", "field_size", "per_decade", "below"}
        & judged
    )
    if hasattr(cls(), "boxes"):
        words = ["--boxes.n-sites", "5000", "--n-seeds", "3"]
        assert configure(cls, "smoke", words).boxes.n_sites == 5000


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_tuples_without_entries_are_taken_or_refused_with_a_reason(name):
    cls = experiment_class(name)
    if not cls.presets:  # of a file of one's own
        return
    default = cls()
    for field in dataclasses.fields(cls):
        if not isinstance(getattr(default, field.name), tuple):
            continue
        with contextlib.suppress(ValueError):
            dataclasses.replace(default, **{field.name: ()})
