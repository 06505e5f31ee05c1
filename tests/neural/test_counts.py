"""FLOPs against torch's own counter, and sizes of activations and updates against width under muP."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import MLPS, POINTS, TOKENS, ensemble_of, inputs, named  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

import percolaw as pl  # noqa: E402
from percolaw.neural.network import ForwardPass, training_flops, unflatten  # noqa: E402

#: A student's first residuals decide how its layers move: of three, slopes have an error of 0.2.
SEEDS = 20
NETWORKS = [*MLPS, pl.MLP(2, 12, residual=True), *POINTS, *TOKENS]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_flops_are_what_torch_counts(network, n_outputs):
    students, batch, dim = 2, 5, 10
    weights = named(network, dim, n_outputs, range(students))
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    x = inputs(network, dim, students, batch)
    with FlopCounterMode(display=False) as counter:
        out = network.forward(leaves, x, ForwardPass())
    assert counter.get_total_flops() == students * batch * network.flops(dim, n_outputs)
    with FlopCounterMode(display=False) as counter:
        out = network.forward(leaves, x, ForwardPass())
        torch.autograd.grad(out.square().sum(), list(leaves.values()))
    assert counter.get_total_flops() == students * batch * training_flops(network, dim, n_outputs)


def slopes(make, widths):
    """Exponents in width of activations, and of what one step changes in them: layers, then output."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 8))
    y = np.sin(x[:, 0]) + x[:, 1]
    students = [pl.Student(seed, np.arange(200), np.arange(200, 300)) for seed in range(SEEDS)]
    training = pl.Training(
        learning_rate=1e-3, warmup=0.0, batch_size=32, device="cpu", schedule="constant"
    )
    size, moved = [], []
    for width in widths:
        network = make(width)
        ensemble = ensemble_of(network, x, y, students, training)
        before = activations(network, ensemble.weights, x)
        ensemble.run_steps(1)
        after = activations(network, ensemble.weights, x)
        size.append([float(b.square().mean().sqrt()) for b in before])
        pairs = zip(after, before, strict=True)
        moved.append([float((a - b).square().mean().sqrt()) for a, b in pairs])
    return (np.polyfit(np.log(widths), np.log(np.array(each)), 1)[0] for each in (size, moved))


def activations(network, rows, x):
    run = ForwardPass(layers={})
    points = torch.as_tensor(x[200:], dtype=rows.dtype).expand(rows.shape[0], -1, -1)
    with torch.no_grad():
        out = network.forward(unflatten(network, 8, 1, rows), points, run)
    before = [h.clone() for name, h in run.layers.items() if not name.endswith("after")]
    return [*before, out]


@pytest.mark.parametrize(
    ("residual", "widths"),
    [
        (False, (64, 128, 256)),
        (True, (64, 128, 256)),
        pytest.param(False, (64, 128, 256, 512, 1024), marks=pytest.mark.slow),
        pytest.param(True, (64, 128, 256, 512, 1024), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_one_step_moves_every_layer_as_much_at_every_width(residual, widths):
    """The coordinate check of Yang et al. (2022), in the first step, before any loss has fallen.

    Without muP what a step of AdamW adds to a layer grows as its fan-in, to the output once more by the
    layers below. 0.2 is a factor of 1.3 over two doublings of the width. The size of the output at the
    start is one random number a student, too few to take a slope of; the base width is small, so that it
    is small beside the targets at every width, and all have the same residuals.
    """
    size, moved = slopes(lambda w: pl.MLP(3, w, residual=residual, base_width=8), widths)
    assert (np.abs(size[:-1]) < 0.2).all(), size
    assert (np.abs(moved) < 0.2).all(), moved
    _, moved = slopes(lambda w: pl.MLP(3, w, residual=residual, parametrization="standard"), widths)
    assert abs(moved[0]) < 0.2, "the first layer has the same fan-in at every width"
    assert (moved[1:] > 0.7).all(), moved
