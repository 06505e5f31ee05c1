"""The protocol of an experiment: plan, measure, conclude.

An experiment is a frozen dataclass. Its fields are the config, from which command-line flags, the
JSON form and the run id derive. `cells` lists independent units of work, `measure` does one of them
and is what runs anywhere and is stored, `conclude` is pure: claims and figure data are made from stored
rows alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from percolaw import checks
from percolaw.experiments import fields as fields_module
from percolaw.rng import STREAM_VERSION
from percolaw.words import Worded

if TYPE_CHECKING:
    from percolaw.experiments.claims import Claim
    from percolaw.experiments.series import Plot

#: Folder of the run that a unit belongs to, where long units may keep their states; None in a notebook.
SCRATCH: ContextVar[Path | None] = ContextVar("SCRATCH", default=None)
#: Bumped when a config of the same fields means something else.
SCHEMA_VERSION = 1

Cell: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]


def check_tolerances(config: Any, path: str = "") -> None:
    """Refuse a config with a negative or not finite tolerance, in it or in its nested dataclasses.

    Parameters
    ----------
    config : dataclass instance
    path : str
        Names of the fields around it, for the message.

    Raises
    ------
    ValueError
        Naming the field.
    """
    for part in dataclasses.fields(config):
        value = getattr(config, part.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            check_tolerances(value, f"{path}{part.name}.")
        elif "tolerance" in path + part.name:
            checks.real(path + part.name, value, minimum=0.0)


def check_cells(experiment: Any, cells: Sequence[Cell]) -> None:
    """Refuse an experiment two of whose units are the same, or whose fields no word names.

    Units are measured from the config as it is written down, by other processes too.

    Parameters
    ----------
    experiment : Experiment
    cells : sequence of dict
        Its cells.

    Raises
    ------
    ValueError
        Naming the cell, or the word.
    """
    seen: set[str] = set()
    for cell in cells:
        text = canonical_json(cell)
        if text in seen:
            raise ValueError(
                f"{experiment.name} would measure {text:.120} twice and count it twice. Give each value "
                "of its fields once."
            )
        seen.add(text)
    remedy = (
        "An object of your own must be a default or in a preset, and its word tell it from others."
    )
    try:
        read = from_config(type(experiment), config_dict(experiment)["config"])
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ValueError(
            f"the config of {experiment.name} cannot be read back as it is written down, and units are "
            f"measured from that: {error} {remedy}"
        ) from error
    for part in dataclasses.fields(experiment):
        given, found = getattr(experiment, part.name), getattr(read, part.name)
        if given != found and given == given:
            raise ValueError(
                f"{part.name} = {given!r:.80} is written down as {plain(given)!r:.60}, which names "
                f"{found!r:.80}, and units are measured from what is written. {remedy}"
            )


@dataclass(frozen=True)
class Conclusion:
    """What an experiment says.

    Attributes
    ----------
    claims : tuple of Claim
    tables : dict
        Further data as plain JSON values: what pictures that are not curves are made of, and details.
    plots : tuple of Plot
        Its curves, drawn as pictures and in the page.
    """

    claims: tuple[Claim, ...]
    tables: dict[str, Any] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Preset:
    """A named config with what it cost in a real run (2 cores).

    Attributes
    ----------
    config : dict
        Fields that differ from the defaults.
    time, memory : str
        Wall time and peak memory of all processes, measured or estimated.
    """

    config: Mapping[str, Any]
    time: str
    memory: str


@runtime_checkable
class Experiment(Protocol):
    """What `percolaw run` needs of an experiment; see docs/extend.md for a skeleton.

    It may also have ``extra: ClassVar[tuple[str, str]]``, a module it needs and the extra of percolaw
    that brings it; or a class method ``unavailable()`` that says what is missing, and how to get it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]

    def cells(self) -> list[Cell]:
        """Return the independent units of work, as JSON objects."""
        ...

    def measure(self, cell: Cell) -> list[Row]:
        """Do one unit and return its rows, JSON objects; depends on config and cell alone."""
        ...

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Return claims and figure data from all rows, in the order of the cells; pure."""
        ...


def units(**axes: Iterable[Any]) -> list[Cell]:
    """Return a unit for each combination of values; those of the last key follow one another.

    Parameters
    ----------
    axes : iterable
        Values by key.

    Returns
    -------
    list of dict
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class Checked:
    """A base of experiments whose config is right where each of its fields is."""

    def __post_init__(self) -> None:
        fields_module.check(self)


class SeedBySeed(Checked):
    """A base of experiments whose units are seeds."""

    n_seeds: int

    def cells(self) -> list[Cell]:
        """A unit is a seed."""
        return units(seed=range(self.n_seeds))


class NeedsTorch:
    """A base of experiments that train networks."""

    extra: ClassVar[tuple[str, str]] = ("torch", "nn")


class TheoryCheck(Checked):
    """A base of experiments that measure nothing: claims follow from theory and published numbers."""

    presets: ClassVar[Mapping[str, Preset]] = {
        name: Preset({}, "1 s", "0.3 GiB") for name in ("smoke", "laptop", "paper")
    }

    def cells(self) -> list[Cell]:
        """Nothing to measure."""
        return []

    def measure(self, cell: Cell) -> list[Row]:
        """Return nothing."""
        return []


def missing_extra(experiment: type[Any]) -> str:
    """Return what an experiment needs that is not installed, and the remedy; empty if nothing is."""
    import importlib.util

    if hasattr(experiment, "unavailable"):
        return str(experiment.unavailable())
    module, extra = getattr(experiment, "extra", ("", ""))
    if not module or importlib.util.find_spec(module) is not None:
        return ""
    return (
        f"{experiment.name} needs {module}, which is not installed. Install it with: "
        f"pip install -e '.[{extra}]' (in a clone of percolaw)"
    )


def usual_preset(experiment: type[Any]) -> str | None:
    """Return ``laptop``, where there is none the first preset, and None where there are no presets."""
    return "laptop" if "laptop" in experiment.presets else next(iter(experiment.presets), None)


def preset(experiment: type[Any], name: str | None) -> Any:
    """Return the config of a preset; raises ValueError naming the nearest one.

    Parameters
    ----------
    experiment : type
        Class of the experiment.
    name : str or None
        None stands for the fields' defaults.

    Returns
    -------
    Experiment
    """
    if name is None:
        return experiment()
    checks.choice("preset", name, experiment.presets)
    return experiment(**experiment.presets[name].config)


def config_dict(experiment: Any) -> dict[str, Any]:
    """Return name and all fields, defaults expanded, as plain JSON values."""
    fields = {f.name: plain(getattr(experiment, f.name)) for f in dataclasses.fields(experiment)}
    return {
        "experiment": experiment.name,
        "schema_version": SCHEMA_VERSION,
        "stream_version": STREAM_VERSION,
        "config": fields,
    }


def measured_config(config: Mapping[str, Any], experiment: type[Any] | None) -> dict[str, Any]:
    """Return the part of a config that `measure` may depend on: units are named by it.

    Left out are the fields that the class marks as `fields.JUDGED`: how many cells there are,
    tolerances, windows. Without a class all fields are kept.

    Parameters
    ----------
    config : mapping
        As `config_dict` returns it.
    experiment : type or None

    Returns
    -------
    dict
    """
    hidden = frozenset() if experiment is None else fields_module.judged(experiment)
    fields = {k: v for k, v in config["config"].items() if k not in hidden}
    return {**config, "config": fields}


def from_config(
    experiment: type[Any],
    fields: Mapping[str, Any],
    own: Mapping[str, Worded] = MappingProxyType({}),
) -> Any:
    """Return the experiment with these fields; lists become tuples, dicts nested dataclasses.

    Parameters
    ----------
    experiment : type
        Class of the experiment, or of a dataclass in its config.
    fields : mapping
        Field to value, as read from JSON; fields left out keep their defaults.
    own : mapping of str to object
        What words name beside the defaults and presets of the class, and what the package reads.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        For a field that the class does not have.
    """
    hints = fields_module.hints(experiment)
    known = {field.name for field in dataclasses.fields(experiment)}
    unknown = set(fields) - known
    if unknown:
        raise ValueError(f"{experiment.__name__} has no field {sorted(unknown)}.")
    values, own = {}, {**fields_module.named(experiment), **own}
    for name, value in fields.items():
        kind = fields_module.bare(hints[name])
        if isinstance(value, Mapping) and isinstance(kind, type) and dataclasses.is_dataclass(kind):
            values[name] = from_config(kind, value, own)
        else:
            values[name] = fields_module.read_words(hints[name], _tuples(value), own)
    return experiment(**values)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces; one text for one value."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=True)


def content_id(value: Any, length: int = 12) -> str:
    """Return the first hex digits of the SHA-256 of the canonical JSON.

    Parameters
    ----------
    value : object
        What can be written as JSON.
    length : int
        Hex digits, at most 64.
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def run_id(experiment: Any) -> str:
    """Return the id of a config: the same config gives the same id everywhere."""
    return content_id(config_dict(experiment))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """NumPy scalars and arrays, tuples, dataclasses, and what words name, as plain JSON values."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Worded):
        return value.word
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value
