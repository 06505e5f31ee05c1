"""What a search over config fields is: an experiment, the fields that vary, how many trials."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from percolaw import checks
from percolaw.experiments.base import config_dict, from_config, plain
from percolaw.experiments.fields import judged

Sampler: TypeAlias = Literal["grid", "random", "tpe"]


@dataclass(frozen=True)
class Axis:
    """What one config field may be.

    Attributes
    ----------
    field : str
        Name, with dots into nested parts.
    choices : tuple
        Values to choose from; empty for a range.
    low, high : float
        Ends of a range.
    log, integer : bool
        Spaced geometrically; whole numbers.
    """

    field: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False


def parse_axis(text: str) -> Axis:
    """Return the axis of ``field=a,b,c``, ``field=low:high``, ``field=log:low:high`` or
    ``field=int:low:high`` (also ``field=int:log:low:high``).

    Raises
    ------
    ValueError
        For text of another form, an unknown kind, ends that are no numbers, and ends that do
        not rise (or, with log, are not positive).
    """
    name, equals, spec = text.partition("=")
    field = name.strip().replace("-", "_")
    if not equals or not field or not spec:
        raise ValueError(
            f"--over must read FIELD=a,b,c or FIELD=low:high or FIELD=log:low:high; got {text!r}."
        )
    words = spec.split(":")
    if len(words) == 1:
        return Axis(field, choices=tuple(_value(word) for word in spec.split(",")))
    kinds, ends = words[:-2], words[-2:]
    unknown = set(kinds) - {"log", "int"}
    if unknown:
        raise ValueError(f"--over {text!r}: unknown {sorted(unknown)[0]!r}; known are log and int.")
    try:
        low, high = float(ends[0]), float(ends[1])
    except ValueError:
        raise ValueError(f"--over {text!r}: the ends of a range must be numbers.") from None
    log, integer = "log" in kinds, "int" in kinds
    if not low < high or (log and low <= 0.0):
        raise ValueError(f"--over {text!r}: a range needs low < high, and low > 0 with log.")
    if integer:
        checks.integer("low", low)
        checks.integer("high", high)
    return Axis(field, low=low, high=high, log=log, integer=integer)


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word.strip()


@dataclass(frozen=True)
class Search:
    """A search over fields of an experiment's config.

    Attributes
    ----------
    experiment : Experiment
        With `validate(rows)`, the objective, lower is better.
    axes : tuple of Axis
    sampler : {"grid", "random", "tpe"}
    n_trials : int
        Trials in all; a grid ignores it and tries every point.
    seed : int
    """

    experiment: Any
    axes: tuple[Axis, ...]
    sampler: Sampler = "tpe"
    n_trials: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        checks.choice("sampler", self.sampler, ("grid", "random", "tpe"))
        checks.integer("trials", self.n_trials, minimum=1)
        if not self.axes:
            raise ValueError("a search needs a field to go over: --over FIELD=...")
        if not callable(getattr(self.experiment, "validate", None)):
            raise ValueError(
                f"{self.experiment.name} has no validate(rows) and cannot be tuned. percolaw list marks "
                "those that can with a star; docs/extend.md says what one of your own needs."
            )
        for axis in self.axes:
            if self.sampler == "grid" and not axis.choices:
                raise ValueError(f"a grid needs choices for {axis.field}: {axis.field}=a,b,c.")
            for value in axis.choices or (axis.low, axis.high):
                self.trial({axis.field: int(value) if axis.integer else value})
        fields = [axis.field for axis in self.axes]
        for field in judged(type(self.experiment)) & set(fields):
            raise ValueError(
                f"--over {field}: measuring does not see it, it only says how results are judged or how "
                "many there are, so no value of it lowers a loss. Search over another field."
            )
        if len(set(fields)) < len(fields):
            raise ValueError(f"--over names a field twice: {', '.join(fields)}.")

    def trial(self, values: Mapping[str, Any]) -> Any:
        """Return the experiment with other values of some fields; raises ValueError if refused."""
        experiment = self.experiment
        for field, value in values.items():
            experiment = _replaced(experiment, field.split("."), value)
        return experiment

    @property
    def total(self) -> int:
        """Number of trials."""
        if self.sampler != "grid":
            return self.n_trials
        total = 1
        for axis in self.axes:
            total *= len(axis.choices)
        return total

    def definition(self) -> dict[str, Any]:
        """Return plain values that fix the search (not how many trials)."""
        return {
            **config_dict(self.experiment),
            "axes": [plain(dataclasses.asdict(axis)) for axis in self.axes],
            "sampler": self.sampler,
            "seed": self.seed,
        }


def _replaced(value: Any, path: list[str], new: Any) -> Any:
    names = {f.name for f in dataclasses.fields(value)}
    checks.choice("field", path[0], sorted(names))
    if len(path) > 1:
        new = _replaced(getattr(value, path[0]), path[1:], new)
        return dataclasses.replace(value, **{path[0]: new})
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if type(fields[path[0]]) is int and isinstance(new, float):  # 1e3, as a person writes it
        new = checks.integer(path[0], new)
    # Through JSON, as a config on disk would come: lists become tuples, types are checked.
    part = from_config(type(value), {path[0]: plain(new)})
    return dataclasses.replace(value, **{**fields, path[0]: getattr(part, path[0])})
