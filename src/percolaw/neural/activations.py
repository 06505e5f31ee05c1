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

    Layers come in the order of the network, ``layer 1 before`` and ``layer 1 after`` its nonlinearity
    and so on; the last ``before`` is where Sharma and Kaplan (2022) measure the dimension of the data.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
        Points, or token ids.
    student : int
        Its number, from 0.

    Returns
    -------
    dict of str to array, shape (n, width)
        In the type of the weights. Of a transformer the shape is (n, tokens x 4 width), the layers
        are those inside its MLPs, and ``readout``, shape (n, width), is what the last weights see.

    Raises
    ------
    ValueError
        For a student that does not exist, and points of another shape.
    """
    blocks: list[dict[str, npt.NDArray[Any]]] = []
    trained.select(student).predict(points, blocks)
    return {name: np.concatenate([b[name][0] for b in blocks]) for name in blocks[0]}
