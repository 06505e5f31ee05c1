"""Activations of the layers of a trained student."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.neural.trained import Trained


def layer_activations(
    trained: Trained, points: npt.ArrayLike, student: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Return the activations of one student at points, by layer.

    Layers come in the order of the network, each ``before`` and ``after`` its nonlinearity; the last
    ``before`` is where Sharma and Kaplan (2022) measure the dimension of the data.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
    student : int

    Returns
    -------
    dict of str to array, shape (n, width)
        In the type of the weights.
    """
    blocks: list[dict[str, npt.NDArray[Any]]] = []
    trained.select(student).predict(points, blocks)
    return {name: np.concatenate([b[name][0] for b in blocks]) for name in blocks[0]}
