"""Learning curves of kernels with the exponents they should have, and the plots they are shown in.

`last_decade` chooses the sizes on which an exponent is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.datasets.sources import FiniteCluster, InfiniteCluster, LatticeCluster, Source
from percolaw.experiments import plots
from percolaw.experiments.claims import Claim
from percolaw.experiments.series import Series
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

N_TRAIN = "training points n"


@dataclass(frozen=True, eq=False)
class Learned:
    """One learning curve, the exponent it should have, and the one it has on its last decade.

    Attributes
    ----------
    label : str
        What is learned, in a legend.
    order : float
        c of what is learned, as far as the learner can use it; NaN where no power is known.
    dimension : float
        D of the points.
    curve : LearningCurve
    line : PowerLawFit, optional
        None if less than a decade can be used.
    claim : Claim, optional
        Verdict on the exponent.
    """

    label: str
    order: float
    dimension: float
    curve: LearningCurve
    line: fit.PowerLawFit | None
    claim: Claim | None = None

    @property
    def predicted(self) -> float:
        """The exponent c/D."""
        return self.order / self.dimension


def n_used(curve: LearningCurve) -> int:
    """Return how many sizes, the smallest ones, are used."""
    return curve.size.size if curve.usable is None else int(curve.usable.sum())


def last_decade(curve: LearningCurve) -> fit.PowerLawFit | None:
    """Return the fit on the last decade of sizes that are used, from the nearest size below it."""
    n = curve.size[: n_used(curve)]
    if n.size < 3 or n[-1] < 10 * n[0]:
        return None
    high = float(n[-1])
    return curve.fit((float(n[n <= high / 10.0][-1]), high))


def local_exponents(curve: LearningCurve) -> FloatArray:
    """Return the local exponents of the mean loss at the sizes that are used, two at least."""
    last = max(n_used(curve), 2)
    return fit.local_exponents(curve.size[:last], curve.loss.mean(axis=0)[:last])


def with_slope(one: Learned) -> Iterable[Series]:
    """Return a learning curve, mean over seeds, and the power law that is predicted beside its fit."""
    claims, name = [] if one.claim is None else [one.claim], one.label
    yield plots.curve(name, one.curve, how="mean", claims=claims, fitted=one.line, group=name)
    if one.line is not None and math.isfinite(one.predicted):
        yield plots.slope(f"{name}, predicted slope", one.line, one.predicted, group=name)


def curve_plots(expected: Mapping[Source, Sequence[Learned]]) -> Iterable[plots.Plot]:
    """Return expected losses of the matching students, a panel for each source."""
    for source, laws in expected.items():
        yield plots.log_log(
            f"kernel-scaling-{plots.slug(source.word)}",
            f"{source}: teachers by smoothness nu",
            "Expected loss of the matching kernel student against training points; "
            "the smoother the teacher, the steeper.",
            (N_TRAIN, "expected loss"),
            [series for law in laws for series in with_slope(law)],
            plots.hull(law.line for law in laws),
            figure="kernel-scaling-curves",
            hollow="from the floor of rounding on",
        )


def teacher_plots(
    network: Mapping[Source, Sequence[Learned]], student: str
) -> Iterable[plots.Plot]:
    """Return losses of one student on every teacher, a panel for each source.

    Parameters
    ----------
    network : mapping of sequence of Learned
        Curves by source, one a teacher.
    student : str
        Its name in titles.

    Returns
    -------
    iterable of Plot
    """
    for source, laws in network.items():
        yield plots.log_log(
            f"kernel-scaling-teachers-{plots.slug(source.word)}",
            f"{source}: every teacher, {student}",
            "Loss of an infinitely wide network on each kind of teacher against training points.",
            (N_TRAIN, "mean squared error / variance"),
            [series for law in laws for series in with_slope(law)],
            plots.hull(law.line for law in laws),
            figure="kernel-scaling-teachers",
        )


def exponent_plot(expected: Mapping[Source, Sequence[Learned]]) -> plots.Plot:
    """Return measured exponents against the order of the teacher, beside c/D."""
    series: list[Series] = []
    for source, laws in expected.items():
        fitted = [(law, law.line) for law in laws if law.line is not None]
        if not fitted:
            continue
        name = f"{source} (D = {fitted[0][0].dimension:.4g})"
        orders, lines = [law.order for law, _ in fitted], [line for _, line in fitted]
        low, high = zip(*(line.interval for line in lines), strict=True)
        series.append(
            plots.points(
                name,
                orders,
                [line.exponent for line in lines],
                low,
                high,
                interval="95% interval of the fit over seeds",
                n_seeds=laws[0].curve.n_seeds,
                prediction=f"{name}, c/D",
                group=name,
            )
        )
        predicted = [law.predicted for law, _ in fitted]
        series.append(plots.line(f"{name}, c/D", "theory", orders, predicted, group=name))
    return plots.log_log(
        "kernel-scaling-exponents",
        "Exponents against the order of the teacher",
        "Measured exponents rise with the order c of the teacher along c/D, one line for each D.",
        ("order of the teacher c = 2 nu", "measured exponent, last decade"),
        series,
        fit=False,
        figure="kernel-scaling",
    )


def convergence_plots(expected: Mapping[Source, Sequence[Learned]]) -> Iterable[plots.Plot]:
    """Return local over predicted exponents on clusters, a panel for each teacher."""
    clusters = {
        source: laws
        for source, laws in expected.items()
        if isinstance(source, (InfiniteCluster, FiniteCluster, LatticeCluster))
    }
    labels = dict.fromkeys(law.label for laws in clusters.values() for law in laws)
    for i, label in enumerate(labels):
        series, top = [], 1.3
        for source, laws in clusters.items():
            local = local_exponents(laws[i].curve)
            ratio = local[1:-1] / laws[i].predicted
            top = max(top, 1.05 * float(np.max(ratio, initial=0.0)))
            n = laws[i].curve.size[1 : local.size - 1]
            each = np.array([local_exponents(seed)[1:-1] for seed in laws[i].curve.seeds()])
            ends = np.quantile(each / laws[i].predicted, (0.16, 0.84), axis=0)
            series.append(
                plots.points(
                    *(source.label, n, ratio, *ends),
                    interval=plots.PERCENTILES,
                    n_seeds=len(each),
                    joined=True,
                )
            )
        sizes = clusters and next(iter(clusters.values()))[i].curve.size
        series.append(plots.line("1", "theory", sizes, 1.0))
        yield plots.log_linear(
            f"kernel-scaling-convergence-{plots.slug(label)}",
            f"Convergence on clusters, {label}",
            "Local exponents over the predicted ones against training points: they come near 1, slowly "
            "for smooth teachers and high embedding dimensions.",
            (N_TRAIN, "local exponent / predicted"),
            series,
            figure="kernel-scaling-convergence",
            y_limits=(0.0, min(top, 2.0)),
        )
