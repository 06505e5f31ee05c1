"""The dimension of a sample, where it has one."""

import numpy as np
import pytest

from percolaw.analysis.sample import as_sample, sample_dimension


@pytest.mark.parametrize("dimension", [1, 3])
def test_cubes_have_their_dimension(dimension):
    x = np.random.default_rng(0).random((3000, dimension))
    padded = np.concatenate([x, np.zeros((3000, 2))], axis=1)
    value, low, high = sample_dimension(as_sample(padded))
    assert low < value < high
    assert (high - low) / 2 == pytest.approx(1.96 * value / np.sqrt(3000))
    assert value == pytest.approx(dimension, rel=0.12)


def test_strings_and_graphs_have_none():
    words = ["".join("abcd"[(i // 4**j) % 4] for j in range(5)) for i in range(420)]
    assert sample_dimension(as_sample(words, metric="hamming")) is None
    assert sample_dimension(as_sample(np.zeros((420, 420)), metric="graph")) is None


def test_points_on_a_lattice_have_none_or_a_number():
    grid = np.stack(np.meshgrid(np.arange(21.0), np.arange(21.0)), axis=2).reshape(-1, 2)
    found = sample_dimension(as_sample(grid))
    assert found is None or np.all(np.isfinite(found))
