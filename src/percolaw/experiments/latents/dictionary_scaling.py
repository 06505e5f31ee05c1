"""Dictionaries on many manifolds: how loss and features found grow with the number of atoms."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, units
from percolaw.experiments.fields import JUDGED, Bytes, Range, Rising, Seeds, Tolerance
from percolaw.experiments.networks.convergence import log_slope
from percolaw.experiments.seeds import pivot
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.neural.config import NEVER_STOP, Training
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

#: Share of an atom's square inside the plane of a feature from which it belongs to it.
BELONGS = 0.8


@dataclass(frozen=True)
class DictionaryScaling(NeedsTorch):
    """Sparse autoencoders with one code a point on circles of Zipf weights, in planes of their own."""

    name: ClassVar[str] = "dictionary-scaling"
    title: ClassVar[str] = "Dictionaries on manifolds: loss and features found against atoms"
    source: ClassVar[str] = "docs/theory.md (exact split of atoms over circles)"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_features": 24,
                "n_points": 1000,
                "rank_exponents": (1.0,),
                "atoms": (4, 8, 16),
                "resamplings": (0, 1),
                "training": Training(
                    learning_rate=0.02, steps=30, batch_size=64, patience=NEVER_STOP
                ),
            },
            "10 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "6 min, estimated", "1.5 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "n_features": 1000,
                "n_points": 200_000,
                "atoms": (16, 32, 64, 128, 256, 512, 1024, 2048),
                "training": Training(
                    learning_rate=3e-3, steps=10_000, batch_size=1024, patience=NEVER_STOP
                ),
            },
            "28 min, estimated",
            "32 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent points and dictionaries of each size."""
    n_features: Annotated[int, Range(4), Bytes(400.0)] = 128
    """Circles, each in a plane of its own."""
    rank_exponents: tuple[float, ...] = (1.0, 3.0)
    """alpha: feature i is there with probability ~ i^-(1 + alpha). A circle has beta = 2."""
    atoms: Annotated[tuple[int, ...], Range(2), Rising(3)] = (4, 16, 64)
    """Sizes of the dictionaries."""
    resamplings: Annotated[tuple[int, ...], Range(0)] = (0, 3)
    """How often dead atoms are replaced by badly explained points while a dictionary is trained."""
    budgets: Annotated[tuple[int, ...], Range(1), Rising(2)] = (1, 2)
    """Multiples of the steps of `training` for which dictionaries are trained; claims are on the last."""
    n_points: Annotated[int, Range(500)] = 20_000
    """Points, each of one feature; a tenth of them choose the best evaluation and are tested on."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=1000, batch_size=256, patience=NEVER_STOP
    )
    """How dictionaries are trained."""
    loss_tolerance: Tolerance = 0.15
    """Relative excess over the least loss that counts as reaching it."""
    doubling_tolerance: Annotated[float, Range(0.0), JUDGED] = 0.05
    """Relative change of the loss from the last but one budget to the last that counts as converged."""
    tolerance: Annotated[float, Range(0.0), JUDGED] = 0.1
    """Deviation of an exponent that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if min(self.rank_exponents) <= 0.0:
            raise ValueError(f"rank_exponents must be positive; got {self.rank_exponents}.")

    def cells(self) -> list[Cell]:
        """A unit is an exponent, a size, a rule of dead atoms, a number of steps and a seed."""
        return units(
            rank_exponent=self.rank_exponents,
            n_atoms=self.atoms,
            resamplings=self.resamplings,
            budget=self.budgets,
            seed=range(self.n_seeds),
        )

    def weights(self, alpha: float) -> FloatArray:
        """Return the probabilities of the features."""
        return zipf_weights(alpha, self.n_features)

    def points(self, alpha: float, seed: int) -> FloatArray:
        """Draw points, each on one circle.

        Parameters
        ----------
        alpha : float
        seed : int

        Returns
        -------
        array of float64, shape (n_points, 2 n_features)
        """
        generator = Streams(seed).generator("target", round(1000 * alpha))
        feature = generator.choice(self.n_features, self.n_points, p=self.weights(alpha))
        angle = generator.uniform(0.0, 2.0 * math.pi, self.n_points)
        x = np.zeros((self.n_points, 2 * self.n_features))
        rows = np.arange(self.n_points)
        x[rows, 2 * feature], x[rows, 2 * feature + 1] = np.cos(angle), np.sin(angle)
        return x

    def measure(self, cell: Cell) -> list[Row]:
        """Train one dictionary; one row: its loss, the features it found, and its dead atoms."""
        from percolaw.neural.sparse_autoencoder import SparseAutoencoder, train_dictionaries

        x = self.points(cell["rank_exponent"], cell["seed"])
        held = self.n_points // 10
        shape = SparseAutoencoder(cell["n_atoms"], "topk", k=1, centred=False)
        steps = cell["budget"] * self.training.steps
        found = train_dictionaries(
            x,
            shape,
            [cell["seed"]],
            training=dataclasses.replace(self.training, steps=steps),
            n_validation=held,
            resamplings=cell["resamplings"],
        )
        used = found.codes(x[-held:]).max(axis=0) > 0.0
        square = found.atoms()[used].reshape(-1, self.n_features, 2)
        share = np.sum(square**2, axis=2)
        alone = share.max(axis=1, initial=0.0) > BELONGS
        return [
            {
                **cell,
                "loss": 2.0 * found.summary(x[-held:])["loss"],
                "found": int(np.unique(share[alone].argmax(axis=1)).size),
                "dead": float(1.0 - used.mean()),
                "mixed": float(1.0 - alone.mean()) if used.any() else 0.0,
            }
        ]

    def least(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """Return the least loss and the features found at the best split of atoms, size by size."""
        from percolaw.laws.allocation import shared_curve_allocation
        from percolaw.laws.dictionaries import circle_top_loss

        size = np.arange(0.0, max(self.atoms) + 1.0)
        curve = np.concatenate([[1.0, 0.75], circle_top_loss(size[2:])])
        splits = [shared_curve_allocation(n, self.weights(alpha), size, curve) for n in self.atoms]
        return (
            np.array([s.loss for s in splits]),
            np.array([np.count_nonzero(s.degrees_of_freedom) for s in splits], dtype=np.float64),
        )

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold losses and features found against the exact split."""
        every, losses, numbers = [], [], []
        for alpha in self.rank_exponents:
            least, best = self.least(alpha)
            for times in self.resamplings:
                of = [r for r in rows if (r["rank_exponent"], r["resamplings"]) == (alpha, times)]
                fewer, mine = ([r for r in of if r["budget"] == b] for b in self.budgets[-2:])
                name = f"alpha = {alpha:g}" + (", resampled" if times else "")
                loss, found = (pivot(mine, k, "seed", "n_atoms") for k in ("loss", "found"))
                every += self._claims(name, loss / least, found, best, mine)
                every.append(self._doubling(name, loss / pivot(fewer, "loss", "seed", "n_atoms")))
                size = np.array(self.atoms)
                losses.append((name, alpha, LearningCurve(size, loss, predicted=least)))
                numbers.append((name, alpha, LearningCurve(size, found, predicted=best)))
        return Conclusion(
            tuple(every),
            plots=(
                self._plot("", "loss", "mean squared error", "least", losses),
                self._plot("-found", "features found", "features found", "best split", numbers),
            ),
        )

    def _claims(
        self, name: str, excess: FloatArray, found: FloatArray, best: FloatArray, rows: list[Row]
    ) -> list[claims.Claim]:
        about = {"source": f"circles, {name}", "learner": "top-1 dictionary"}
        dead, mixed = (np.mean([r[key] for r in rows]) for key in ("dead", "mixed"))
        slopes = [log_slope(self.atoms, np.maximum(row, 1.0)) for row in found]
        return [
            claims.ratio(
                f"{name}: loss over the least loss of so many atoms",
                self.source,
                excess,
                self.loss_tolerance,
                f"{dead:.0%} of atoms dead, {mixed:.0%} of the others on no single feature",
                {**about, "quantity": "loss over prediction"},
            ),
            claims.mean(
                f"{name}: exponent of features found in atoms",
                self.source,
                log_slope(self.atoms, best),
                slopes,
                self.tolerance,
                "of the exact split at the same sizes",
                {**about, "quantity": "features found"},
            ),
        ]

    def _doubling(self, name: str, change: FloatArray) -> claims.Claim:
        """Whether the steps were enough: the loss after all of them over that after fewer."""
        return claims.ratio(
            f"{name}: loss over that after {self.budgets[-2] / self.budgets[-1]:g} of the steps",
            self.source,
            change,
            self.doubling_tolerance,
            f"at {self.atoms[-1]} atoms {np.exp(np.log(change[:, -1]).mean()):.2f}",
            {
                "source": f"circles, {name}",
                "learner": "top-1 dictionary",
                "quantity": "doubled steps",
            },
        )

    def _plot(self, suffix: str, title: str, label: str, law: str, curves: list[Any]) -> plots.Plot:
        series: list[plots.Series] = []
        for name, alpha, curve in curves:
            exact = f"alpha = {alpha:g}, {law}"
            series.append(plots.curve(name, curve, how="mean", prediction=exact, group=name))
            if exact not in [s.name for s in series]:
                series.append(plots.line(exact, "theory", curve.size, curve.predicted, group=name))
        return plots.log_log(
            f"dictionary-scaling{suffix}",
            f"{self.n_features} circles, {title}, {self.n_seeds} dictionaries",
            f"Of dictionaries of circles: {title} against atoms, beside the best split of atoms.",
            ("atoms N", label),
            series,
            figure="dictionary-scaling",
        )
