"""Configs of networks: what is refused before work, and what units are named by."""

import numpy as np
import pytest

pytest.importorskip("torch")

from network_cases import sources

from percolaw.experiments.base import (
    from_config,
)
from percolaw.experiments.fields import judged
from percolaw.experiments.networks.effective_dof import EffectiveDof
from percolaw.experiments.networks.layer_dimension import LayerDimension
from percolaw.experiments.networks.nn_data_scaling import NnDataScaling
from percolaw.experiments.networks.nn_model_scaling import NnModelScaling
from percolaw.experiments.networks.nn_tuning import NnTuning
from percolaw.neural.config import Training

KINDS = {cls.name: cls for cls in (NnDataScaling, NnModelScaling, NnTuning, EffectiveDof)}
KINDS[LayerDimension.name] = LayerDimension


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("nn-data-scaling", {"settings": ("cube",)}, "unknown points 'cube'; there are"),
        ("nn-data-scaling", {"settings": ("cube 2", "cube 3", "cube 2")}, "settings must be named"),
        ("nn-data-scaling", {"settings": ()}, "settings must be named once each, one at least"),
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
        ("nn-tuning", {"rates": (0.1, 0.1, 0.2)}, "rates must rise"),
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
        ("layer-dimension", {"architecture": "mpl"}, "unknown architecture 'mpl'.*mean 'mlp'"),
    ],
)
def test_bad_config_is_refused(name, fields, message):
    with pytest.raises(ValueError, match=message):
        from_config(KINDS[name], fields)


def test_points_of_unknown_dimension_are_refused(tmp_path):
    file = tmp_path / "points.npy"
    np.save(file, np.zeros((50, 3)))
    with pytest.raises(ValueError, match=r"the dimension of points\.npy is not known"):
        NnDataScaling(settings=sources(str(file)))


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
    ("name", "fields"), [(name, fields) for name in LATE for fields in LATE[name]]
)
def test_bad_config_is_refused_before_work(name, fields):
    (field,) = fields
    with pytest.raises(ValueError, match=field):
        from_config(KINDS[name], fields)


def test_settings_run_apart_share_what_is_measured():
    """Fields that measure never reads are listed as such: units are named without them."""
    for cls in KINDS.values():
        hidden = judged(cls)
        assert "n_seeds" in hidden
        assert "training" not in hidden
