"""What is found in gradients, held against known quanta."""

import numpy as np
import pytest

from percolaw.experiments.quanta.known_quanta import scores, with_direction
from percolaw.rng import Streams


def test_orthogonal_gradients_are_scored_against_both_partitions():
    truth = np.repeat([0, 1, 2], [20, 10, 5])
    gradients = np.eye(3)[truth]
    found = scores(gradients, truth, np.minimum(truth, 1), 1.0, True, Streams(0))
    assert found["score"] == 1.0
    assert 0.5 < found["finer"] < 1.0
    assert (found["n_quanta"], found["n_true"], found["sizes"]) == (3, 3, [20, 10, 5])
    assert found["slope"] == found["true_slope"]
    assert found["largest"] == found["true_largest"] == pytest.approx(20 / 35)
    assert scores(gradients, truth, truth, 1 / 3, True, Streams(0))["n_quanta"] == 1


def test_samples_without_a_direction_are_left_out_of_all():
    gradients, truth = with_direction(np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([4, 5]))
    assert gradients.tolist() == [[0.0, 2.0]]
    assert truth.tolist() == [5]
