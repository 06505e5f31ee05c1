"""What only an accelerator can show: recorded steps, reduced precision, data on the host, its memory."""

import dataclasses
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural_cases import DOUBLE, LEARNERS, job_of, students, three_targets  # noqa: E402
from step_cases import STEPS, N  # noqa: E402

import percolaw as pl  # noqa: E402
from percolaw.neural import device as device_module  # noqa: E402
from percolaw.neural import ensemble as ensemble_module  # noqa: E402
from percolaw.neural.device import gradients_on, matrix_products  # noqa: E402
from percolaw.neural.job import TrainingJob  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator"),
]
TRAINING = dataclasses.replace(
    DOUBLE, device="cuda", steps=73, batch_size=16, evaluate_every=24, weight_decay=0.1
)


@pytest.fixture(scope="module")
def data():
    return three_targets()


def trained(data, network, learners, training, record=True):
    """The students, and how many calls the graphs of the last program hold."""
    ensemble = ensemble_module.Ensemble(job_of(network, *data, learners, training))
    ensemble.record = record
    sizes = set()
    real = ensemble.end_program

    def ending():
        if ensemble.program is not None:
            sizes.update(ensemble.program.repeated._replays)
        real()

    ensemble.end_program = ending
    with gradients_on(), matrix_products(training.dtype, ensemble.device):
        found = ensemble_module.train_to_the_end(ensemble)
    return found, sizes


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (MLP(2, 8), {}),
        (MLP(2, 64), {"clip": 0.5, "dtype": "float32"}),
        (MLP(2, 16), {"dtype": "tfloat32"}),
        (MLP(2, 8, "gelu", residual=True), {"dropout": 0.2, "clip": 1.0}),
        (MLP(2, 16), {"dtype": "bfloat16"}),
        (MLP(2, 16), {"dropout": 0.2}),
        (Transformer(1, 8, 2, 2), {}),
        (Transformer(1, 8, 2, 2, causal=True), {"dtype": "bfloat16"}),
    ],
    ids=lambda v: str(v)[:40],
)
def test_recorded_steps_are_the_plain_ones(data, network, changes):
    """Recorded without a warning, and replayed for blocks of ten steps and single ones."""
    training = dataclasses.replace(TRAINING, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graphs, sizes = trained(data, network, LEARNERS, training)
        plain, none = trained(data, network, LEARNERS, training, record=False)
    assert (sizes, none) == ({1, 10}, set())
    rtol = 1e-9 if training.dtype == "float64" else 2e-2
    np.testing.assert_allclose(graphs.weights, plain.weights, rtol=rtol, atol=rtol * 1e-2)
    np.testing.assert_allclose(graphs.train_curve, plain.train_curve, rtol=rtol)


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_every_network_are_recorded(name):
    network, x, y, loss = STEPS[name]
    learners = [pl.Student(seed, np.arange(80), np.arange(80, N)) for seed in range(2)]
    training = dataclasses.replace(TRAINING, patience=10**6)
    ends = []
    for record in (True, False):
        job = TrainingJob(network, x, y, learners, training, y.shape[1], loss)
        ensemble = ensemble_module.Ensemble(job)
        ensemble.record = record
        with gradients_on(), warnings.catch_warnings():
            warnings.simplefilter("error")
            ends.append(ensemble_module.train_to_the_end(ensemble))
    np.testing.assert_allclose(ends[0].weights, ends[1].weights, rtol=1e-8, atol=1e-10)


@dataclass(frozen=True)
class Asking(MLP):
    """A network that asks for the value of a tensor, which no graph can hold."""

    def forward(self, weights, x, run):
        return super().forward(weights, x * (1.0 if float(x.sum()) > -1e9 else 0.0), run)


def test_a_network_that_asks_for_a_value_is_trained_plainly(data):
    with pytest.warns(RuntimeWarning, match="cannot be recorded as a CUDA graph") as seen:
        asking, sizes = trained(data, Asking(2, 8, "tanh"), LEARNERS, TRAINING)
    assert (len(seen), sizes) == (1, set())
    plain, _ = trained(data, MLP(2, 8, "tanh"), LEARNERS, TRAINING)
    np.testing.assert_allclose(asking.weights, plain.weights, rtol=1e-9, atol=1e-11)
    assert torch.cuda.get_sync_debug_mode() == 0
    held = torch.zeros(2**24, device="cuda")
    before = torch.cuda.memory_reserved()
    del held
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < before, "no recording is under way"


def test_the_caller_s_precision_is_not_that_of_the_students(data):
    x, y = np.random.default_rng(0).standard_normal((2, 300, 64))
    learners = [pl.Student(0, np.arange(200), np.arange(200, 300))]
    ends = {}
    for dtype in ("float32", "tfloat32"):
        for caller in ("highest", "high"):
            torch.set_float32_matmul_precision(caller)
            training = dataclasses.replace(TRAINING, dtype=dtype)
            ends[dtype, caller] = pl.train(MLP(2, 64), x, y[:, 0], learners, training).weights
            assert torch.get_float32_matmul_precision() == caller
    torch.set_float32_matmul_precision("highest")
    for dtype in ("float32", "tfloat32"):
        np.testing.assert_array_equal(ends[dtype, "highest"], ends[dtype, "high"])
    gap = np.abs(ends["float32", "high"] - ends["tfloat32", "high"]).max()
    assert 1e-6 < gap < 0.3


@pytest.mark.parametrize("network", [MLP(2, 8), Transformer(1, 8, 2, vocabulary=3)], ids=str)
def test_points_on_the_host(data, monkeypatch, network):
    x, y = data
    x = np.abs(np.round(x)).astype(int) % 3 if network.takes_tokens else x
    there, _ = trained((x, y), network, LEARNERS, TRAINING)
    monkeypatch.setattr(device_module, "resident_bytes", lambda device: 100.0)
    here, sizes = trained((x, y), network, LEARNERS, TRAINING)
    assert sizes == {1, 10}
    np.testing.assert_allclose(here.weights, there.weights, rtol=1e-12, atol=1e-13)


@dataclass(frozen=True)
class Fresh:
    seed: int

    def rows(self, step):
        x = np.random.default_rng((self.seed, step)).standard_normal((16, 3))
        return x, np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x[:, 0], x[:, 1]], axis=1)


def test_streams_are_the_same_on_both_devices(data):
    learners = [dataclasses.replace(s, train=Fresh(i // 2)) for i, s in enumerate(students())]
    far, sizes = trained(data, MLP(2, 8), learners, TRAINING)
    here = pl.train(MLP(2, 8), *data, learners, dataclasses.replace(TRAINING, device="cpu"))
    assert sizes == {1, 10}
    np.testing.assert_allclose(far.weights, here.weights, rtol=1e-6, atol=1e-8)


def test_memory_is_given_back(data):
    """Programs that end as students end leave no graphs and tables behind."""
    training = dataclasses.replace(TRAINING, patience=1, evaluate_every=10)
    held = []
    for _ in range(3):
        trained(data, MLP(2, 64), LEARNERS, training)
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
    assert held[2] <= held[1]
