"""What the experiments with neural students share: students by name, convergence, exponents, causes."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments.base import SCRATCH, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.mlp import MLP
from percolaw.learners.neural.network import Network
from percolaw.learners.neural.trained import Trained
from percolaw.learners.neural.training import train
from percolaw.learners.neural.transformer import Transformer
from percolaw.scaling import fit

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
#: The kernel with which a student begins to learn as its width grows, under gradient descent.
OWN = "tangent kernel of their own limit"


def student_network(
    architecture: str, depth: int, width: int, parametrization: Any = "mup"
) -> Network:
    """Return a network by the words of a config."""
    checks.choice("architecture", architecture, ("mlp", "residual", "transformer"))
    if architecture == "transformer":
        return Transformer(depth, width, parametrization=parametrization)
    return MLP(depth, width, parametrization=parametrization, residual=architecture == "residual")


def check_names(field: str, names: tuple[Any, ...]) -> None:
    """Refuse an empty list, and one that names something twice."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{field} must be named once each, one at least; got {names}.")


def parts(n: int, n_test: int, n_validation: int) -> tuple[Rows, Rows, Rows]:
    """Return the rows of n points that are tested on, validated on, and learned from."""
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
    """Train students and return them with a row for each: its losses, and how it came to its end."""
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


def allowed_gap(sizes: list[int], first: float, shift: float) -> float:
    """Return the relative change in loss at one end of the sizes from `first` on that moves an exponent
    by half of `shift`: what a doubled budget may gain at most where training has converged."""
    return float((max(sizes) / first) ** (0.5 * shift) - 1.0)


def gather(
    rows: list[Row], doubled: list[Row], key: str, sizes: list[int], allowed: float
) -> dict[str, Any]:
    """Return losses by seed and size, and which sizes converged.

    A point has converged if at least `LEAST_FINITE` of its students did not diverge, and a doubled
    budget improved the validation loss by no more than `allowed` (relative), at this size or at
    the next larger one that was tried. Students that diverged are left out.

    Parameters
    ----------
    rows, doubled : list
        Rows of one setting and teacher, with ``seed``, ``loss``, ``validation``, ``stopped`` and the size
        under `key`.
    """
    seeds = sorted({r["seed"] for r in rows})
    place = {(r["seed"], r[key]): r for r in rows}
    loss = np.full((len(seeds), len(sizes)), np.nan)
    plateau = np.full(loss.shape, np.nan)
    for i, seed in enumerate(seeds):
        for j, size in enumerate(sizes):
            row = place.get((seed, size))
            if row is not None and row["loss"] is not None:
                loss[i, j] = row["loss"]
                plateau[i, j] = row["stopped"] == "plateau"
    gap = np.full(len(sizes), np.nan)
    for row in doubled:
        before = place.get((row["seed"], row[key]))
        if before is not None and before["validation"] and row["validation"]:
            gap[sizes.index(row[key])] = before["validation"] / row["validation"] - 1.0
    known = np.flatnonzero(np.isfinite(gap))
    nearest = [known[known >= j][0] if np.any(known >= j) else -1 for j in range(len(sizes))]
    steady = np.array([j >= 0 and bool(gap[j] <= allowed) for j in nearest])
    finite = np.isfinite(loss).mean(axis=0) >= LEAST_FINITE
    return {
        "sizes": sizes,
        "loss": loss,
        "converged": steady & finite,
        "gap": gap,
        "plateau": np.array([_mean(column) for column in plateau.T]),
    }


def exponent(
    sizes: list[int], loss: FloatArray, use: npt.NDArray[np.bool_], first: float
) -> fit.PowerLawFit | None:
    """Return the fit over the sizes from `first` on that may be used; None over less than a decade."""
    size = np.array(sizes)
    chosen = use & (size >= first)
    whole = np.isfinite(loss[:, chosen]).all(axis=1)
    part, used = loss[whole][:, chosen], size[chosen]
    if part.shape[0] < 1 or used.size < 3 or used[-1] < 10 * used[0] * (1 - 1e-9):
        return None
    return fit.fit_power_law(used, part)


def rough_exponent(sizes: list[int], loss: FloatArray) -> float:
    """Return the slope over all points, converged or not, for claims that nothing can decide; 0 for
    fewer than two."""
    mean = means(loss)
    good = np.isfinite(mean)
    if good.sum() < 2:
        return 0.0
    return float(-np.polyfit(np.log(np.array(sizes)[good]), np.log(mean[good]), 1)[0])


def summary(
    found: dict[str, Any], line: fit.PowerLawFit | None, predicted: float | None
) -> dict[str, Any]:
    """Return a curve as plain values for figures and reports."""
    loss = found["loss"]
    mean = means(loss)
    size = np.array(found["sizes"], dtype=float)
    good = np.isfinite(mean)
    local = np.full(mean.size, np.nan)
    if good.sum() > 2:
        local[good] = fit.local_exponents(size[good], mean[good])
    return {
        "sizes": found["sizes"],
        "mean": _plain(mean),
        "low": _plain([_quantile(column, 0.16) for column in loss.T]),
        "high": _plain([_quantile(column, 0.84) for column in loss.T]),
        "local": _plain(local),
        "converged": found["converged"].tolist(),
        "gap": _plain(found["gap"]),
        "plateau": _plain(found["plateau"]),
        "exponent": None if line is None else line.exponent,
        "interval": [None, None] if line is None else _plain(line.interval),
        "window": None if line is None else list(line.window),
        "predicted": predicted,
    }


def claim(
    name: str,
    source: str,
    predicted: float,
    line: fit.PowerLawFit | None,
    tolerance: float,
    note: str,
    rough: float,
) -> Claim:
    """Judge an exponent; inconclusive without a decade of converged points, with the `rough` one."""
    if line is None:
        reason = "less than a decade of converged points"
        return judge(
            name, source, predicted, rough, (-math.inf, math.inf), tolerance, f"{reason}; {note}"
        )
    decades = math.log10(line.window[1] / line.window[0])
    return judge(
        name,
        source,
        predicted,
        line.exponent,
        line.interval,
        tolerance,
        f"{decades:.1f} decades, {line.n_seeds} seeds" + (f"; {note}" if note else ""),
    )


def cause(
    predicted: float,
    line: fit.PowerLawFit | None,
    wide: fit.PowerLawFit | None,
    apart: fit.PowerLawFit | None,
    wide_local: list[float | None],
    tolerance: float,
) -> str:
    """Say what the evidence supports where a network misses the prediction.

    The tangent kernel of an infinitely wide MLP (NTK parametrisation, trained unit biases), on the
    same data, has no optimiser, no width and learns no features: what it shares is due to teacher, sizes
    or theory, the rest to these three or to the students' own parametrisation and architecture.

    Parameters
    ----------
    line, wide, apart : PowerLawFit or None
        Of the network, of the tangent kernel, and of the ratio of their losses, seed by seed.
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
    local = [v for v in wide_local if v is not None]
    if len(local) < 4:
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


def _plain(values: Any) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]


def _mean(values: FloatArray) -> float:
    good = values[np.isfinite(values)]
    return float(good.mean()) if good.size else math.nan


def means(loss: FloatArray) -> FloatArray:
    """Return the geometric mean over seeds (rows) at every size; NaN where there is none."""
    return np.array([_geometric(column) for column in loss.T])


def _geometric(values: FloatArray) -> float:
    good = values[np.isfinite(values)]
    return float(np.exp(np.log(np.maximum(good, 1e-300)).mean())) if good.size else math.nan


def _quantile(values: FloatArray, q: float) -> float:
    good = values[np.isfinite(values)]
    return float(np.quantile(good, q)) if good.size else math.nan
