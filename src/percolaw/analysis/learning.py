"""Learning curves of a sample, and what its first eighth predicts of them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.by_rank import rank_losses
from percolaw.analysis.contest import expectation, hold_contest
from percolaw.analysis.prediction import FORMS, Evidence
from percolaw.analysis.sample import Sample
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.losses import scaling_curve

#: Learners, and the most training points each is given.
LEARNERS = {"nearest neighbour": 50_000, "kernel": 6000, "network": 20_000}
#: Those of strings too: the nearest by the number of letters that differ.
OF_STRINGS = ("nearest neighbour",)
#: Test points of a repeat, at most.
TESTS = 2000
#: Sizes up to an eighth of the training points from which the larger ones are predicted.
N_SMALL = 7
#: Why nothing is predicted where losses are 0 at some sizes and the others do not suffice.
ZERO = "the loss is zero at some sizes: there is hardly anything left to gain"
#: And where only one repeat has an error, or sizes are too few.
RARE = "errors are too rare, or sizes too few, to tell forms apart"


class OneHotClassifier:
    """Classes by regression on one coordinate a class: the largest answers.

    Parameters
    ----------
    regression : object with fit and predict
        Of several outputs; given points of mean square distance 1 from their centre a dimension.
    """

    def __init__(self, regression: Any) -> None:
        self.regression = regression

    def fit(self, points: npt.NDArray[Any], labels: npt.NDArray[Any]) -> OneHotClassifier:
        """Learn one function a class.

        Parameters
        ----------
        points : array, shape (n, d)
        labels : array, shape (n,)

        Returns
        -------
        OneHotClassifier
            Itself.
        """
        self.classes, number = np.unique(labels, return_inverse=True)
        checks.memory(
            16.0 * points.shape[0] * self.classes.size,
            f"a classifier of {points.shape[0]} points and {self.classes.size} classes",
            "Leave the learner out.",
        )
        self.centre = points.mean(axis=0)
        self.scale = float(np.sqrt(np.square(points - self.centre).mean())) or 1.0
        coordinates = np.eye(max(2, self.classes.size))[number]
        self.regression.fit((points - self.centre) / self.scale, coordinates)
        return self

    def predict(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the class of each point."""
        values = self.regression.predict((points - self.centre) / self.scale)
        return np.asarray(self.classes[np.argmax(values[:, : self.classes.size], axis=1)])


def check_installed(names: Sequence[str]) -> None:
    """Refuse learners that cannot be trained here, before anything is measured.

    Raises
    ------
    MissingExtraError
        For ``network`` without PyTorch.
    """
    if "network" in names:
        importlib.import_module("percolaw.neural.module")


def _learner(name: str) -> Any:
    from percolaw.learners.kernel import KernelRegression
    from percolaw.learners.neighbors import NearestNeighbors
    from percolaw.numerics.covariance import Matern

    if name == "nearest neighbour":
        return NearestNeighbors(1)
    if name == "kernel":
        return OneHotClassifier(KernelRegression(Matern(0.5), ridge=1e-6))
    from percolaw.neural.config import Training
    from percolaw.neural.mlp import MLP
    from percolaw.neural.regression import NeuralRegression

    return OneHotClassifier(NeuralRegression(MLP(), Training(learning_rate=0.01)))


def measured_curve(
    sample: Sample, level: int, learner: str, n_repeats: int, streams: Streams
) -> LearningCurve:
    """Measure the 0-1 loss of a learner on random parts of the points.

    Parameters
    ----------
    sample : Sample
        Points, or strings.
    level : int
        Resolution of the function.
    learner : str
        Of `LEARNERS`, for strings of `OF_STRINGS`.
    n_repeats : int
    streams : Streams

    Returns
    -------
    LearningCurve
        At seven sizes up to an eighth of the training points, then at a quarter, a half and all.
    """
    n_test = min(TESTS, sample.n // 5)
    most = min(LEARNERS[checks.choice("learner", learner, LEARNERS)], sample.n - n_test)
    small = np.geomspace(most / 8 / 20, most / 8, N_SMALL)
    sizes = np.unique(np.rint([*small, most / 4, most / 2, most]).astype(np.int64))
    return scaling_curve(
        _learner(learner),
        coordinates(sample),
        sample.classes[:, level],
        np.maximum(sizes, 1),
        n_repeats=n_repeats,
        n_test=n_test,
        loss="0-1",
        rng=streams,
    )


def coordinates(sample: Sample) -> npt.NDArray[np.float64]:
    """Return points as they are, and strings as points: a coordinate for each letter at each position.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    array of float64, shape (n, d)
        Strings that differ in h letters are sqrt(2 h) apart.

    Raises
    ------
    ResourceError
        If the strings as points do not fit into memory.
    """
    if sample.metric != "hamming":
        return np.asarray(sample.elements, dtype=np.float64)
    letters, code = np.unique(sample.elements, return_inverse=True)
    n, length = sample.elements.shape
    size = 8.0 * n * length * letters.size
    checks.memory(2.0 * size, f"{n} strings as points", "Take fewer, or no learner.")
    return np.asarray(np.eye(letters.size)[code.reshape(n, length)].reshape(n, -1))


def evidence_of(sample: Sample, n: int, level: int, k: int) -> Evidence:
    """Return what the first n points say of larger samples: clusters, and losses by rank.

    The exponent c/D of a cluster is left to the measured losses: one given by the dimension fails where
    boundaries are not smooth.

    Parameters
    ----------
    sample : Sample
        Points in random order.
    n, level, k : int

    Returns
    -------
    Evidence
    """
    first = sample.part(np.arange(n))
    graph = first.graph(k)
    cluster = graph.clusters(first.agreeing(graph, level))
    return Evidence(cluster, by_rank=rank_losses(first, level, 1))


def learning_rows(
    sample: Sample, level: int, learner: str, k: int, n_repeats: int, streams: Streams
) -> list[tuple[Any, ...]]:
    """Measure a learning curve and hold the predictions of its small sizes against the large ones.

    Parameters
    ----------
    sample : Sample
        Points in random order.
    level : int
    learner : str
    k : int
        Neighbours among which points are adjacent.
    n_repeats : int
    streams : Streams

    Returns
    -------
    list of tuple
        (quantity, x, value, low, high, text), the last where there is one: losses by size, predictions
        by form and size, scores by form, the margin of percolation over a power law with an offset, and
        what doubling will do.
    """
    curve = measured_curve(sample, level, learner, n_repeats, streams)
    band = curve.band("mean")
    rows: list[tuple[Any, ...]] = [
        ("loss", int(m), value, low, high)
        for m, value, low, high in zip(curve.size, band.middle, band.low, band.high, strict=True)
    ]
    positive = curve.loss.mean(axis=0) > 0.0
    usable = LearningCurve(curve.size[positive], curve.loss[:, positive])
    first = float(curve.size[-1]) / 8.0 * 1.01
    if usable.size.size < N_SMALL + 3 or np.any(usable.loss.sum(axis=0) == usable.loss.max(axis=0)):
        why = RARE if positive.all() else ZERO
        return [*rows, ("no prediction", None, None, None, None, why)]
    try:
        contest = hold_contest(evidence_of(sample, int(first), level, k), usable, first)
    except ValueError as error:
        return [*rows, ("no prediction", None, None, None, None, str(error))]
    for name in FORMS:
        rows.append((f"score of {name}", None, contest.score[name]))
        for m, value in zip(contest.size, contest.predicted[name], strict=True):
            rows.append((f"predicted by {name}", int(m), value))
    margin, ends = contest.margin("percolation", "power law + offset")
    rows.append(("margin of percolation", None, margin, *ends))
    said = expectation(evidence_of(sample, sample.n, level, k), usable, contest)
    rows.append(("fall by doubling", said.size, said.fall, *said.interval))
    rows.append(("expectation", said.size, said.loss, None, None, said.sentence))
    return rows
