"""Flags of an experiment: words for sources and targets, and the range of every number in the help."""

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

from percolaw.errors import PercolawError
from percolaw.experiments import fields
from percolaw.words import Worded


def registry(experiment: type[Any]) -> ConstructorRegistry:
    """Return what tyro must know of an experiment's config beside the types of its fields."""
    known = ConstructorRegistry()

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

    @known.struct_rule
    def config(info: StructTypeInfo) -> StructConstructorSpec | None:
        if info.type is not experiment:
            return None
        texts, types = fields.documentation(experiment), fields.hints(experiment)
        return StructConstructorSpec(
            instantiate=experiment,
            fields=tuple(
                StructFieldSpec(
                    name=field.name,
                    type=types[field.name],
                    default=getattr(info.default, field.name),
                    helptext=_with_range(texts.get(field.name, ""), types[field.name]),
                )
                for field in dataclasses.fields(experiment)
            ),
        )

    return known


def _read(parse: Callable[[str], Worded], word: str) -> Worded:
    """Read a word; of several words tyro would keep a ValueError's reason to itself."""
    try:
        return parse(word)
    except ValueError as error:
        raise PercolawError(str(error)) from None


def _with_range(text: str, hint: Any) -> str:
    limits = fields.range_of(hint)
    return text if limits is None else f"{text} ({limits})"
