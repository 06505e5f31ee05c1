"""Networks of every kind, with data and a loss that they are trained with."""

import numpy as np

from percolaw.neural.in_context import InContextTransformer, LinearAttention
from percolaw.neural.losses import LOSSES
from percolaw.neural.mlp import MLP
from percolaw.neural.parity import ParityNetwork
from percolaw.neural.sparse_autoencoder import SparseAutoencoder, SparseCodingLoss
from percolaw.neural.transformer import Transformer

RNG = np.random.default_rng(0)
N = 120
X = RNG.standard_normal((N, 24))
IDS = RNG.integers(0, 3, (N, 5))
#: A task and two words of bits.
WORDS = np.concatenate([IDS[:, :1], RNG.integers(0, 2**62, (N, 2))], axis=1)
CLASSES = np.eye(2)[RNG.integers(0, 2, N)]
Y = RNG.standard_normal((N, 6))
PARTS = ((0,), (1,), (0, 1))
SPARSE = np.hstack([X[:, :5], np.zeros((N, 1))])

#: Name to network, inputs, values, loss; a student learns all columns of the values.
STEPS = {
    "mlp": (MLP(2, 8), X, Y[:, :1], LOSSES["mse"]),
    "residual": (MLP(2, 8, "gelu", residual=True), X, Y[:, :1], LOSSES["mse"]),
    "transformer": (Transformer(2, 8, 2, 2), X[:, :8], Y[:, :1], LOSSES["mse"]),
    "causal": (Transformer(2, 8, 2, 2, causal=True), X[:, :8], Y[:, :1], LOSSES["mse"]),
    "tokens": (Transformer(2, 8, 2, vocabulary=3), IDS, Y[:, :1], LOSSES["mse"]),
    "in context": (InContextTransformer(2, 8, 2), X, Y, LOSSES["mse"]),
    "linear attention": (LinearAttention(), X, Y, LOSSES["mse"]),
    "parity": (ParityNetwork(3, 70, 8), WORDS, CLASSES, LOSSES["cross_entropy"]),
    "parity, two layers": (ParityNetwork(3, 70, 8, 2), WORDS, CLASSES, LOSSES["cross_entropy"]),
    "parity of parts": (ParityNetwork(3, 70, 8, 2, PARTS), WORDS, CLASSES, LOSSES["cross_entropy"]),
}
STEPS |= {
    f"dictionary, {rule}": (SparseAutoencoder(8, rule, 2), X[:, :5], SPARSE, SparseCodingLoss(0.1))
    for rule in ("relu", "topk", "batch_topk", "jump")
}
