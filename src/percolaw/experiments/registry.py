"""Every experiment by its name; classes are imported when first asked for."""

from __future__ import annotations

import importlib
from typing import Any

from percolaw import checks

#: Every experiment: its name on the command line and where its class is.
EXPERIMENTS = {
    "cluster-sizes": "cluster_sizes:ClusterSizes",
    "single-cluster": "single_cluster:SingleCluster",
    "dof-scan": "dof_scan:DofScan",
    "model-scaling": "model_scaling:ModelScaling",
    "data-scaling": "data_scaling:DataScaling",
    "theory-curves": "theory_curves:TheoryCurves",
    "exponents-by-dimension": "exponents_by_dimension:ExponentsByDimension",
    "parameters-vs-dof": "parameters_vs_dof:ParametersVsDof",
    "cluster-drawings": "cluster_drawings:ClusterDrawings",
    "embedded-1nn": "embedded_1nn:Embedded1nn",
    "embedding-faithfulness": "embedding_faithfulness:EmbeddingFaithfulness",
    "cluster-points": "cluster_points:ClusterPoints",
    "teachers": "teachers:Teachers",
    "teacher-gallery": "teacher_gallery:TeacherGallery",
    "dimension": "dimension:Dimension",
    "kernel-scaling": "kernel_scaling:KernelScaling",
    "kernel-tuning": "kernel_tuning:KernelTuning",
    "nn-tuning": "nn_tuning:NnTuning",
    "nn-data-scaling": "nn_data_scaling:NnDataScaling",
    "nn-model-scaling": "nn_model_scaling:NnModelScaling",
    "effective-dof": "effective_dof:EffectiveDof",
    "layer-dimension": "layer_dimension:LayerDimension",
    "regimes": "regimes:Regimes",
    "dimension-table": "dimension_table:DimensionTable",
    "mean-field-check": "mean_field_check:MeanFieldCheck",
    "sampling": "sampling:Sampling",
    "learnability": "learnability:Learnability",
}


def experiment_class(name: str) -> type[Any]:
    """Return an experiment's class by its name; raises ValueError naming the nearest one."""
    checks.choice("experiment", name, EXPERIMENTS)
    module, attribute = EXPERIMENTS[name].split(":")
    cls: type[Any] = getattr(importlib.import_module(f"percolaw.experiments.{module}"), attribute)
    return cls


def known_class(name: str) -> type[Any] | None:
    """Return the class of an experiment of this package by its name, or None."""
    return experiment_class(name) if name in EXPERIMENTS else None
