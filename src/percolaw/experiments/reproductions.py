"""What `percolaw reproduce` runs for each source, and the settings a source asks for."""

from __future__ import annotations

from typing import Any

from percolaw.datasets.sources import LatticeCluster
from percolaw.experiments.networks.sharma_kaplan import SHARMA_KAPLAN
from percolaw.targets.matern import MaternTeacher

#: What `percolaw reproduce` runs for each source, in order.
REPRODUCTIONS = {
    "brill2024": (
        "Neural Scaling Laws Rooted in the Data Distribution (arXiv:2412.07942)",
        (
            "cluster-sizes",
            "single-cluster",
            "dof-scan",
            "model-scaling",
            "data-scaling",
            "theory-curves",
            "exponents-by-dimension",
            "parameters-vs-dof",
            "cluster-drawings",
        ),
    ),
    "spar2025": (
        "Investigating Neural Scaling Laws Emerging from Deep Data Structure (2025)",
        (
            "embedded-1nn",
            "embedding-faithfulness",
            "cluster-points",
            "teachers",
            "teacher-gallery",
            "dimension",
            "kernel-scaling",
            "nn-tuning",
            "nn-data-scaling",
            "nn-model-scaling",
            "effective-dof",
            "layer-dimension",
        ),
    ),
    "regimes": (
        "Both regimes through the percolation transition, on real lattices and on the Bethe lattice",
        (
            "regimes",
            "dimension-table",
            "mean-field-check",
            "sampling",
            "learnability",
            "kernel-scaling",
            "nn-data-scaling",
        ),
    ),
    "sharma-kaplan": (
        "Scaling Laws from the Data Manifold Dimension (Sharma and Kaplan, JMLR 2022)",
        ("nn-model-scaling", "nn-data-scaling", "layer-dimension"),
    ),
    "nonergodic": (
        "Contexts: the nonergodic setting that arXiv:2412.07942 announces, learning in context",
        ("in-context",),
    ),
    "hierarchy": (
        "Hierarchical functions on percolation clusters, and probes of their latents (2026 generator)",
        ("hierarchical-1nn", "latent-probes", "dictionary-scaling"),
    ),
    "random-lattice": (
        "Representation Learning on a Random Lattice (arXiv:2504.20197)",
        ("features", "superposition", "absorption"),
    ),
    "quanta": (
        "The Quantization Model of Neural Scaling (arXiv:2303.13506): discrete skills, exactly",
        (
            "quanta-model",
            "quanta-data",
            "quanta-time",
            "quanta-composite",
            "quanta-percolation",
            "quanta-discovery",
        ),
    ),
    "real-data": (
        "Are real data percolation clusters? (the open check of arXiv:2412.07942)",
        ("real-digits", "real-vectors", "real-words", "real-contexts", "real-rna"),
    ),
}

#: Presets that stand for another one in a source's reproduction: these measured with one budget.
PRESETS: dict[str, dict[str, dict[str, str]]] = {
    source: {"nn-model-scaling": {"laptop": "fixed-budget"}}
    for source in ("spar2025", "sharma-kaplan")
}

#: Fields of experiments that a source sets itself, on top of any preset.
OVERRIDES: dict[str, dict[str, dict[str, Any]]] = {
    "regimes": {
        "kernel-scaling": {
            "cluster_dims": (),
            "cube_dims": (),
            "teacher_settings": (),
            "lattices": tuple(
                f"lattice d = {d}, {p}" for d in (2, 3, 4) for p in ("p_c", "1.3 p_c")
            ),
            "smoothness": (0.5, 1.5),
        },
        "nn-data-scaling": {
            "settings": (LatticeCluster(3), LatticeCluster(3, 1.3)),
            "teachers": (MaternTeacher(0.5),),
            "teachers_elsewhere": (MaternTeacher(0.5),),
        },
    },
    "sharma-kaplan": {
        "nn-model-scaling": SHARMA_KAPLAN,
        "nn-data-scaling": {
            **SHARMA_KAPLAN,
            "teachers_elsewhere": SHARMA_KAPLAN["teachers"],
        },
        "layer-dimension": SHARMA_KAPLAN,
    },
}
