"""How the geometry of data sets the exponents of neural scaling laws.

Names below are loaded when first used: importing percolaw loads neither Numba nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from percolaw.public import PUBLIC
from percolaw.shown import Drawable
from percolaw.version import __version__

__all__ = sorted(["__version__", *PUBLIC])

#: Packages that are loaded when first used: ``percolaw.laws.bethe`` after ``import percolaw``.
PACKAGES = (
    *(
        "analysis",
        "clusters",
        "datasets",
        "dimension",
        "embedding",
        "experiments",
        "interpret",
        "laws",
        "learners",
    ),
    *("neural", "numerics", "report", "runs", "scaling", "targets"),
)

if TYPE_CHECKING:
    from percolaw.analysis.analyze import analyze
    from percolaw.clusters.brownian import sample_large_cluster
    from percolaw.clusters.coalescent import merge_tree
    from percolaw.clusters.conditioned import conditioned_clusters
    from percolaw.clusters.ensembles import sample_clusters, sample_sizes, yule_process
    from percolaw.clusters.growth import grow_clusters
    from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
    from percolaw.datasets.dataset import Dataset
    from percolaw.datasets.formats import load, save, save_published
    from percolaw.datasets.hypercubic import make_lattice
    from percolaw.datasets.latents import latents, make_hierarchy
    from percolaw.datasets.make import make_cluster, make_distribution
    from percolaw.datasets.manifolds import make_manifold
    from percolaw.datasets.source import PointFile
    from percolaw.datasets.sources import (
        Cube,
        FiniteCluster,
        InfiniteCluster,
        LatticeCluster,
        Manifold,
    )
    from percolaw.dimension.correlation import CorrelationDimension
    from percolaw.dimension.estimate import estimate_dimension
    from percolaw.dimension.mle import MLE
    from percolaw.dimension.two_nn import TwoNN
    from percolaw.embedding.skeleton import embed_sampled, embed_sites
    from percolaw.embedding.walk import embed_tree
    from percolaw.graph import Graph
    from percolaw.interpret.absorption import absorption, latent_parents
    from percolaw.interpret.ceiling import latent_posterior
    from percolaw.interpret.features import feature_pairs
    from percolaw.interpret.logistic_probes import logistic_membership_probe, sign_probe
    from percolaw.interpret.probes import membership_probe, octave_latents, value_probe
    from percolaw.interpret.quanta import discover_quanta
    from percolaw.interpret.scores import unit_scores
    from percolaw.laws.allocation import numerical_allocation, optimal_allocation
    from percolaw.laws.bethe import BetheLattice, bethe_threshold
    from percolaw.laws.hypercubic import critical_exponents, hypercubic_threshold
    from percolaw.laws.scaling_laws import data_scaling_loss, model_scaling_loss
    from percolaw.laws.single_cluster import nearest_neighbor_loss
    from percolaw.learners.kernel import KernelRegression
    from percolaw.learners.neighbors import NearestNeighbors
    from percolaw.learners.random_features import RandomFeatures
    from percolaw.learners.tree_nearest import TreeNearest
    from percolaw.learners.tree_posterior import TreePosterior
    from percolaw.learning import learning_curve, predicted_exponent
    from percolaw.neural.config import Student, Training
    from percolaw.neural.gradients import module_gradients, sample_gradients
    from percolaw.neural.mlp import MLP
    from percolaw.neural.module import ModuleLearner
    from percolaw.neural.regression import NeuralRegression
    from percolaw.neural.sparse_autoencoder import SparseAutoencoder, train_dictionaries
    from percolaw.neural.training import train
    from percolaw.neural.transformer import Transformer
    from percolaw.numerics.covariance import (
        Gaussian,
        Matern,
        NetworkGaussianProcess,
        NeuralTangent,
    )
    from percolaw.numerics.neighbors import nearest_neighbors
    from percolaw.numerics.partitions import adjusted_rand
    from percolaw.report.reading import open_run
    from percolaw.rng import Streams
    from percolaw.runs.run import run
    from percolaw.scaling.curve import LearningCurve
    from percolaw.scaling.diagnose import diagnose
    from percolaw.scaling.fit import fit_power_law, geometric, local_exponents
    from percolaw.scaling.losses import scaling_curve
    from percolaw.targets.combined import ProductTeacher, SumTeacher
    from percolaw.targets.fourier import FourierTeacher
    from percolaw.targets.free_field import FreeField
    from percolaw.targets.hierarchical import HierarchicalFunction
    from percolaw.targets.linear import LinearTeacher
    from percolaw.targets.matern import MaternTeacher
    from percolaw.targets.nonlinearity import nonlinearity, vet
    from percolaw.targets.relu import ReluTeacher
    from percolaw.targets.teacher import standardized_inputs
    from percolaw.targets.tree_walk import TreeWalk
    from percolaw.tree import Tree


def _draw(kind: str, thing: Any, ax: Any) -> Any:
    from percolaw.report.shown import draw

    return draw(kind, thing, ax)


Drawable.painter = staticmethod(_draw)


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        value = getattr(importlib.import_module(f"percolaw.{PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    if name in PACKAGES:
        return importlib.import_module(f"percolaw.{name}")
    raise AttributeError(f"module 'percolaw' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *PACKAGES, *(n for n in globals() if n.startswith("__"))])
