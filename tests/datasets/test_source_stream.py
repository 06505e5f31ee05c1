"""Endless points of a source: repeatable, fresh, standardised, and only where points are independent."""

import numpy as np
import pytest
from statistical import assert_close, mean_and_error

import percolaw as pl
from percolaw.datasets.source_stream import SourceStream
from percolaw.datasets.sources import Cube, FiniteCluster, InfiniteCluster, Manifold
from percolaw.rng import Streams
from percolaw.targets.families import standardized_values

FAMILIES = (pl.LinearTeacher(), pl.MaternTeacher(1.5))


@pytest.fixture(scope="module")
def stream():
    return SourceStream.of(Cube(3), FAMILIES, 500, rng=4)


def test_a_step_is_the_same_whenever_it_is_asked_for(stream):
    again = SourceStream.of(Cube(3), FAMILIES, 500, rng=4)
    for step in (3, 0, -1):
        for a, b in zip(stream.rows(step), again.rows(step), strict=True):
            np.testing.assert_array_equal(a, b)
    seen = np.concatenate([stream.rows(step)[0] for step in (0, 1, 2, -1, -2)])
    assert np.unique(seen, axis=0).shape[0] == 2500, "no point comes twice"


def test_points_and_values_are_standardised(stream):
    x, y = (np.concatenate(part) for part in zip(*map(stream.rows, range(20)), strict=True))
    assert x.shape == (10_000, 3)
    assert y.shape == (10_000, 2)
    for column in (*x.T, *y.T):
        mean, error = mean_and_error(column)
        assert_close(mean, 0.0, 1.3 * error)  # the reference of 20,000 points has an error too
        assert abs(column.std() - 1.0) < 0.05


def test_functions_are_those_of_points_drawn_at_once(stream):
    x = stream.rows(5)[0]
    expected = standardized_values(FAMILIES, x, Streams(4), n_waves=512)
    for column, value in zip(stream.rows(5)[1].T, expected.T, strict=True):
        assert np.corrcoef(column, value)[0, 1] > 1.0 - 1e-9


@pytest.mark.parametrize("source", [InfiniteCluster(8), FiniteCluster(8)])
def test_points_of_clusters_are_refused(source):
    with pytest.raises(TypeError, match=r"hang on common branches.*source\.inputs\(n\)"):
        SourceStream.of(source, FAMILIES, 16)


def test_students_learn_from_it():
    pytest.importorskip("torch")
    source = Manifold((("sphere", 1), ("cube", 1)))
    fresh = SourceStream.of(source, FAMILIES[:1], 64)
    x, y = (np.concatenate(part) for part in zip(*map(fresh.rows, range(-4, 0)), strict=True))
    student = pl.Student(0, fresh, np.arange(256))
    training = pl.Training(steps=300, batch_size=64, learning_rate=0.01, device="cpu")
    trained = pl.train(pl.MLP(2, 16), x, y, [student], training)
    assert trained.validation_loss[0] < 0.02
