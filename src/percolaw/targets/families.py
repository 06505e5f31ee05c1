"""Every family of teachers: made again from a description, named by a word, drawn on points."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import Streams
from percolaw.targets.combined import ProductTeacher, SumTeacher
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher
from percolaw.targets.teacher import Teacher, TeacherFamily
from percolaw.words import read_word

FAMILIES: dict[str, type[Any]] = {
    "linear": LinearTeacher,
    "relu": ReluTeacher,
    "fourier": FourierTeacher,
    "matern": MaternTeacher,
    "sum": SumTeacher,
    "product": ProductTeacher,
}


def family_from(name: str, parameters: Mapping[str, Any]) -> TeacherFamily:
    """Return a family by its name and parameters, as they stand in a description.

    Parameters
    ----------
    name : str
    parameters : mapping
        Plain values of its fields.

    Returns
    -------
    TeacherFamily

    Raises
    ------
    ValueError
        For an unknown family, a parameter that it does not have, and values that it refuses.
    """
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
    family: TeacherFamily = FAMILIES[name](**values)
    return family


def from_description(description: Mapping[str, Any]) -> Teacher:
    """Make a teacher again from its description (plain JSON values).

    Raises
    ------
    ValueError
        If the description lacks a part, and as `family_from` says.

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


_NUMBER = r"(\d+(?:\.\d+)?)"
#: What every word looks like, typed in small letters or capitals, and what it stands for.
_PATTERNS: dict[str, Callable[[re.Match[str]], TeacherFamily | None]] = {
    "(?i)linear": lambda m: LinearTeacher(),
    "(?i)Fourier": lambda m: FourierTeacher(),
    r"(?i)ReLU (\d+) x (\d+)": lambda m: ReluTeacher(int(m[1]), int(m[2])),
    r"(?i)ReLU (\d+) x (\d+), no biases": lambda m: dataclasses.replace(
        sharma_kaplan_teacher(), depth=int(m[1]), width=int(m[2])
    ),
    rf"(?i)Mat[ée]rn {_NUMBER}": lambda m: MaternTeacher(float(m[1])),
    r"(?i)(sum|product) of \((.+)\)": lambda m: _combined(m[1], m[2]),
}


def _combined(how: str, words: str) -> SumTeacher | ProductTeacher | None:
    """The family of families between semicolons; None if the brackets around them are not a pair."""
    depth = np.cumsum([(sign == "(") - (sign == ")") for sign in words])
    if depth.min() < 0:
        return None
    ends = [i for i, sign in enumerate(words) if sign == ";" and depth[i] == 0]
    parts = [words[a:b].strip("; ") for a, b in itertools.pairwise([0, *ends, len(words)])]
    return (SumTeacher if how.lower() == "sum" else ProductTeacher)(tuple(map(parse_target, parts)))


def parse_target(word: str) -> TeacherFamily:
    """Return the family of teachers that a word names.

    Raises
    ------
    ValueError
        For other words, with those there are.

    Examples
    --------
    >>> parse_target("Matérn 0.5").approximation_order, parse_target("linear").word
    (1.0, 'linear')
    """
    family: TeacherFamily | None = read_word(word, _PATTERNS, "teacher")
    if family is not None:
        return family
    raise ValueError(
        f"unknown teacher {word!r}; there are 'linear', 'Fourier', 'ReLU 8 x 16' (depth and width), "
        "'ReLU 2 x 600, no biases' (as Sharma and Kaplan's) and 'Matérn 0.5' (nu), each with numbers of "
        "your choice, and further parameters after commas: 'Matérn 0.5, length_scale = 2.0'; and "
        "'sum of (linear; Matérn 0.5)', or product."
    )


def drawn_values(
    target: TeacherFamily,
    points: npt.NDArray[np.float64],
    streams: Streams,
    *,
    n_waves: int = 0,
) -> npt.NDArray[np.float64]:
    """Draw one function of a family and return its values, not standardised.

    Parameters
    ----------
    target : family of one output
    points : array of float64, shape (n, d)
    streams : Streams
        The family draws from ``streams.child(*family.key)``.
    n_waves : int
        As in `standardized_values`.

    Returns
    -------
    array of float64, shape (n,)
    """
    target_streams = streams.child(*target.key)
    if isinstance(target, MaternTeacher) and not n_waves:
        return target.on_points(points, target_streams).value
    if isinstance(target, MaternTeacher):
        target = dataclasses.replace(target, n_features=n_waves)
    return target.sample(points.shape[1], target_streams)(points)


def standardized_values(
    targets: Sequence[TeacherFamily],
    points: npt.NDArray[np.float64],
    streams: Streams,
    *,
    n_waves: int = 0,
) -> npt.NDArray[np.float64]:
    """Draw one function of every family and return its values, of mean 0 and variance 1 on the points.

    Parameters
    ----------
    targets : sequence of families of one output
    points : array of float64, shape (n, d)
    streams : Streams
        Each family draws from ``streams.child(*family.key)``: what it gives depends on no other.
    n_waves : int
        0: Matérn fields are drawn on the points (exactly up to 8000 of them). Otherwise they are sums
        of so many waves, for numbers of points that no factorisation reaches.

    Returns
    -------
    array of float64, shape (n, n_targets)
    """
    drawn = (drawn_values(target, points, streams, n_waves=n_waves) for target in targets)
    return np.stack([(y - y.mean()) / y.std() for y in drawn], axis=1)
