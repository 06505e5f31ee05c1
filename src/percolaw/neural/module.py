"""Any PyTorch module as a learner: fit, predict and, of classes, predict_proba."""

from __future__ import annotations

import copy
import threading
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
#: AdamW takes its rates as float32.
LARGEST_RATE = 1e30
#: PyTorch's global generator, from which modules draw, belongs to one fit at a time, in whatever thread.
_GLOBAL_NUMBERS = threading.RLock()


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
        with PyTorch's seed fixed by `rng`. It maps points (n, ...) in the dtype of its parameters, or
        int64 ids, to (n, n_outputs).
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
        checks.set_real(self, "learning_rate", minimum=0.0, maximum=LARGEST_RATE)
        checks.set_real(self, "weight_decay", minimum=0.0, maximum=LARGEST_RATE)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train a fresh copy of the module.

        Parameters
        ----------
        X : array, shape (n, d) or (n, ...)
        y : array, shape (n,) or (n, n_outputs)
            Numbers; for loss ``log`` labels (n,), numbers or text.

        Returns
        -------
        ModuleLearner
            Itself.

        Raises
        ------
        TypeError
            If `module` is neither a torch.nn.Module nor a function that returns one, and for outputs
            that are no tensor.
        ValueError
            For points or labels of another shape, not finite, or which the dtype of the module does not
            hold. If its outputs have another shape than the values, or too few columns for the
            classes, nothing in it can be trained, or the loss of the last step is not finite.
        """
        device, streams = resolve_device(self.device), as_streams(self.rng)
        given = checks.array("X", X)
        self._ids = given.dtype.kind in "iu"
        points = _checked_points(given, self._ids)
        target: npt.NDArray[Any]
        if self.loss == "log":
            labels = checks.class_labels("y", y, points.shape[0])
            self.classes_, target = np.unique(labels, return_inverse=True)
            self._one_output = False
        else:
            numbers = checks.target_values("y", y, points.shape[0])
            self._one_output = numbers.ndim == 1
            target = numbers.reshape(numbers.shape[0], -1)
        generator = streams.generator("batch")
        with _GLOBAL_NUMBERS, torch.random.fork_rng(), gradients_on(), torch.device(device):
            torch.manual_seed(int(streams.key("init") >> np.uint64(1)))
            module = self._fresh().to(device).train()
            if not any(p.requires_grad for p in module.parameters()):
                raise ValueError("the module has no parameter that can be trained.")
            x, values = _tensor(points, module), _tensor(target, module)
            for name, given, narrow in (("X", points, x), ("y", target, values)):
                if narrow.dtype.is_floating_point and narrow.dtype != torch.float64:
                    checks.single(name, given.reshape(given.shape[0], -1))
            optimizer = torch.optim.AdamW(
                module.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
            order, at = np.empty(0, dtype=np.int64), 0
            size = min(self.batch_size, x.shape[0])
            for _ in range(self.steps):
                if at + size > order.size:
                    order, at = generator.permutation(x.shape[0]), 0
                rows = torch.as_tensor(order[at : at + size], device="cpu")
                at += size
                loss = self._loss(_forward(module, x[rows].to(device)), values[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                falling.step()
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"the loss became {float(loss.detach())}. Lower learning_rate.")
        self.module_, self.n_features_in_ = module.eval(), points.shape[1]
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return values (n,) or (n, n_outputs), or labels (n,), at points X."""
        out = self._outputs(X)
        if self.loss == "log":
            return np.asarray(self.classes_[out[:, : self.classes_.size].argmax(dim=1).numpy()])
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
        given = self.module
        is_function = callable(given) and not isinstance(given, torch.nn.Module)
        module: Any = given() if is_function else given
        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                f"module must be a torch.nn.Module, or a function that makes one; got {module!r:.60} "
                f"({type(module).__name__})."
            )
        return copy.deepcopy(module)  # a function may give the same module again, trained before

    def _loss(self, out: Any, values: Any) -> Any:
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"the module must give a tensor; got {type(out).__name__}.")
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
        given = checks.array("X", X)
        require_fitted(self, given)
        points = _checked_points(given, self._ids)
        device = next(self.module_.parameters()).device
        x = _tensor(points, self.module_)
        with torch.no_grad(), torch.device(device):
            parts = [_forward(self.module_, part.to(device)).cpu() for part in x.split(ROWS)]
        out = torch.cat(parts)
        if out.ndim == 0 or out.shape[0] != points.shape[0]:
            raise ValueError(
                f"the module must give a row of outputs for each of {points.shape[0]} points; got "
                f"{tuple(out.shape)}."
            )
        return out[:, None] if out.ndim == 1 else out


def _forward(module: Any, x: Any) -> Any:
    try:
        return module(x)
    except RuntimeError as error:
        if x.dtype == torch.int64:
            error.add_note(
                "X holds integers, which are taken as ids; of numbers pass X.astype(float)."
            )
        raise


def _checked_points(x: npt.NDArray[Any], ids: bool) -> npt.NDArray[Any]:
    """Return points as finite numbers, or ids as int64."""
    if x.ndim < 2 or x.shape[0] == 0:
        raise ValueError(f"X must have shape (n, d) or (n, ...), n > 0; got {x.shape}.")
    checked = checks.integer_array("X", x) if ids else checks.finite_array("X", x)
    return np.ascontiguousarray(checked)  # PyTorch takes no negative strides


def _tensor(values: npt.NDArray[Any], module: Any) -> Any:
    """Return numbers in the dtype of the module's parameters, ids and class numbers as int64."""
    types = (p.dtype for p in module.parameters() if p.dtype.is_floating_point)
    dtype = torch.int64 if values.dtype.kind in "iu" else next(types, torch.float32)
    return torch.as_tensor(values, dtype=dtype, device="cpu")
