"""Tasks drawn: different subsets, uniform ones, unions with the parity of their parts."""

import itertools
import math

import numpy as np
import pytest
from statistical import chi_squared_p

from percolaw.datasets.parity_tasks import composite_tasks, parity_tasks
from percolaw.errors import ResourceError


def test_subsets_differ_and_are_uniform():
    every = parity_tasks(math.comb(7, 3), 7, 3).subset
    assert len({row.tobytes() for row in every}) == 35
    assert np.all(every.sum(axis=1) == 3)
    names = {c: i for i, c in enumerate(itertools.combinations(range(5), 2))}
    firsts = [
        names[tuple(np.flatnonzero(parity_tasks(1, 5, 2, rng=s).subset[0]).tolist())]
        for s in range(600)
    ]
    assert chi_squared_p(np.bincount(firsts, minlength=10), np.full(10, 0.1)) > 1e-6


def test_unions_have_the_parity_of_their_parts():
    codes = [(0,), (1,), (2,), (0, 2), (0, 1, 2)]
    tasks = composite_tasks(codes, np.arange(1, 6), n_bits=16, part_size=4)
    assert tasks.parts == tuple(codes)
    assert tasks.subset.sum(axis=1).tolist() == [4, 4, 4, 8, 12]
    bits = np.random.default_rng(0).integers(0, 2, (50, 16))
    label = [tasks.labelled(np.full(50, t), bits).label for t in range(5)]
    assert np.array_equal(label[4], (label[0] + label[1] + label[2]) % 2)
    assert tasks.weight[4] == pytest.approx(1 / 3)


def test_mistakes_are_refused():
    for call, match in (
        (lambda: parity_tasks(math.inf), "n_tasks must be finite"),
        (lambda: parity_tasks(3, 4, 5), "Raise n_bits"),
        (lambda: parity_tasks(11, 5, 2), "10 subsets"),
        (lambda: composite_tasks([(0,), (1,)], [1, 1], n_bits=7), "n_bits = 8"),
        (lambda: composite_tasks([(0, 0)], [1]), "twice"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(ResourceError, match="Lower n_tasks"):
        parity_tasks(10**6, 10**7)
