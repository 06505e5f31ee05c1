"""AdamW on whole rows against the compiled pass over memory that CPUs take."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, tensor  # noqa: E402

from percolaw.neural.flat_update import FlatAdamW  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import n_parameters  # noqa: E402
from percolaw.neural.step import AdamW, Moments  # noqa: E402


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("width", [8, 64], ids=["muP factors", "no factors"])
@pytest.mark.parametrize("decay", [[0.0, 0.0, 0.0], [0.0, 0.7, 30.0]])
@pytest.mark.parametrize("clip", [np.inf, 1.0])
def test_as_the_compiled_pass(dtype, width, decay, clip):
    network, decay = MLP(1, width), np.array(decay)
    training = dataclasses.replace(DOUBLE, momentum=0.85, second_moment=0.95, clip=clip)
    shapes = [p.shape for p in network.parameters(3).values()]
    compiled = AdamW.of(network, 3, 1, training)
    start = tensor(0, 3, n_parameters(network, 3)).to(dtype)
    here, there = start.clone(), start.clone()
    moments = Moments.start(here), Moments.start(there)
    flat = FlatAdamW.like(compiled, decay, there)
    assert (flat.factor is None) == (width == 64)
    assert (flat.decays is None) == (not decay.any())
    rates = np.array([[1e-2, 3e-3, 0.0]]) * np.linspace(1.0, 0.2, 6)[:, None]
    numbers = torch.as_tensor(flat.numbers(0, rates, decay)).to(dtype)
    for step in range(6):
        g = tensor(step + 1, *start.shape).to(dtype) * 10.0 ** (step - 3)
        parts = [part.clone() for part in g.split([int(np.prod(s)) for s in shapes], dim=1)]
        compiled(here, parts, moments[0], step, rates[step], decay)
        flat(there, g, moments[1], numbers[step])
    rtol = 1e-12 if dtype == torch.float64 else 2e-5
    for a, b in ((here, there), (moments[0].first, moments[1].first)):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-2 * rtol)
    assert float((here - start)[0].abs().max()) > 1e-3
    assert torch.equal(there[2], start[2]), "a rate of 0 moves nothing"


def test_numbers_of_later_steps_are_those_of_one_table():
    """A table that begins in the middle of a training."""
    flat, rates, decay = FlatAdamW(DOUBLE, None, None), np.full((9, 2), 0.1), np.array([0.0, 0.5])
    whole = flat.numbers(0, rates, decay)
    np.testing.assert_array_equal(flat.numbers(4, rates[4:], decay), whole[4:])
    assert not np.allclose(whole[:5], whole[4:])
