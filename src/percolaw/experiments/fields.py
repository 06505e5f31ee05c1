"""Fields of a config: the range of their numbers, what only the verdict needs, and what words name.

A field says all of this in its annotation::

    n_seeds: Seeds = 5
    floor: Annotated[float, Range(0.0), JUDGED] = 1e-9
    n_sites: Annotated[int, Range(100), Bytes(300.0)] = 10_000
    settings: tuple[Source, ...] = (InfiniteCluster(16), Cube(4))

`check` refuses a config with a number out of range, ``--help`` shows the range. `check_memory` refuses to
start a run that cannot fit, by the `Bytes` that a number takes at least. What is marked `JUDGED` does not
exist for `measure` (`as_measured`): runs that differ only there share their units.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
import typing
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias, TypeVar

from percolaw import checks
from percolaw.datasets.sources import Source, parse_source
from percolaw.targets.families import parse_target
from percolaw.targets.teacher import TeacherFamily
from percolaw.words import Worded

_T = TypeVar("_T")


@dataclass(frozen=True)
class Range:
    """Least and largest value of a number, or of each number in a tuple; None for no limit."""

    minimum: float | None = None
    maximum: float | None = None

    def __str__(self) -> str:
        if self.maximum is None:
            return "any number" if self.minimum is None else f"at least {self.minimum:g}"
        return (
            f"at most {self.maximum:g}"
            if self.minimum is None
            else f"{self.minimum:g} to {self.maximum:g}"
        )


@dataclass(frozen=True)
class Bytes:
    """Memory that a unit takes at least: so much for each one of a number, or of its power."""

    each: float
    power: float = 1.0


@dataclass(frozen=True)
class Rising:
    """Mark of a tuple of numbers that rise; how many there are at least."""

    least: int = 0


@dataclass(frozen=True)
class _Judged:
    """Mark of a field that `measure` does not see."""


#: Mark of a field that only says how many units there are, or how they are judged.
JUDGED = _Judged()
#: Mark of a tuple in which a value may stand twice, as widths of layers may.
REPEATS = object()
#: Number of seeds.
Seeds: TypeAlias = Annotated[int, Range(1, 100_000), JUDGED]
#: Deviation that counts as agreement.
Tolerance: TypeAlias = Annotated[float, Range(0.0), JUDGED]

#: What reads the words of fields of these types.
_PARSERS: Mapping[type[Any], Callable[[str], Worded]] = {
    Source: parse_source,
    TeacherFamily: parse_target,
}


def _once(of: Callable[[type[Any]], dict[str, _T]]) -> Callable[[type[Any]], Mapping[str, _T]]:
    """Ask once for each class what takes milliseconds."""
    known: weakref.WeakKeyDictionary[type[Any], Mapping[str, _T]] = weakref.WeakKeyDictionary()

    @functools.wraps(of)
    def asked(config: type[Any]) -> Mapping[str, _T]:
        if config not in known:
            known[config] = MappingProxyType(of(config))
        return known[config]

    return asked


@_once
def hints(config: type[Any]) -> dict[str, Any]:
    """Return the annotations of a config class, those of its bases included."""
    return typing.get_type_hints(config, include_extras=True)


def bare(hint: Any) -> Any:
    """Return the type in an annotation, without its marks."""
    return hint.__origin__ if _marks(hint) else hint


def _marks(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def range_of(hint: Any) -> Range | None:
    """Return the range that a field's annotation declares."""
    return next((m for m in _marks(hint) if isinstance(m, Range)), None)


def judged(config: type[Any]) -> frozenset[str]:
    """Return the names of the fields that `measure` does not see."""
    if not dataclasses.is_dataclass(config):
        return frozenset()
    types = hints(config)
    return frozenset(
        field.name
        for field in dataclasses.fields(config)
        if any(isinstance(m, _Judged) for m in _marks(types[field.name]))
    )


@_once
def documentation(config: type[Any]) -> dict[str, str]:
    """Return the sentence that stands under each field of a config class in its source, or its bases'.

    Empty if there is no source, as of a class typed into an interpreter.
    """
    texts: dict[str, str] = {}
    for part in reversed(config.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        lines = body.body if isinstance(body, ast.ClassDef) else []
        texts |= {
            field.target.id: inspect.cleandoc(text.value.value)
            for field, text in itertools.pairwise(lines)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
    return texts


def check(config: Any) -> None:
    """Refuse a config with a number outside of the range its field declares, or a part of another kind.

    Integers in fields of integers, numbers in fields of real numbers; tuples element by element, and
    tuples inside them; configs where configs belong; in tuples marked `Rising` numbers that rise; in no
    tuple the same twice, which would be measured and counted twice, unless it is marked `REPEATS`. Call
    it first in ``__post_init__``.

    Raises
    ------
    TypeError, ValueError
        Naming the field, what it is and what is allowed.
    """
    types = hints(type(config))
    for field in dataclasses.fields(config):
        kind, part = types[field.name], getattr(config, field.name)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not isinstance(part, kind):
            raise TypeError(f"{field.name} must be {kind.__name__}(...); got {part!r:.80}.")
        for mark in _marks(kind):
            if isinstance(mark, Range):
                _check_range(field.name, "float" not in str(kind.__origin__), _flat(part), mark)
            elif isinstance(mark, Rising):
                _check_rising(field.name, part, mark.least)
        if isinstance(part, tuple) and REPEATS not in _marks(kind):
            _check_distinct(field.name, part)


def _check_range(name: str, whole: bool, values: list[Any], limits: Range) -> None:
    for value in values:
        if whole:
            low, high = _whole(limits.minimum), _whole(limits.maximum)
            checks.integer(name, value, minimum=low, maximum=high)
        else:
            checks.real(name, value, **_given(limits))


def _check_distinct(name: str, values: tuple[Any, ...]) -> None:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"{name} has {value!s:.60} twice; give it once.")


def _check_rising(name: str, values: Any, least: int) -> None:
    if len(values) < least or list(values) != sorted(set(values)):
        number = {1: "one", 2: "two", 3: "three"}.get(least, str(least))
        words = f", {number} at least" if least else ""
        raise ValueError(f"{name} must rise{words}; got {values}.")


def check_memory(config: Any, path: str = "") -> None:
    """Refuse a config with a number whose `Bytes` are more than this machine has available.

    It is asked before a run begins, not of the config itself: a run of a larger machine can be read here.

    Parameters
    ----------
    config : dataclass instance
    path : str
        Names of the fields around it, for the message.

    Raises
    ------
    ResourceError
        Naming the field, what it needs and what there is.
    """
    types = hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, (type, Worded)):
            check_memory(value, f"{path}{field.name}.")
        for mark in _marks(types[field.name]):
            if isinstance(mark, Bytes) and _flat(value):
                most = max(_flat(value))
                flag = f"--{path}{field.name}".replace("_", "-")
                checks.memory(mark.each * float(most) ** mark.power, f"{flag} {most}", "Lower it.")


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _given(limits: Range) -> dict[str, float]:
    return {k: v for k, v in dataclasses.asdict(limits).items() if v is not None}


def _flat(value: Any) -> list[Any]:
    return [x for part in value for x in _flat(part)] if isinstance(value, tuple) else [value]


def as_measured(experiment: Any) -> Any:
    """Return the experiment as `measure` sees it: fields marked `JUDGED` do not exist.

    Raises (when such a field is read)
    ----------------------------------
    AttributeError
        Naming the field: what is measured must not depend on it.
    """
    cls = type(experiment)
    hidden = {
        name: property(functools.partial(_refuse, cls.__name__, name)) for name in judged(cls)
    }
    if not hidden:
        return experiment
    seen: Any = object.__new__(type(cls.__name__, (cls,), {"__module__": cls.__module__, **hidden}))
    seen.__dict__.update({k: v for k, v in vars(experiment).items() if k not in hidden})
    return seen


def _refuse(experiment: str, name: str, _: Any) -> Any:
    raise AttributeError(
        f"measure of {experiment} reads {name}, which is marked JUDGED: units that differ only there are "
        "shared, so what is measured must not depend on it. Take the mark from the field."
    )


def read_words(hint: Any, value: Any, known: Mapping[str, Worded] = MappingProxyType({})) -> Any:
    """Return a field's value with words read: what they name, where the field holds sources or targets.

    Parameters
    ----------
    hint : type
        Of the field.
    value : object
        A word, a list or tuple of them, or anything else for other fields.
    known : mapping of str to object
        What words name beside what the package's parsers read.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        For words that name nothing.
    """
    parse = parser_of(hint)
    if parse is None or isinstance(value, Worded):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(read_words(hint, one, known) for one in value)
    return known[value] if isinstance(value, str) and value in known else parse(value)


def named(config: type[Any]) -> dict[str, Worded]:
    """Return what the defaults and presets of an experiment name, by word: objects of its own too."""
    presets = [preset.config for preset in getattr(config, "presets", {}).values()]
    return {one.word: one for value in (presets, _defaults(config)) for one in _worded(value)}


def _defaults(config: type[Any]) -> list[Any]:
    return [
        field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(config)
    ]


def _worded(value: Any) -> Iterator[Worded]:
    """What has a word in a value, nested configs, tuples and mappings included."""
    if isinstance(value, Worded):
        yield value
    elif isinstance(value, Mapping):
        yield from _worded(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _worded(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _worded([getattr(value, field.name) for field in dataclasses.fields(value)])


def parser_of(hint: Any) -> Callable[[str], Worded] | None:
    """Return what reads the words of a field with this annotation; None if it holds none."""
    hint = bare(hint)
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    return _PARSERS.get(hint) if isinstance(hint, type) else None
