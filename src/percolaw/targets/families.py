"""Every family of teachers by its name, and teachers made again from their descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from percolaw import checks
from percolaw.rng import Streams
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher
from percolaw.targets.teacher import Teacher, TeacherFamily

FAMILIES: dict[str, type[Any]] = {
    "linear": LinearTeacher,
    "relu": ReluTeacher,
    "fourier": FourierTeacher,
    "matern": MaternTeacher,
    "sum": SumTeacher,
    "product": ProductTeacher,
}


def family_from(name: str, parameters: Mapping[str, Any]) -> TeacherFamily:
    """Return a family by its name and parameters, as they stand in a description."""
    import dataclasses

    checks.choice("family", name, FAMILIES)
    known = {field.name for field in dataclasses.fields(FAMILIES[name])}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ValueError(
            f"the {name} family has no parameter {unknown[0]!r}; it has {sorted(known)}."
        )
    values = dict(parameters)
    if "members" in values:
        values["members"] = tuple(
            family_from(member["family"], member["parameters"]) for member in values["members"]
        )
    for key in ("weights", "groups"):
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    made: TeacherFamily = FAMILIES[name](**values)
    return made


def from_description(description: Mapping[str, Any]) -> Teacher:
    """Make a teacher again from its description (plain JSON values).

    Examples
    --------
    >>> teacher = MaternTeacher(1.5, n_features=50).sample(3, rng=7)
    >>> again = from_description(teacher.description)
    >>> bool((teacher([[1.0, 2.0, 3.0]]) == again([[1.0, 2.0, 3.0]])).all())
    True
    """
    missing = {"family", "parameters", "dim", "seed"} - set(description)
    if missing:
        raise ValueError(f"this is no teacher's description: it lacks {sorted(missing)}.")
    family = family_from(description["family"], description["parameters"])
    streams = Streams(description["seed"], tuple(description.get("path", ())))
    return family.sample(description["dim"], streams)
