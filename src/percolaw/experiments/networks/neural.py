"""What the experiments with neural students share: problems, students, convergence, causes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.sources import Source
from percolaw.experiments.base import SCRATCH, Row
from percolaw.neural.config import Student, Training
from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network
from percolaw.neural.trained import Trained
from percolaw.neural.training import train
from percolaw.neural.transformer import Transformer
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit
from percolaw.targets.families import standardized_values
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Architecture: TypeAlias = Literal["mlp", "residual", "transformer"]

#: Share of students that must not diverge for a point to count.
LEAST_FINITE = 0.8
#: Seed whose students are also trained with a doubled budget.
DOUBLED_SEED = 0
#: What the reference is called: one kernel for every architecture, that of an infinitely wide MLP which
#: does not learn features and has trained unit biases, without optimiser. It is not the students' limit.
WIDE = "tangent kernel (NTK parametrisation, unit biases)"
#: Kernels by the name of their losses in rows: the reference, and the one with which a student begins to
#: learn as its width grows, under gradient descent.
KERNELS = {"wide": WIDE, "own": "tangent kernel of their own limit"}


def student_network(
    architecture: str, depth: int, width: int, parametrization: Any = "mup"
) -> Network:
    """Return a network by the words of a config.

    Parameters
    ----------
    architecture : {"mlp", "residual", "transformer"}
    depth, width : int
    parametrization : str

    Returns
    -------
    Network
    """
    checks.choice("architecture", architecture, ("mlp", "residual", "transformer"))
    if architecture == "transformer":
        return Transformer(depth, width, parametrization=parametrization)
    return MLP(depth, width, parametrization=parametrization, residual=architecture == "residual")


def check_names(field: str, names: Sequence[Any]) -> None:
    """Refuse an empty list, and one that names something twice.

    Parameters
    ----------
    field : str
        For the message.
    names : sequence

    Raises
    ------
    ValueError
        In both cases.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"{field} must be named once each, one at least; got {tuple(map(str, names))}."
        )


def check_sources(field: str, sources: Sequence[Source]) -> None:
    """Refuse an empty list, one that names something twice, and points of unknown dimension.

    Parameters
    ----------
    field : str
        For the message.
    sources : sequence of Source

    Raises
    ------
    ValueError
        In these cases.
    """
    check_names(field, sources)
    for source in sources:
        if source.dimension is None:
            raise ValueError(
                f"{field}: the dimension of {source} is not known, and exponents are held against it. "
                "Take points of known dimension; of a file, percolaw analyze says what can be said."
            )


def predicted_exponent(source: Source, target: TeacherFamily, most: float) -> float | None:
    """Return c/D with an order c of at most `most`; None of analytic targets, which have none.

    Parameters
    ----------
    source : Source
        Of known dimension D.
    target : TeacherFamily
    most : float
        Largest order that the students can use.

    Returns
    -------
    float or None
    """
    order, dimension = target.approximation_order, known_dimension(source)
    return min(order, most) / dimension if math.isfinite(order) else None


def known_dimension(source: Source) -> float:
    """Return the dimension of a source that `check_sources` has seen."""
    return float(source.dimension or math.nan)


def budgets(n_seeds: int) -> tuple[tuple[str, range | list[int]], ...]:
    """Return what is trained, and by which seeds: all as planned, one with a doubled budget."""
    return ("train", range(n_seeds)), ("doubled", [DOUBLED_SEED])


@dataclass(frozen=True, eq=False)
class Problem:
    """Points and teachers that students learn.

    Attributes
    ----------
    streams : Streams
        Of the points; what else is random comes from its children.
    x : array of float64, shape (n, d)
        Standardised points.
    y : array of float64, shape (n, n_teachers)
    test, validation, pool : array of int64
        Rows that are tested on, validated on, and learned from.
    """

    streams: Streams
    x: FloatArray
    y: FloatArray
    test: Rows
    validation: Rows
    pool: Rows

    def students(self, seed: int, sizes: Sequence[int] = ()) -> list[Student]:
        """Return a student for each teacher and number of training points (all if none is given).

        Parameters
        ----------
        seed : int
        sizes : sequence of int
            Numbers of training points, the first ones of the pool.

        Returns
        -------
        list of Student
            All sizes of the first teacher, then of the next.
        """
        return [
            Student(seed, self.pool[:n], self.validation, target=j)
            for j in range(self.y.shape[1])
            for n in sizes or (self.pool.size,)
        ]


def problem(
    source: Source,
    targets: Sequence[TeacherFamily],
    seed: int,
    *,
    n_train: int,
    n_validation: int,
    n_test: int,
) -> Problem:
    """Draw points and a teacher of each family.

    Parameters
    ----------
    source : Source
    targets : sequence of TeacherFamily
    seed : int
    n_train, n_validation, n_test : int
        Points.

    Returns
    -------
    Problem
    """
    streams = Streams(seed).child(*source.key)
    x = source.inputs(n_train + n_validation + n_test, streams)
    y = standardized_values(targets, x, streams)
    return Problem(streams, x, y, *parts(x.shape[0], n_test, n_validation))


def parts(n: int, n_test: int, n_validation: int) -> tuple[Rows, Rows, Rows]:
    """Return the rows of n points that are tested on, validated on, and learned from.

    Parameters
    ----------
    n, n_test, n_validation : int

    Returns
    -------
    test, validation, pool : arrays of int64
    """
    rows = np.arange(n)
    held = n_test + n_validation
    return rows[:n_test], rows[n_test:held], rows[held:]


def train_and_test(
    network: Network,
    x: FloatArray,
    y: FloatArray,
    students: list[Student],
    training: Training,
    test: npt.NDArray[np.int64],
) -> tuple[Trained, list[Row]]:
    """Train students and return them with a row for each: its losses, and how it came to its end.

    Parameters
    ----------
    network : Network
    x : array, shape (n, d)
    y : array, shape (n, n_teachers)
    students : list of Student
    training : Training
    test : array of int64
        Rows that are tested on.

    Returns
    -------
    trained : Trained
    rows : list of dict
        ``loss`` is None where a student diverged.
    """
    x = np.asarray(x, dtype=np.float64 if training.dtype == "float64" else np.float32)
    trained = train(network, x, y, students, training, checkpoint=SCRATCH.get())
    rows = []
    for i, student in enumerate(students):
        rows.append(
            {
                "validation": _number(trained.validation_loss[i]),
                "train": _number(trained.train_loss[i]),
                "gradient_norm": _number(trained.gradient_norm[i]),
                "steps": int(trained.steps[i]),
                "stopped": trained.stopped[i],
                "curve": [_number(v) for v in trained.validation_curve[:, i] if not math.isnan(v)],
                "target": student.target,
            }
        )
    predicted = trained.predict(x[test])[:, :, 0]
    for row, student, out in zip(rows, students, predicted, strict=True):
        loss = float(np.mean((out - y[test, student.target]) ** 2))
        row["loss"] = None if row["stopped"] == "diverged" else _number(loss)
    return trained, rows


def allowed_gap(largest: float, first: float, shift: float) -> float:
    """Return the relative change in loss at one end of the sizes from `first` on that moves an exponent
    by half of `shift`: what a doubled budget may gain at most where training has converged.

    Parameters
    ----------
    largest, first : float
        Ends of the sizes.
    shift : float
        Of the exponent.

    Returns
    -------
    float
    """
    return float((largest / first) ** (0.5 * shift) - 1.0)


def trained_and_doubled(
    rows: list[Row], source: Source, target: TeacherFamily
) -> tuple[list[Row], list[Row]]:
    """Return the rows of a setting and teacher: of all seeds, and of doubled budgets.

    Parameters
    ----------
    rows : list of dict
    source : Source
    target : TeacherFamily

    Returns
    -------
    measured, doubled : list of dict
    """
    mine = [r for r in rows if (r["points"], r["teacher"]) == (source.word, target.word)]
    measured, doubled = ([r for r in mine if r["kind"] == k] for k in ("train", "doubled"))
    return measured, doubled


def losses(rows: list[Row], size: str, loss: str = "loss") -> LearningCurve:
    """Return one number a row as a curve over sizes and seeds; NaN where students diverged.

    Parameters
    ----------
    rows : list of dict
        Rows of one setting and teacher, in any order.
    size, loss : str
        What sizes and losses are called in them.

    Returns
    -------
    LearningCurve
    """
    seeds, sizes = (sorted({r[key] for r in rows}) for key in ("seed", size))
    value = np.full((len(seeds), len(sizes)), np.nan)
    for r in rows:
        if r[loss] is not None:
            value[seeds.index(r["seed"]), sizes.index(r[size])] = r[loss]
    return LearningCurve(np.array(sizes), value)


def gaps(rows: list[Row], doubled: list[Row], size: str) -> FloatArray:
    """Return what a doubled budget gains in validation loss, (n_sizes,); NaN where it is not known.

    Parameters
    ----------
    rows, doubled : list of dict
        Rows of one setting and teacher.
    size : str
        What sizes are called in them.

    Returns
    -------
    array of float64, shape (n_sizes,)
    """
    place = {(r["seed"], r[size]): r["validation"] for r in rows}
    sizes = sorted({r[size] for r in rows})
    gap = np.full(len(sizes), np.nan)
    for row in doubled:
        before = place.get((row["seed"], row[size]))
        if before and row["validation"]:
            gap[sizes.index(row[size])] = before / row["validation"] - 1.0
    return gap


def learning_curve(
    rows: list[Row], doubled: list[Row], size: str, allowed: float, least: float = 0.0
) -> LearningCurve:
    """Return the test losses of students; usable are the sizes at which training converged.

    A size has converged if at least `LEAST_FINITE` of its students did not diverge, and a doubled
    budget improved the validation loss by no more than `allowed` (relative), at this size or at
    the next larger one that was tried. Students that diverged are left out.

    Parameters
    ----------
    rows, doubled : list of dict
        Rows of one setting and teacher, with ``seed``, ``loss``, ``validation`` and the size under the
        name `size`.
    size : str
        What sizes are called in the rows.
    allowed : float
    least : float
        Mean loss at and below which a size is not usable either.

    Returns
    -------
    LearningCurve
    """
    curve, gap = losses(rows, size), gaps(rows, doubled, size)
    known = np.flatnonzero(np.isfinite(gap))
    steady = [
        bool(np.any(known >= j)) and gap[known[known >= j][0]] <= allowed for j in range(gap.size)
    ]
    finite = np.isfinite(curve.loss).mean(axis=0) >= LEAST_FINITE
    usable = finite & np.array(steady) & (curve.mean() > least)
    return LearningCurve(curve.size, curve.loss, usable)


def rough_exponent(curve: LearningCurve) -> float:
    """Return the slope over all sizes, converged or not, for claims that nothing can decide; 0 for
    fewer than two."""
    mean = curve.mean()
    good = np.isfinite(mean)
    if good.sum() < 2:
        return 0.0
    return -log_slope(curve.size[good], mean[good])


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return d log y / d log x by least squares, through two points or more.

    Parameters
    ----------
    x, y : array, shape (n,), positive

    Returns
    -------
    float
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def fit_note(line: PowerLawFit | None, more: str = "") -> str:
    """Say on how much an exponent rests, and `more`.

    Parameters
    ----------
    line : PowerLawFit or None
    more : str
    """
    if line is None:
        text = "less than a decade of converged points"
    else:
        decades = math.log10(line.window[1] / line.window[0])
        text = f"{decades:.1f} decades, {line.n_seeds} seeds"
    return "; ".join(part for part in (text, more) if part)


def cause(
    predicted: float,
    line: PowerLawFit | None,
    wide: PowerLawFit | None,
    apart: PowerLawFit | None,
    wide_local: FloatArray,
    tolerance: float,
) -> str:
    """Say what the evidence supports where a network misses the prediction.

    The tangent kernel of an infinitely wide MLP (NTK parametrisation, trained unit biases), on the
    same data, has no optimiser, no width and learns no features: what it shares is due to teacher, sizes
    or theory, the rest to these three or to the students' own parametrisation and architecture.

    Parameters
    ----------
    predicted, tolerance : float
        Exponent, and what counts as equal.
    line, wide, apart : PowerLawFit or None
        Of the network, of the tangent kernel, and of the ratio of their losses, seed by seed.
    wide_local : array, shape (n_sizes,)
        Local exponents of the tangent kernel, NaN where they are not known.
    """
    if line is None:
        return "optimisation: too few points converged"
    if _near(line.interval, predicted, tolerance):
        return ""
    if wide is None or apart is None:
        return "open: no limit to compare with"
    if not _near(apart.interval, 0.0, tolerance):
        return (
            f"width, training, features or parametrisation: the {WIDE} has {wide.exponent:.2f} on "
            "the same data, and these points converged"
        )
    if _near(wide.interval, predicted, tolerance):
        return f"small: the {WIDE} has {wide.exponent:.2f}, which agrees with both"
    local = wide_local[np.isfinite(wide_local)]
    if local.size < 4:
        return (
            f"open: the {WIDE} misses it as much ({wide.exponent:.2f}); too few sizes to say more"
        )
    first, last = local[1], local[-2]
    seen = f"(local {first:.2f}, then {last:.2f})"
    # Moving means by a tenth of what is missing, at least.
    if abs(first - predicted) - abs(last - predicted) > 0.1 * abs(first - predicted):
        return (
            f"sizes: the {WIDE} misses it as much ({wide.exponent:.2f}) and moves towards it {seen}"
        )
    return (
        f"teacher or theory: the {WIDE} misses it as much ({wide.exponent:.2f}) and does not move "
        f"towards it {seen}"
    )


def _near(interval: tuple[float, float], value: float, tolerance: float) -> bool:
    return interval[0] <= value + tolerance and interval[1] >= value - tolerance


def _number(value: float) -> float | None:
    """Six digits are all that is kept of a loss; None for what is not a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
