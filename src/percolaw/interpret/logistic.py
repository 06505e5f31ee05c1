"""Logistic regression of many binary targets on the same inputs at once, and scores of its guesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Newton steps at most, steps of conjugate gradients in each, and the error that is left of each.
NEWTON_STEPS, GRADIENT_STEPS, LEFT = 60, 30, 0.01
#: Fall of the objective a row below which a target is done.
DONE = 1e-10
#: Least and largest ridge, in units of the mean square singular value of the inputs.
LEAST, MOST = 1e-6, 1e6


@dataclass(frozen=True, eq=False)
class Logistic:
    """Fitted logits, ``x @ weight + intercept``.

    Attributes
    ----------
    weight : array of float64, shape (width, m)
    intercept : array of float64, shape (m,)
    ridge : array of float64, shape (m,)
        Strength of the penalty, ridge |weight|^2 / 2, beside the sum of log losses.
    """

    weight: FloatArray
    intercept: FloatArray
    ridge: FloatArray

    __repr__ = short_repr

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return the logits of inputs (n, width), shape (n, m)."""
        return np.asarray(inputs @ self.weight + self.intercept)


@dataclass(frozen=True, eq=False)
class PrincipalInputs:
    """Inputs on their principal axes, each scaled to mean square 1, and a column of ones.

    There the curvature of every target is nearly diagonal, so that conjugate gradients take few steps.

    Attributes
    ----------
    rows : array of float64, shape (n, rank + 1)
    spread : array of float64, shape (rank,)
        Root mean squares on the axes.
    axes : array of float64, shape (rank, width)
    mean : array of float64, shape (width,)
    """

    rows: FloatArray
    spread: FloatArray
    axes: FloatArray
    mean: FloatArray

    __repr__ = short_repr

    @staticmethod
    def of(inputs: FloatArray) -> PrincipalInputs:
        """Rotate inputs of shape (n, width). O(n width^2)."""
        n = inputs.shape[0]
        mean = inputs.mean(axis=0)
        u, s, axes = np.linalg.svd(inputs - mean, full_matrices=False)
        rank = int(np.sum(s > 1e-10 * s.max(initial=0.0)))
        rows = np.hstack([u[:, :rank] * np.sqrt(n), np.ones((n, 1))])
        return PrincipalInputs(rows, s[:rank] / np.sqrt(n), axes[:rank], mean)

    def fit(self, labels: BoolArray, ridge: npt.ArrayLike | None = None) -> Logistic:
        """Fit all targets together, by Newton's method with conjugate gradients.

        Parameters
        ----------
        labels : array of bool, shape (n, m)
        ridge : array of float, shape (m,), optional
            If left out, chosen for each target by the marginal likelihood: MacKay's (1992) fixed point,
            with the curvature on the principal axes. It stays above a least one, so that targets that
            can be separated have finite weights.

        Returns
        -------
        Logistic

        Notes
        -----
        A product of the inputs with one column a target in each step of conjugate gradients, some
        hundred in all: O(100 n width m).
        """
        n, rank = self.rows.shape[0], self.spread.size
        unit = n * float(np.mean(self.spread**2)) if rank else 1.0
        given = np.full(labels.shape[1], unit) if ridge is None else np.asarray(ridge, dtype=float)
        strength = given.copy()
        rate = np.clip(labels.mean(axis=0), 0.5 / n, 1.0 - 0.5 / n)
        b = np.zeros((rank + 1, labels.shape[1]))
        b[-1] = np.log(rate / (1.0 - rate))
        active = np.arange(labels.shape[1])
        inverse = np.append(1.0 / self.spread**2, 0.0)[:, None]  # the intercept has no penalty
        for _ in range(NEWTON_STEPS):
            penalty = inverse * strength[active]
            moved, gain, curvature = _newton_step(
                self.rows, labels[:, active], b[:, active], penalty
            )
            b[:, active] = moved
            done = gain < DONE * n
            if ridge is None:
                effective = np.sum(n * curvature / (n * curvature + penalty[:-1]), axis=0)
                square = np.sum(inverse * moved**2, axis=0)
                new = np.clip(effective / np.maximum(square, 1e-300), unit * LEAST, unit * MOST)
                done &= np.abs(np.log(new / strength[active])) < 0.05
                strength[active] = new
            active = active[~done]
            if not active.size:
                break
        weight = self.axes.T @ (b[:-1] / self.spread[:, None])
        return Logistic(weight, b[-1] - self.mean @ weight, strength)


def _newton_step(
    q: FloatArray, labels: BoolArray, b: FloatArray, penalty: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One damped step: new coefficients, the fall of the objective, the mean curvature."""
    z = q @ b
    p = 1.0 / (1.0 + np.exp(-z))
    curvature = p * (1.0 - p)
    mean = np.maximum(curvature.mean(axis=0), 1e-12)
    step = _conjugate_gradients(q, curvature, penalty, -(q.T @ (p - labels) + penalty * b), mean)
    along, before = q @ step, _objective(z, labels, b, penalty)
    length, gain = np.ones(b.shape[1]), np.zeros(b.shape[1])
    for _ in range(30):
        after = _objective(z + length * along, labels, b + length * step, penalty)
        gain = before - after
        worse = gain < 0.0
        if not worse.any():
            break
        length[worse] *= 0.5
    length[gain < 0.0] = 0.0
    return b + length * step, np.maximum(gain, 0.0), mean


def _objective(z: FloatArray, labels: BoolArray, b: FloatArray, penalty: FloatArray) -> FloatArray:
    loss = np.where(labels, np.logaddexp(0.0, -z), np.logaddexp(0.0, z)).sum(axis=0)
    return np.asarray(loss + 0.5 * np.sum(penalty * b**2, axis=0))


def _conjugate_gradients(
    q: FloatArray, curvature: FloatArray, penalty: FloatArray, target: FloatArray, mean: FloatArray
) -> FloatArray:
    """Solve (q' diag(curvature) q + diag(penalty)) step = target, column by column, together."""
    scale = 1.0 / (q.shape[0] * mean + penalty)
    step, rest = np.zeros_like(target), target.copy()
    ready = scale * rest
    direction, square = ready.copy(), np.sum(rest * ready, axis=0)
    enough = LEFT**2 * square
    for _ in range(GRADIENT_STEPS):
        product = q.T @ (curvature * (q @ direction)) + penalty * direction
        bend = np.sum(direction * product, axis=0)
        length = square / np.where(bend > 0.0, bend, np.inf)
        step += length * direction
        rest -= length * product
        ready = scale * rest
        last, square = square, np.sum(rest * ready, axis=0)
        if np.all(square <= enough):
            break
        direction = (
            ready + np.where(last > 0.0, square / np.where(last > 0.0, last, 1.0), 0.0) * direction
        )
    return step


@dataclass(frozen=True, eq=False)
class BinaryScores:
    """How well logits guess binary targets that were held out.

    Attributes
    ----------
    auc : array of float64, shape (m,)
        Probability that a true one has a larger logit than a false one; 1/2 for guesses at random.
    gain : array of float64, shape (m,)
        1 less the log loss over that of the base rate of what was learned from; 0 and below for guesses
        at random.
    mcc : array of float64, shape (m,)
        Matthews correlation at the threshold that is best on what was learned from.
    """

    auc: FloatArray
    gain: FloatArray
    mcc: FloatArray

    __repr__ = short_repr


def log_losses(logits: FloatArray, labels: BoolArray) -> FloatArray:
    """Return the log loss of every guess.

    Parameters
    ----------
    logits : array of float64, shape (n, m)
    labels : array of bool, shape (n, m)

    Returns
    -------
    array of float64, shape (n, m)
    """
    return np.asarray(np.logaddexp(0.0, np.where(labels, -logits, logits)))


def binary_scores(
    logits: FloatArray, base: FloatArray, threshold: FloatArray, labels: BoolArray
) -> BinaryScores:
    """Score guesses.

    Parameters
    ----------
    logits, base, threshold : array of float64, shape (n, m)
        Guesses, and the logit of the base rate and the threshold that go with each of them. Guesses of
        several fits are ranked by how far they are from their base rate: it is low where many true ones
        are held out.
    labels : array of bool, shape (n, m)
        With true and false ones in every column.

    Returns
    -------
    BinaryScores
    """
    from scipy.stats import rankdata

    n, true = labels.shape[0], labels.sum(axis=0).astype(np.float64)
    ranks = np.where(labels, rankdata(np.round(logits - base, 12), axis=0), 0.0).sum(axis=0)
    auc = (ranks - true * (true + 1.0) / 2.0) / (true * (n - true))
    lost, least = (log_losses(z, labels).sum(axis=0) for z in (logits, base))
    said = logits >= threshold
    positive = said.sum(axis=0).astype(np.float64)
    both = np.sum(said & labels, axis=0)
    scale = np.sqrt(true * (n - true) * positive * (n - positive))
    mcc = np.where(scale > 0.0, (n * both - true * positive) / np.maximum(scale, 1e-300), 0.0)
    return BinaryScores(auc, 1.0 - lost / least, mcc)


def best_threshold(logits: FloatArray, labels: BoolArray) -> float:
    """Return the least logit to be called true where the Matthews correlation is largest.

    Parameters
    ----------
    logits : array of float64, shape (n,)
    labels : array of bool, shape (n,)
        With a true and a false one.

    Returns
    -------
    float
        Infinity where nothing is better than calling none true.
    """
    order = np.argsort(-logits, kind="stable")
    score, n, true = logits[order], labels.size, int(labels.sum())
    both, said = np.cumsum(labels[order]), np.arange(1.0, n + 1.0)
    ends = np.append(score[1:] < score[:-1], False)  # ties are called alike; all true tells nothing
    spread = np.sqrt(np.maximum(said * (n - said), 1e-300))
    correlation = np.where(ends, (n * both - true * said) / spread, 0.0)
    best = int(correlation.argmax())
    return float(score[best]) if correlation[best] > 0.0 else float("inf")
