"""Every experiment: this package's by name, a user's by the place of its class.

Classes are imported when first asked for. A place is what people type, ``my_file.py:MyExperiment`` or
``my_package.module:MyExperiment``; installed packages give their experiments names, by entry points of
the group ``percolaw.experiments``. Code of users runs only where a caller names it: `known_class`, which
looks up the names that run folders hold, knows this package's alone.
"""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from percolaw import checks
from percolaw.errors import RunError

#: Entry points by which an installed package names its experiments.
GROUP = "percolaw.experiments"
#: What a class needs to be an experiment.
_MEMBERS = ("name", "title", "source", "presets", "cells", "measure", "conclude")

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
    "architectures": "networks.architectures:Architectures",
    "effective-dof": "networks.effective_dof:EffectiveDof",
    "layer-dimension": "networks.layer_dimension:LayerDimension",
    "in-context": "contexts.in_context:InContext",
    "regimes": "lattices.regimes:Regimes",
    "dimension-table": "lattices.dimension_table:DimensionTable",
    "mean-field-check": "lattices.mean_field_check:MeanFieldCheck",
    "sampling": "lattices.sampling:Sampling",
    "learnability": "lattices.learnability:Learnability",
    "hierarchical-1nn": "latents.hierarchical_1nn:HierarchicalOneNn",
    "latent-probes": "latents.latent_probes:LatentProbes",
    "dictionary-scaling": "latents.dictionary_scaling:DictionaryScaling",
    "superposition": "latents.superposition:Superposition",
    "features": "latents.features:Features",
    "absorption": "latents.absorption:AbsorptionByRule",
    "quanta-model": "quanta.quanta_model:QuantaModel",
    "quanta-data": "quanta.quanta_data:QuantaData",
    "quanta-time": "quanta.quanta_time:QuantaTime",
    "quanta-composite": "quanta.quanta_composite:QuantaComposite",
    "quanta-percolation": "quanta.quanta_percolation:QuantaPercolation",
    "quanta-discovery": "quanta.quanta_discovery:QuantaDiscovery",
    "analyze": "real.own:Analyze",
    "analyze-confusion": "real.confusion:AnalyzeConfusion",
    "real-digits": "real.digits:RealDigits",
    "real-words": "real.words:RealWords",
    "real-contexts": "real.contexts:RealContexts",
    "real-vectors": "real.vectors:RealVectors",
    "real-rna": "real.rna:RealRna",
}


def experiment_class(name: str) -> type[Any]:
    """Return an experiment's class by its name or place, and import it.

    Parameters
    ----------
    name : str
        Of this package or of an installed one; or ``my_file.py:MyExperiment``, whose folder becomes the
        first to import from, as when Python runs the file; or ``my_package.module:MyExperiment``, looked
        up as everything that is imported and then in the working folder.

    Returns
    -------
    type

    Raises
    ------
    ValueError
        If there is no such experiment, naming the nearest one, or the class is none.
    RunError
        If the user's file or module fails while it is imported.
    """
    if ":" in name or name.endswith(".py"):
        return _class_at(name)
    if name in EXPERIMENTS:
        module, attribute = EXPERIMENTS[name].split(":")
        module = f"percolaw.experiments.{module}"
        cls: type[Any] = getattr(importlib.import_module(module), attribute)
        return cls
    places = installed()
    checks.choice("experiment", name, [*EXPERIMENTS, *places])
    cls = _class_at(places[name])
    if cls.name != name:
        raise ValueError(
            f"the entry point {name!r} of {GROUP} leads to an experiment that calls itself {cls.name!r}; "
            "both must be the same."
        )
    return cls


def known_class(name: str) -> type[Any] | None:
    """Return the class of an experiment of this package by its name, or None."""
    return experiment_class(name) if name in EXPERIMENTS else None


def installed() -> dict[str, str]:
    """Return the experiments of installed packages: name to place; nothing of them is imported."""
    from importlib.metadata import entry_points

    places = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    return {name: place for name, place in sorted(places.items()) if name not in EXPERIMENTS}


def place_of(cls: type[Any]) -> str:
    """Return the words by which `experiment_class` gets a class; empty for one that has no file."""
    if EXPERIMENTS.get(cls.name) == f"{cls.__module__}:{cls.__name__}".removeprefix(
        "percolaw.experiments."
    ):
        return str(cls.name)
    module, name = cls.__module__, cls.__qualname__
    if installed().get(cls.name) == f"{module}:{name}":
        return str(cls.name)
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or "<locals>" in name:
        return ""
    path = Path(file).resolve()
    if "." in module or any(path.is_relative_to(folder) for folder in _libraries()):
        return f"{module}:{name}"
    here = Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{name}"


def _libraries() -> set[Path]:
    """Folders of installed packages."""
    return {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}


def _class_at(place: str) -> type[Any]:
    """The class at a place, known to be an experiment."""
    where, name = (place, "") if place.endswith(".py") else place.rsplit(":", 1)
    module = _file(Path(where)) if where.endswith(".py") else _module(where)
    there = [n for n, value in vars(module).items() if not missing_members(value)]
    there = [n for n in there if vars(module)[n].__module__ == module.__name__]
    if not name or not isinstance(getattr(module, name, None), type):
        names = ", ".join(f"{where}:{n}" for n in there) or "none (docs/extend.md has a skeleton)"
        reason = f"has no class {name!r}" if name else "is a file; name the class, too"
        raise ValueError(f"{where} {reason}. Experiments in it: {names}.")
    cls: type[Any] = getattr(module, name)
    missing = missing_members(cls)
    if missing:
        raise ValueError(
            f"{place} is no experiment: {missing}. docs/extend.md has a skeleton of one."
        )
    if cls.name in EXPERIMENTS and known_class(cls.name) is not cls:
        raise ValueError(
            f"{place} calls itself {cls.name!r}, which is the name of an experiment of percolaw; their "
            "runs could not be told apart. Give it another name."
        )
    return cls


def missing_members(cls: Any) -> str:
    """Return what keeps a class from being an experiment, in words; empty if nothing does."""
    if not (isinstance(cls, type) and hasattr(cls, "__dataclass_fields__")):
        return "it is no dataclass"
    missing = [member for member in _MEMBERS if not hasattr(cls, member)]
    if missing:
        return f"it has no {', '.join(missing)}"
    name, presets = (getattr(cls, member) for member in ("name", "presets"))
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        return f"its name must be of letters, digits and hyphens, not {name!r}"
    if not isinstance(presets, Mapping):
        return f"its presets must be a dict of Preset by name, not {type(presets).__name__}"
    return ""


def _file(path: Path) -> ModuleType:
    """The module of a file, under the name that the file would be imported by."""
    if not path.is_file():
        raise ValueError(f"there is no file {path} in {Path.cwd()}.")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # processes that measure are started with the same path
    module = _imported(path.stem, str(path))
    other = getattr(module, "__file__", None) or "a part of Python"
    if Path(other).resolve() != path.resolve():
        raise ValueError(
            f"{path} cannot be imported by its name: {path.stem!r} is already {other}. Rename the file."
        )
    return module


def _module(name: str) -> ModuleType:
    """A module that is installed or stands in the working folder."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(
            f"{name!r} is no name of a module. An experiment of your own is "
            "my_file.py:MyExperiment or my_package.module:MyExperiment."
        )
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return _imported(name, name)


def _imported(name: str, reason: str) -> ModuleType:
    """Import a user's module; whatever that raises is said with its place."""
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"there is no module {error.name!r}, neither installed nor in {Path.cwd()}."
            ) from None
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename
        ]
        line = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames[1:] else ""
        raise RunError(
            f"{reason} fails while it is imported: {line}{type(error).__name__}: {error}"
        ) from error
