"""One network as a learner on points, with scikit-learn's fit and predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.estimator import Regressor, require_fitted
from percolaw.neural.config import Student, Training
from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network, checked_inputs
from percolaw.neural.training import train
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]


@dataclass(eq=False)
class NeuralRegression(Regressor):
    """Train a network, keep the weights of the least loss on a part of the points held back.

    For one curve or one prediction; `percolaw.neural.training.train` trains many at once.

    Parameters
    ----------
    network : Network
    training : Training
    validation : float
        Share of the points held back, in [0.001, 0.9].
    rng : int
        Stream ``split`` (points held back), and a key of stream ``init`` as the student's seed.

    Attributes
    ----------
    trained_ : Trained
        Weights, curves and how the training ended.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((100, 2))
    >>> learner = NeuralRegression(MLP(depth=0), Training(learning_rate=0.1, steps=500))
    >>> fitted = learner.fit(x, x @ [1.0, -2.0])
    >>> bool(abs(fitted.predict([[1.0, 1.0]])[0] + 1.0) < 0.05)
    True
    """

    network: Network = MLP()  # noqa: RUF009
    training: Training = Training(learning_rate=0.01)  # noqa: RUF009
    validation: float = 0.2
    rng: RandomLike = 0

    def order_limit(self, dimension: float) -> float | None:
        """Return D + 2: what its tangent kernel of smoothness 1/2 does, if it is trained to the end."""
        return dimension + 2.0

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train on most of the points, and stop by the others.

        Parameters
        ----------
        X : array, shape (n, d)
            As `percolaw.targets.teacher.standardized_inputs` makes them.
        y : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        NeuralRegression
            Itself.

        Raises
        ------
        ValueError
            If no point is left to learn from, and where `percolaw.train` raises it.
        """
        x = checked_inputs(self.network, X)
        values = checks.target_values("y", y, x.shape[0] if x.ndim else 0)
        share = checks.real("validation", self.validation, minimum=0.001, maximum=0.9)
        streams = as_streams(self.rng)
        order = streams.generator("split").permutation(x.shape[0])
        held = max(1, round(share * x.shape[0]))
        if held >= x.shape[0]:
            raise ValueError(f"{x.shape[0]} point(s) leave none to learn from; give 2 at least.")
        seed = int(streams.key("init") >> np.uint64(1))
        student = Student(seed, np.sort(order[held:]), np.sort(order[:held]))
        self._one_output = values.ndim == 1
        n_outputs = 1 if self._one_output else values.shape[1]
        self.trained_ = train(
            self.network, x, values, [student], self.training, n_outputs=n_outputs
        )
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Return values at queries X (n, d): (n,) or (n, n_outputs)."""
        queries = checks.array("X", X)
        require_fitted(self, queries)
        out = self.trained_.predict(queries)[0].astype(np.float64)
        return np.asarray(out[:, 0] if self._one_output else out)
