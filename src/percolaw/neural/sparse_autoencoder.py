"""Sparse autoencoders: dictionaries learned from activations, many at once on the engine of networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.activations import layer_activations
from percolaw.neural.config import Student, Training
from percolaw.neural.losses import Loss
from percolaw.neural.network import ForwardPass, Network, Parameter, Tensor, Weights, unflatten
from percolaw.neural.trained import Trained
from percolaw.neural.training import train
from percolaw.numerics.distances import unit_rows
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]
#: Of codes of the rule ``jump``, before they are trained.
FIRST_THRESHOLD = 0.1
Rule: TypeAlias = Literal["relu", "topk", "batch_topk", "jump"]


@dataclass(frozen=True)
class SparseAutoencoder(Network):
    """A dictionary of atoms and the linear encoder of its codes.

    z = (x - b) (D' + E) + c, codes a >= 0 by a rule, and x^ = a D + b. The encoder starts as the
    transposed decoder D (E = 0). Outputs are x^ and the penalty of the codes, in one more column.

    Parameters
    ----------
    n_atoms : int
        Rows of D.
    rule : {"relu", "topk", "batch_topk", "jump"}
        ``relu``: a = max(z, 0); the penalty is the sum of codes times the norms of their atoms.
        ``topk``: of them the k largest of each point (Makhzani and Frey 2013; Gao et al. 2024), no
        penalty. ``batch_topk``: the k n largest of n points together (Bussmann et al. 2024).
        ``jump``: z where it exceeds a threshold that is learned; the penalty is the number of codes
        (Rajamanoharan et al. 2024).
    k : int
        Codes of a point, of ``topk`` and ``batch_topk``.
    bandwidth : float
        Of ``jump``: how near to its threshold a code lets it learn.
    centred : bool
        Learn the centre b; otherwise it is the origin.
    """

    n_atoms: int = 256
    rule: Rule = "relu"
    k: int = 8
    bandwidth: float = 0.05
    centred: bool = True

    def __post_init__(self) -> None:
        checks.set_integer(self, "n_atoms")
        checks.set_integer(self, "k")
        checks.set_real(self, "bandwidth", minimum=1e-6)
        checks.choice("rule", self.rule, ("relu", "topk", "batch_topk", "jump"))
        if self.rule in ("topk", "batch_topk") and self.k > self.n_atoms:
            raise ValueError(f"k must be at most n_atoms = {self.n_atoms}; got {self.k}.")

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter; `n_outputs` is always `dim` + 1."""
        named = {
            "decoder": Parameter((self.n_atoms, dim), 1.0 / math.sqrt(dim), "fixed"),
            "encoder": Parameter((dim, self.n_atoms), 0.0, "fixed"),
            "bias": Parameter((self.n_atoms,), 0.0, "fixed"),
        }
        if self.centred:
            named["centre"] = Parameter((dim,), 0.0, "fixed")
        if self.rule == "jump":
            named["threshold"] = Parameter((self.n_atoms,), 0.0, "fixed", FIRST_THRESHOLD)
        return named

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return outputs (students, batch, dim + 1); keeps ``codes``."""
        import torch

        decoder = weights["decoder"]
        centre = weights["centre"].unsqueeze(1) if self.centred else x.new_zeros(())
        encoder = decoder.transpose(1, 2) + weights["encoder"]
        z = torch.baddbmm(weights["bias"].unsqueeze(1), x - centre, encoder)
        codes, penalty = self._codes(weights, z, decoder)
        run.keep("codes", codes)
        again = torch.bmm(codes, decoder) + centre
        return torch.cat([again, penalty.unsqueeze(-1)], dim=-1)

    def _codes(self, weights: Weights, z: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        none = z.new_zeros(z.shape[:2])
        if self.rule == "jump":
            step, jump = _jump_functions()
            threshold = weights["threshold"].unsqueeze(1)
            passed = step.apply(z, threshold, self.bandwidth)
            return jump.apply(z, threshold, self.bandwidth), passed.sum(dim=-1)
        codes = torch.relu(z)
        if self.rule == "relu":
            return codes, torch.bmm(codes, decoder.norm(dim=-1).unsqueeze(-1)).squeeze(-1)
        if self.rule == "topk":
            least = codes.topk(self.k, dim=-1).values[..., -1:]
            return torch.where(codes >= least, codes, torch.zeros_like(codes)), none
        flat = codes.flatten(1)
        least = flat.topk(self.k * z.shape[1], dim=-1).values[:, -1:].unsqueeze(-1)
        return torch.where(codes >= least, codes, torch.zeros_like(codes)), none

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the multiplications of the encoder and the decoder."""
        return 4 * dim * self.n_atoms

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the encoder."""
        return 2 * dim * self.n_atoms


@dataclass(frozen=True)
class SparseCodingLoss(Loss):
    """|x - x^|^2 / 2 + penalty times the last output, the penalty of the codes."""

    penalty: float = 0.1
    least_outputs = 2

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every point; the last column of `target` is not looked at."""
        gap = (output[..., :-1] - target[..., :-1]).square().sum(dim=-1)
        return 0.5 * gap + self.penalty * output[..., -1]


@dataclass(frozen=True, eq=False)
class Dictionaries:
    """Sparse autoencoders trained on the same points, from different seeds.

    Attributes
    ----------
    trained : Trained
        One student a dictionary.
    penalty : float
    """

    trained: Trained
    penalty: float

    @property
    def autoencoder(self) -> SparseAutoencoder:
        """Its shape and rule."""
        network = self.trained.network
        assert isinstance(network, SparseAutoencoder)
        return network

    def atoms(self, dictionary: int = 0) -> FloatArray:
        """Return the atoms of a dictionary as rows of norm 1, shape (n_atoms, dim)."""
        row = self.trained.select(dictionary).weights[0]
        dim = self.trained.dim
        return unit_rows(row[: self.autoencoder.n_atoms * dim].reshape(-1, dim).astype(np.float64))

    def codes(self, points: npt.ArrayLike, dictionary: int = 0) -> npt.NDArray[Any]:
        """Return the codes of points, each times the norm of its atom.

        Parameters
        ----------
        points : array, shape (n, dim)
        dictionary : int

        Returns
        -------
        array, shape (n, n_atoms)
            Of ``batch_topk`` the largest codes of each block of points.
        """
        row = self.trained.select(dictionary).weights[0]
        dim = self.trained.dim
        norm = np.linalg.norm(row[: self.autoencoder.n_atoms * dim].reshape(-1, dim), axis=1)
        return np.asarray(layer_activations(self.trained, points, dictionary)["codes"] * norm)

    def summary(self, points: npt.ArrayLike, dictionary: int = 0) -> dict[str, float]:
        """Return what a dictionary makes of points.

        Parameters
        ----------
        points : array, shape (n, dim)
        dictionary : int

        Returns
        -------
        dict of str to float
            ``unexplained`` (share of the variance), ``loss`` (with its penalty), ``n_codes`` (mean number
            of a point) and ``dead`` (share of atoms never in use).
        """
        x = checks.finite_array("points", points, ndim=2)
        output = self.trained.select(dictionary).predict(x)[0].astype(np.float64)
        used = self.codes(x, dictionary) > 0.0
        gap = np.sum((output[:, :-1] - x) ** 2, axis=1)
        return {
            "unexplained": float(gap.mean() / np.sum(x.var(axis=0))),
            "loss": float(np.mean(0.5 * gap + self.penalty * output[:, -1])),
            "n_codes": float(used.sum(axis=1).mean()),
            "dead": float(np.mean(~used.any(axis=0))),
        }


def train_dictionaries(
    points: npt.ArrayLike,
    autoencoder: SparseAutoencoder,
    seeds: Sequence[int] = (0,),
    *,
    penalty: float = 0.1,
    training: Training | None = None,
    n_validation: int | None = None,
    resamplings: int = 0,
) -> Dictionaries:
    """Learn one dictionary a seed, all together.

    Parameters
    ----------
    points : array of float, shape (n, dim)
        Activations, best of mean square 1 a coordinate, or less: the penalty is in their unit.
    autoencoder : SparseAutoencoder
    seeds : sequence of int
        Of initial atoms and of the order of points.
    penalty : float
        On the codes; ``topk`` and ``batch_topk`` have none.
    training : Training, optional
        ``Training(learning_rate=1e-3, batch_size=256)`` if None.
    n_validation : int, optional
        Last points, which stop the training; a tenth of them if None.
    resamplings : int
        How often dead atoms are replaced: the steps are made in so many rounds and one more, each with
        its own rise and fall of the rate, and after each round but the last an atom that no training
        point uses becomes the direction of a point that is badly explained, drawn with a probability
        in proportion to the square of its loss (Bricken et al. 2023). Curves are those of the last round.

    Returns
    -------
    Dictionaries

    Raises
    ------
    ValueError
        For points of another shape or not finite, and too few of them.
    ResourceError
        If it would not fit into memory.
    """
    x = checks.finite_array("points", points, ndim=2)
    lam = checks.real("penalty", penalty, minimum=0.0)
    held = x.shape[0] // 10 if n_validation is None else n_validation
    held = checks.integer("n_validation", held, minimum=1, maximum=max(1, x.shape[0] - 2))
    size = len(seeds) * float(autoencoder.n_atoms) * x.shape[1]
    checks.memory(
        48.0 * size + 24.0 * x.size,
        f"{len(seeds)} dictionaries of {autoencoder.n_atoms} atoms in {x.shape[1]} dimensions",
        "Use fewer atoms or dictionaries.",
    )
    rounds = 1 + checks.integer("resamplings", resamplings, minimum=0)
    plan = training or Training(learning_rate=1e-3, batch_size=256)
    plan = dataclasses.replace(plan, steps=max(1, plan.steps // rounds))
    rows = np.arange(x.shape[0])
    students = [Student(seed, rows[:-held], rows[-held:]) for seed in seeds]
    values = np.hstack([x, np.zeros((x.shape[0], 1))])
    for number in range(rounds):
        trained = train(
            autoencoder,
            x,
            values,
            students,
            plan,
            n_outputs=x.shape[1] + 1,
            loss=SparseCodingLoss(lam),
        )
        found = Dictionaries(trained, lam)
        if number < rounds - 1:
            students = [
                dataclasses.replace(
                    s, start=_resampled(found, i, x[:-held], Streams(s.seed).child(number))
                )
                for i, s in enumerate(students)
            ]
    return found


def _resampled(found: Dictionaries, dictionary: int, x: FloatArray, streams: Streams) -> Any:
    """Weights of a dictionary whose dead atoms are directions of badly explained points."""
    import torch

    one, shape = found.trained.select(dictionary), found.autoencoder
    dead = np.flatnonzero(~(found.codes(x, dictionary) > 0.0).any(axis=0))
    row = torch.as_tensor(one.weights.copy())
    weights = {k: w[0] for k, w in unflatten(shape, one.dim, one.n_outputs, row).items()}
    error = np.sum((one.predict(x)[0][:, :-1] - x) ** 2, axis=1)
    away = x - weights["centre"].numpy() if shape.centred else x
    chance = np.where(np.any(away != 0.0, axis=1), error**2, 0.0)
    if not dead.size or not chance.any():
        return one.weights[0]
    generator = streams.generator("init")
    new = away[generator.choice(x.shape[0], dead.size, p=chance / chance.sum())]
    norm = weights["decoder"].norm(dim=1)
    norm[dead] = torch.nan
    length = float(norm.nanmean().nan_to_num(1.0))
    atoms = torch.as_tensor(
        new * (length / np.linalg.norm(new, axis=1, keepdims=True)), dtype=row.dtype
    )
    weights["decoder"][dead] = atoms
    # Its own point has the code that gives it back; with the transpose others would keep it from use.
    weights["encoder"][:, dead] = (atoms / length**2 - atoms).T
    weights["bias"][dead] = 0.0
    if shape.rule == "jump":
        weights["threshold"][dead] = FIRST_THRESHOLD
    return row[0].numpy()


def matched_cosine(atoms: npt.ArrayLike, features: npt.ArrayLike) -> FloatArray:
    """Return the largest cosine that any atom has with each feature; its mean is the field's MMCS.

    Parameters
    ----------
    atoms : array, shape (n_atoms, dim)
    features : array, shape (m, dim)
        True directions, none of them zero.

    Returns
    -------
    array of float64, shape (m,)

    Raises
    ------
    ValueError
        For arrays of other shapes or not finite, and features of length zero.
    """
    a = checks.finite_array("atoms", atoms, ndim=2)
    f = checks.finite_array("features", features, ndim=2)
    if a.shape[1] != f.shape[1]:
        raise ValueError(f"atoms have {a.shape[1]} coordinates and features {f.shape[1]}.")
    if np.any(np.linalg.norm(f, axis=1) == 0.0):
        raise ValueError("a feature has length zero; it has no direction.")
    return np.asarray((unit_rows(f) @ unit_rows(a).T).max(axis=1))


def _jump_functions() -> tuple[Any, Any]:
    """The step and the jump of a threshold, with gradients of it by a rectangle of the bandwidth."""
    import torch

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
            ctx.save_for_backward(z, threshold)
            ctx.bandwidth = bandwidth
            return (z > threshold).to(z.dtype)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
            z, threshold = ctx.saved_tensors
            near = ((z - threshold).abs() < ctx.bandwidth / 2).to(z.dtype) / ctx.bandwidth
            return None, -(near * grads[0]).sum(dim=1, keepdim=True), None

    class Jump(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
            ctx.save_for_backward(z, threshold)
            ctx.bandwidth = bandwidth
            return torch.where(z > threshold, z, torch.zeros_like(z))

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
            z, threshold = ctx.saved_tensors
            near = ((z - threshold).abs() < ctx.bandwidth / 2).to(z.dtype) / ctx.bandwidth
            to_threshold = -(near * threshold * grads[0]).sum(dim=1, keepdim=True)
            return torch.where(z > threshold, grads[0], torch.zeros_like(z)), to_threshold, None

    return Step, Jump
