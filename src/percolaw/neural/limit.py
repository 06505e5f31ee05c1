"""The tangent kernel that a network of this package has in the limit of infinite width."""

from __future__ import annotations

from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network
from percolaw.numerics.covariance import LayerTangent


def tangent_limit(network: Network) -> LayerTangent:
    """Return the limit of `percolaw.neural.tangent_kernel.tangent_kernel` at the start.

    With the factors of plain gradient descent on the rates (``rates="sgd"``), and divided by the width
    m for the standard parametrisation, by the base width for muP. Standard: only output and hidden
    weights are left, input weights and biases learn 1/m as fast. muP: all roles are left at every
    width, as in a standard network of the base width.

    Parameters
    ----------
    network : Network
        An MLP of ReLU, one hidden layer at least, not residual.

    Returns
    -------
    LayerTangent

    Raises
    ------
    ValueError
        For other networks; their limits are other kernels, which are not implemented.

    Notes
    -----
    Training follows a fixed kernel (is lazy) only for the standard parametrisation, at rates that
    fall as 1/m, by gradient descent. muP networks are built to leave their first kernel at any width: for
    them the limit says how training begins. AdamW follows neither. Derived in docs/neural.md, "Which
    kernel is whose limit".

    Examples
    --------
    >>> tangent_limit(MLP(2, 512, parametrization="standard")).input_weights
    0.0
    >>> tangent_limit(MLP(2, 512, parametrization="mup", base_width=64)).input_weights
    0.015625
    """
    plain = isinstance(network, MLP) and network.activation == "relu" and not network.residual
    if not isinstance(network, MLP) or not plain or network.depth == 0:
        raise ValueError(
            "the limit is known for MLPs of ReLU with a hidden layer and without residual "
            f"connections; got {network}. Measure the kernel instead "
            "(percolaw.neural.tangent_kernel.tangent_kernel)."
        )
    rest = 1.0 / network.base_width if network.parametrization == "mup" else 0.0
    return LayerTangent(network.depth, 1.0, 1.0, rest, rest, rest)
