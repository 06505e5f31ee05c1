"""Every experiment by its name; classes are imported when first asked for."""

from __future__ import annotations

import importlib
from typing import Any

from percolaw import checks

#: Every experiment: its name on the command line and where its class is.
EXPERIMENTS = {
    "cluster-sizes": "brill2024.cluster_sizes:ClusterSizes",
    "single-cluster": "brill2024.single_cluster:SingleCluster",
    "dof-scan": "brill2024.dof_scan:DofScan",
    "model-scaling": "brill2024.model_scaling:ModelScaling",
    "data-scaling": "brill2024.data_scaling:DataScaling",
    "theory-curves": "brill2024.theory_curves:TheoryCurves",
    "exponents-by-dimension": "brill2024.exponents_by_dimension:ExponentsByDimension",
    "parameters-vs-dof": "brill2024.parameters_vs_dof:ParametersVsDof",
    "cluster-drawings": "brill2024.cluster_drawings:ClusterDrawings",
    "embedded-1nn": "embedding.embedded_1nn:Embedded1nn",
    "embedding-faithfulness": "embedding.embedding_faithfulness:EmbeddingFaithfulness",
    "cluster-points": "embedding.cluster_points:ClusterPoints",
    "teachers": "kernels.teachers:Teachers",
    "teacher-gallery": "kernels.teacher_gallery:TeacherGallery",
    "dimension": "embedding.dimension:Dimension",
    "kernel-scaling": "kernels.kernel_scaling:KernelScaling",
    "kernel-tuning": "kernels.kernel_tuning:KernelTuning",
    "nn-tuning": "networks.nn_tuning:NnTuning",
    "nn-data-scaling": "networks.nn_data_scaling:NnDataScaling",
    "nn-model-scaling": "networks.nn_model_scaling:NnModelScaling",
    "effective-dof": "networks.effective_dof:EffectiveDof",
    "layer-dimension": "networks.layer_dimension:LayerDimension",
    "regimes": "lattices.regimes:Regimes",
    "dimension-table": "lattices.dimension_table:DimensionTable",
    "mean-field-check": "lattices.mean_field_check:MeanFieldCheck",
    "sampling": "lattices.sampling:Sampling",
    "learnability": "lattices.learnability:Learnability",
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
