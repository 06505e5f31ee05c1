"""One student trained by several processes is the student of one process, to rounding."""

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch without torch.distributed", allow_module_level=True)

from neural_cases import ensemble_of, relu_batch  # noqa: E402

import percolaw as pl  # noqa: E402
from percolaw.neural import parallel  # noqa: E402
from percolaw.neural.losses import LOSSES  # noqa: E402
from percolaw.neural.parallel import train_parallel  # noqa: E402
from percolaw.neural.step import ReluGradient  # noqa: E402

X = np.random.default_rng(1).standard_normal((120, 3))
Y = np.sin(2 * X[:, 0]) * X[:, 1]
TRAINING = pl.Training(
    dtype="float64", device="cpu", steps=60, batch_size=17, evaluate_every=10, clip=1.0
)
STUDENT = pl.Student(0, np.arange(80), np.arange(80, 120))


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A process group of this process alone."""
    path = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{path}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("network", [pl.MLP(2, 8), pl.Transformer(1, 8, 2, 2)], ids=str)
def test_one_process(group, network, tmp_path):
    alone = pl.train(network, X, Y, [STUDENT], TRAINING)
    shared = train_parallel(network, X, Y, STUDENT, TRAINING, checkpoint=tmp_path)
    np.testing.assert_allclose(shared.weights, alone.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shared.train_curve, alone.train_curve, rtol=1e-9)


def test_what_is_refused(group):
    for change, match in (
        ({"dropout": 0.1}, "dropout must be 0"),
        ({"batch_size": 0}, "batch_size"),
    ):
        with pytest.raises(ValueError, match=match):
            train_parallel(pl.MLP(1, 4), X, Y, STUDENT, dataclasses.replace(TRAINING, **change))


PROGRAM = """
    import sys
    import numpy as np
    import torch
    sys.path[:0] = [{tests!r}, {tests!r} + "/.."]
    from test_parallel import STUDENT, TRAINING, X, Y, pl, train_parallel
    torch.set_num_threads(1)
    rank = int(sys.argv[1])
    torch.distributed.init_process_group(
        "gloo", init_method="file://{store}", rank=rank, world_size=2
    )
    trained = train_parallel(pl.MLP(2, 8), X, Y, STUDENT, TRAINING)
    np.savez("{store}.%d.npz" % rank, weights=trained.weights, curve=trained.train_curve)
    torch.distributed.destroy_process_group()
"""


class Unshared:
    """What stands in for PyTorch's wrapper: the gradients of this process alone."""

    def __init__(self, module):
        self.module, self.zero_grad = module, module.zero_grad

    def __call__(self, *arguments):
        return self.module(*arguments)


def test_the_mean_over_processes_is_the_gradient_of_the_whole_minibatch(monkeypatch):
    ensemble = ensemble_of(pl.MLP(2, 8), X, Y, [STUDENT], TRAINING)
    weights = ensemble.named(ensemble.weights)
    module = Unshared(parallel.SharedStudent(pl.MLP(2, 8), weights))
    gradient = parallel.ParallelGradient(module, LOSSES["mse"], "float64")
    batch = relu_batch(3, 1, 1, rows=11)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    losses, parts = [], []
    for rank in range(3):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        loss, gradients = gradient(weights, batch)
        losses.append(loss)
        parts.append([g.clone() for g in gradients])
    expected_loss, expected = ReluGradient(2, LOSSES["mse"])(weights, batch)
    torch.testing.assert_close(sum(losses), expected_loss, rtol=1e-12, atol=0)
    for each, whole in zip(zip(*parts, strict=True), expected, strict=True):
        torch.testing.assert_close(sum(each) / 3, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Of 17 rows one has 8 and the other 9."""
    text = PROGRAM.format(tests=str(Path(__file__).parent), store=tmp_path / "store")
    command = [sys.executable, "-c", textwrap.dedent(text)]
    started = [subprocess.Popen([*command, str(rank)]) for rank in (0, 1)]
    try:
        assert [process.wait(120) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    alone = pl.train(pl.MLP(2, 8), X, Y, [STUDENT], TRAINING)
    ends = [np.load(tmp_path / f"store.{rank}.npz") for rank in (0, 1)]
    np.testing.assert_array_equal(ends[0]["weights"], ends[1]["weights"])
    np.testing.assert_allclose(ends[0]["weights"], alone.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ends[0]["curve"], alone.train_curve, rtol=1e-9)
