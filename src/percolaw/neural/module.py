"""Any PyTorch module as a learner: fit, predict and, of classes, predict_proba."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.estimator import Estimator, require_fitted
from percolaw.neural.device import gradients_on, resolve_device
from percolaw.rng import as_streams

torch = checks.extra("torch", "nn")

#: Rows of one forward pass of `predict`.
ROWS = 4096


@dataclass(eq=False)
class ModuleLearner(Estimator):
    """A PyTorch module trained by AdamW on minibatches, all points of a training set alike.

    The module is yours and so are its loss and inputs; for another training loop write an object with
    `fit` and `predict`. `percolaw.NeuralRegression` trains the package's own networks, and stops by
    validation points.

    Parameters
    ----------
    module : torch.nn.Module or function
        A module is copied before every fit, with its initial weights. A function makes one, called
        with PyTorch's seed fixed by `rng`. It maps float32 points (n, ...), or int64 ids, to
        (n, n_outputs).
    loss : {"squared", "log"}
        ``squared``: of numbers. ``log``: cross-entropy of class labels, one output a class; `predict`
        then gives labels.
    steps, batch_size : int
    learning_rate, weight_decay : float
        Of AdamW; the rate falls to 0 as half a cosine.
    rng : int
        Stream ``init`` seeds PyTorch (a function's module, and dropout), ``batch`` orders the points.
    device : str
        ``cpu``, ``cuda`` or ``cuda:0``; ``auto`` is ``cuda`` where PyTorch can use it, else ``cpu``.

    Attributes
    ----------
    module_ : torch.nn.Module
        As trained.
    classes_ : array, shape (n_classes,)
        Labels seen, sorted, of loss ``log``.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> learner = ModuleLearner(torch.nn.Linear(2, 1), steps=300, learning_rate=0.1)
    >>> fitted = learner.fit(x, x @ [1.0, -2.0])
    >>> bool(abs(fitted.predict([[1.0, 1.0]])[0] + 1.0) < 0.05)
    True
    """

    module: Any
    loss: Literal["squared", "log"] = "squared"
    steps: int = 1000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    rng: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        checks.choice("loss", self.loss, ("squared", "log"))
        checks.set_integer(self, "steps")
        checks.set_integer(self, "batch_size")
        checks.set_real(self, "learning_rate", minimum=0.0)
        checks.set_real(self, "weight_decay", minimum=0.0)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train a fresh copy of the module.

        Parameters
        ----------
        X : array, shape (n, d) or (n, ...)
        y : array, shape (n,) or (n, n_outputs)
            Numbers, or labels of any kind for loss ``log``.

        Returns
        -------
        ModuleLearner
            Itself.

        Raises
        ------
        TypeError
            If `module` is neither a torch.nn.Module nor a function that returns one.
        ValueError
            If there is not a label for each point, if the module's outputs have another shape than the
            values or too few columns for the classes, or the loss of the last step is not finite.
        """
        device, streams = resolve_device(self.device), as_streams(self.rng)
        x = self._tensor(X)
        if self.loss == "log":
            labels = np.asarray(y)
            if labels.shape not in ((x.shape[0],), (x.shape[0], 1)):
                raise ValueError(
                    f"y must be a label for each of {x.shape[0]} points; got shape {labels.shape}."
                )
            self.classes_, column = np.unique(labels, return_inverse=True)
            values, self._one_output = torch.as_tensor(column.reshape(-1)), False
        else:
            numbers = checks.target_values("y", y, x.shape[0])
            self._one_output = numbers.ndim == 1
            values = torch.as_tensor(numbers.reshape(numbers.shape[0], -1), dtype=torch.float32)
        generator = streams.generator("batch")
        with torch.random.fork_rng(), gradients_on():
            torch.manual_seed(int(streams.key("init") >> np.uint64(1)))
            module = self._fresh().to(device).train()
            optimizer = torch.optim.AdamW(
                module.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
            order, at = np.empty(0, dtype=np.int64), 0
            size = min(self.batch_size, x.shape[0])
            for _ in range(self.steps):
                if at + size > order.size:
                    order, at = generator.permutation(x.shape[0]), 0
                rows = torch.as_tensor(order[at : at + size])
                at += size
                loss = self._loss(module(x[rows].to(device)), values[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                falling.step()
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"the loss became {float(loss.detach())}. Lower learning_rate.")
        self.module_, self.n_features_in_ = module.eval(), x.shape[1]
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return values (n,) or (n, n_outputs), or labels (n,), at points X."""
        out = self._outputs(X)
        if self.loss == "log":
            return np.asarray(self.classes_[out.argmax(dim=1).numpy()])
        numbers = out.double().numpy()
        return np.asarray(numbers[:, 0] if self._one_output else numbers)

    @property
    def predict_proba(self) -> Callable[[npt.ArrayLike], npt.NDArray[np.float64]]:
        """Of loss ``log``: maps points to probabilities (n, n_classes) in the order of ``classes_``.

        Raises
        ------
        AttributeError
            Of loss ``squared``, as scikit-learn's tools expect where there are no probabilities.
        """
        if self.loss != "log":
            raise AttributeError("a module trained with loss='squared' gives no probabilities.")
        return self._probabilities

    def _probabilities(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        logits = self._outputs(X).double()[:, : self.classes_.size]
        return np.asarray(torch.softmax(logits, dim=1).numpy())

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator before it uses it."""
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        target = TargetTags(required=True, multi_output=self.loss == "squared")
        if self.loss == "log":
            return Tags("classifier", target_tags=target, classifier_tags=ClassifierTags())
        return Tags("regressor", target_tags=target, regressor_tags=RegressorTags())

    def _fresh(self) -> Any:
        if isinstance(self.module, torch.nn.Module):
            return copy.deepcopy(self.module)
        module: Any = self.module() if callable(self.module) else self.module
        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                f"module must be a torch.nn.Module, or a function that makes one; got {module!r:.60} "
                f"({type(module).__name__})."
            )
        return module

    def _loss(self, out: Any, values: Any) -> Any:
        if self.loss == "log":
            if out.ndim != 2 or out.shape[1] < self.classes_.size:
                raise ValueError(
                    f"the module must have an output for each of {self.classes_.size} classes; got "
                    f"outputs of shape {tuple(out.shape)}."
                )
            return torch.nn.functional.cross_entropy(out[:, : self.classes_.size], values)
        out = out[:, None] if out.ndim == 1 else out
        if out.shape != values.shape:
            raise ValueError(
                f"the module must give {values.shape[1]} output(s) a point; got {tuple(out.shape)} for "
                f"{values.shape[0]} points."
            )
        return torch.nn.functional.mse_loss(out, values)

    def _outputs(self, X: npt.ArrayLike) -> Any:
        x = self._tensor(X)
        require_fitted(self, x)
        device = next(self.module_.parameters()).device
        with torch.no_grad():
            parts = [self.module_(part.to(device)).cpu() for part in x.split(ROWS)]
        out = torch.cat(parts)
        return out[:, None] if out.ndim == 1 else out

    @staticmethod
    def _tensor(X: npt.ArrayLike) -> Any:
        """Points as float32, ids as int64."""
        x = checks.array("X", X)
        if x.dtype.kind in "iu":
            return torch.as_tensor(x.astype(np.int64))
        return torch.as_tensor(checks.finite_array("X", x), dtype=torch.float32)
