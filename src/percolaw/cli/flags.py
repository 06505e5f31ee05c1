"""Flags of an experiment: words for sources and targets, integers as 1e4, and what the help says.

The help of a flag gives the range of its numbers, and what the presets make of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from percolaw.cli.numbers import count
from percolaw.errors import PercolawError
from percolaw.experiments import fields
from percolaw.experiments.base import preset
from percolaw.words import Worded


def registry(experiment: type[Any]) -> ConstructorRegistry:
    """Return what tyro must know of an experiment's config beside the types of its fields."""
    known = ConstructorRegistry()
    places = _places(experiment)

    @known.primitive_rule
    def words(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Worded] | None:
        parse = fields.parser_of(info.type)
        if parse is None or info.type_origin is tuple:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="WORDS",
            instance_from_str=lambda text: _read(parse, text[0]),
            is_instance=lambda value: isinstance(value, Worded),
            str_from_instance=lambda value: [value.word],
        )

    @known.primitive_rule
    def integers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
        if info.type is not int:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT",
            instance_from_str=lambda text: count(text[0]),
            is_instance=lambda value: isinstance(value, int),
            str_from_instance=lambda value: [str(value)],
        )

    @known.struct_rule
    def config(info: StructTypeInfo) -> StructConstructorSpec | None:
        if info.type not in places:
            return None
        texts, types = fields.documentation(info.type), fields.hints(info.type)
        given = _of_presets(experiment, places[info.type])
        return StructConstructorSpec(
            instantiate=info.type,
            fields=tuple(
                StructFieldSpec(
                    name=field.name,
                    type=types[field.name],
                    default=getattr(info.default, field.name),
                    helptext=_explained(
                        texts.get(field.name, ""),
                        fields.range_of(types[field.name]),
                        getattr(info.default, field.name),
                        {name: getattr(part, field.name) for name, part in given.items()},
                    ),
                )
                for field in dataclasses.fields(info.type)
            ),
        )

    return known


def _places(config: type[Any], path: tuple[str, ...] = ()) -> dict[type[Any], tuple[str, ...]]:
    """The config's class and those of its nested parts, with the fields that lead there."""
    places = {config: path}
    types = fields.hints(config)
    for field in dataclasses.fields(config):
        kind = types[field.name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            places.update(_places(kind, (*path, field.name)))
    return places


def _of_presets(experiment: type[Any], path: tuple[str, ...]) -> dict[str, Any]:
    """A part of the config in every preset."""
    parts = {}
    for name in experiment.presets:
        part = preset(experiment, name)
        for field in path:
            part = getattr(part, field)
        parts[name] = part
    return parts


def _explained(
    text: str, limits: fields.Range | None, default: Any, in_presets: dict[str, Any]
) -> str:
    """The sentence on a field, the range of its numbers, and presets that differ from the default."""
    notes = [] if limits is None else [str(limits)]
    if not dataclasses.is_dataclass(default) or isinstance(default, Worded):
        named: dict[str, list[str]] = {}
        for name, value in in_presets.items():
            if value != default:
                named.setdefault(_written(value), []).append(name)
        notes += [f"{', '.join(names)}: {value}" for value, names in named.items()]
    return f"{text} ({'; '.join(notes)})" if notes else text


def _written(value: Any) -> str:
    """A value as it is written after its flag."""
    if isinstance(value, tuple):
        return " ".join(map(_written, value))
    return repr(value.word) if isinstance(value, Worded) else str(value)


def _read(parse: Callable[[str], Worded], word: str) -> Worded:
    """Read a word; of several words tyro would keep a ValueError's reason to itself."""
    try:
        return parse(word)
    except ValueError as error:
        raise PercolawError(str(error)) from None
