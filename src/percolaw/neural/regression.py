"""One network as a learner on points, with scikit-learn's fit and predict."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.config import Student, Training
from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network, checked_inputs
from percolaw.neural.trained import Trained
from percolaw.neural.training import train
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NeuralRegression:
    """Train a network, keep the weights of the least loss on a part of the points held back.

    For one curve or one prediction; `percolaw.neural.training.train` trains many at once.

    Parameters
    ----------
    network : Network
    training : Training
    validation : float
        Share of the points held back.
    rng : int
        Stream ``split``, and the student's seed.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((100, 2))
    >>> learner = NeuralRegression(MLP(depth=0), Training(learning_rate=0.1, steps=500))
    >>> fitted = learner.fit(x, x @ [1.0, -2.0])
    >>> bool(abs(fitted.predict([[1.0, 1.0]])[0] + 1.0) < 0.05)
    True
    """

    network: Network = field(default_factory=MLP)
    training: Training = field(default_factory=lambda: Training(learning_rate=0.01))
    validation: float = 0.2
    rng: RandomLike = 0

    def fit(self, points: npt.ArrayLike, values: npt.ArrayLike) -> FittedNeuralRegression:
        """Train on most of the points, and stop by the others.

        Parameters
        ----------
        points : array, shape (n, d)
            As `standardized_inputs` makes them.
        values : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        FittedNeuralRegression

        Raises
        ------
        ValueError
            If no point is left to learn from, or as `percolaw.train` says.
        """
        x = checked_inputs(self.network, points)
        y = checks.target_values("values", values, x.shape[0] if x.ndim else 0)
        share = checks.real("validation", self.validation, minimum=0.001, maximum=0.9)
        streams = as_streams(self.rng)
        order = streams.generator("split").permutation(x.shape[0])
        held = max(1, round(share * x.shape[0]))
        if held >= x.shape[0]:
            raise ValueError(f"{x.shape[0]} point(s) leave none to learn from; give 2 at least.")
        seed = int(streams.key("init") >> np.uint64(1))
        student = Student(seed, np.sort(order[held:]), np.sort(order[:held]))
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        trained = train(self.network, x, y, [student], self.training, n_outputs=n_outputs)
        return FittedNeuralRegression(trained, y.ndim)


@dataclass(frozen=True, eq=False)
class FittedNeuralRegression:
    """A trained network.

    Attributes
    ----------
    trained : Trained
        Weights, curves and how the training ended.
    values_ndim : int
        1 where values were numbers, 2 where they were rows.
    """

    trained: Trained
    values_ndim: int

    def predict(self, queries: npt.ArrayLike) -> FloatArray:
        """Return values at queries (n, d): (n,) or (n, n_outputs)."""
        out = self.trained.predict(queries)[0].astype(np.float64)
        return np.asarray(out[:, 0] if self.values_ndim == 1 else out)
