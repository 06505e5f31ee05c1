"""Sums and products of teachers, on all coordinates or each on its own group of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, Streams, as_streams
from percolaw.targets.teacher import Teacher, TeacherFamily
from percolaw.words import changed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SumTeacher(TeacherFamily):
    """y = sum_i w_i f_i(x), members drawn independently.

    Parameters
    ----------
    members : tuple of teacher families
        All with one number of outputs.
    weights : tuple of float, optional
        One for each member; ones if None.
    groups : tuple of int, optional
        Number of coordinates of each member, in order; they must sum to the dimension. Every member
        sees all coordinates if None.
    """

    members: tuple[TeacherFamily, ...]
    weights: tuple[float, ...] | None = None
    groups: tuple[int, ...] | None = None

    @property
    def word(self) -> str:
        return _word("sum", self) + changed(self, "weights", "groups")

    @property
    def approximation_order(self) -> float:
        """That of the roughest member."""
        return min(member.approximation_order for member in self.members)

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw all members, member i from ``child(i)`` of the streams.

        Raises
        ------
        ValueError
            For no members, another number of weights, groups that do not sum to the dimension, and
            members of different numbers of outputs.
        """
        n = len(self.members)
        weights = (1.0,) * n if self.weights is None else self.weights
        if len(weights) != n:
            raise ValueError(f"{n} members need as many weights; got {len(weights)}.")
        weight = checks.finite_array("weights", weights, ndim=1)
        return _combine(self, dim, rng, "sum", weight)


@dataclass(frozen=True)
class ProductTeacher(TeacherFamily):
    """y = prod_i f_i(x), members drawn independently; parameters as in `SumTeacher`."""

    members: tuple[TeacherFamily, ...]
    groups: tuple[int, ...] | None = None

    @property
    def word(self) -> str:
        return _word("product", self) + changed(self, "groups")

    @property
    def approximation_order(self) -> float:
        """That of the roughest member."""
        return min(member.approximation_order for member in self.members)

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw all members, member i from ``child(i)`` of the streams.

        Raises
        ------
        ValueError
            For no members, groups that do not sum to the dimension, and members of different numbers of
            outputs.
        """
        return _combine(self, dim, rng, "product", np.ones(len(self.members)))


def _word(how: str, family: SumTeacher | ProductTeacher) -> str:
    return f"{how} of ({'; '.join(member.word for member in family.members)})"


def _combine(
    family: SumTeacher | ProductTeacher,
    dim: int,
    rng: RandomLike,
    how: Literal["sum", "product"],
    weight: FloatArray,
) -> Teacher:
    d = checks.integer("dim", dim, minimum=1)
    if not family.members:
        raise ValueError(f"a {how} of teachers needs at least one member; got none.")
    if family.groups is None:
        columns = [slice(0, d)] * len(family.members)
    else:
        sizes = [checks.integer("groups", g, minimum=1) for g in family.groups]
        if len(sizes) != len(family.members) or sum(sizes) != d:
            raise ValueError(
                f"groups must give each of the {len(family.members)} members its coordinates and sum "
                f"to the dimension {d}; got {family.groups}."
            )
        ends = np.cumsum(sizes).tolist()
        columns = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    streams = as_streams(rng)
    teachers = [
        member.sample(part.stop - part.start, streams.child(i))
        for i, (member, part) in enumerate(zip(family.members, columns, strict=True))
    ]
    outputs = {teacher.n_outputs for teacher in teachers}
    if len(outputs) != 1:
        raise ValueError(f"members must have one number of outputs; got {sorted(outputs)}.")

    function = partial(_values, teachers, columns, how, weight)
    description = _description(how, teachers, family, streams, d, weight)
    return Teacher(d, outputs.pop(), description, function)


def _values(
    teachers: list[Teacher], columns: list[slice], how: str, weight: FloatArray, x: FloatArray
) -> FloatArray:
    parts = [t.evaluate(x[:, c]) for t, c in zip(teachers, columns, strict=True)]
    if how == "product":
        return np.asarray(np.prod(parts, axis=0))
    return np.asarray(np.tensordot(weight, np.stack(parts), axes=1))


def _description(
    how: str,
    teachers: list[Teacher],
    family: SumTeacher | ProductTeacher,
    streams: Streams,
    dim: int,
    weight: FloatArray,
) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "members": [
            {"family": t.description["family"], "parameters": t.description["parameters"]}
            for t in teachers
        ],
        "groups": None if family.groups is None else list(family.groups),
    }
    if how == "sum":
        parameters["weights"] = weight.tolist()
    return {
        "family": how,
        "parameters": parameters,
        "dim": dim,
        "seed": streams.seed,
        "path": list(streams.path),
    }
