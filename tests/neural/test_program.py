"""The program of accelerators, on a CPU, against the loop of CPUs: the same students to rounding."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    DOUBLE,
    LEARNERS,
    ensemble_of,
    fields,
    interrupted,
    job_of,
    students,
    three_targets,
)

from percolaw.neural import device as device_module  # noqa: E402
from percolaw.neural import graph, program  # noqa: E402
from percolaw.neural.device import gradients_on  # noqa: E402
from percolaw.neural.ensemble import train_ensemble  # noqa: E402
from percolaw.neural.feed import PointFeed, RowFeed  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


def trained(data, network, learners, training, as_program, **changes):
    job = dataclasses.replace(job_of(network, *data, learners, training), **changes)
    with gradients_on():
        return train_ensemble(job, as_program)


def assert_close(one, other, rtol=1e-9):
    assert one.stopped == other.stopped
    for name, value in fields(one).items():
        if name != "stopped":
            loose = 1e-6 if name == "gradient_norm" else rtol
            np.testing.assert_allclose(
                value, fields(other)[name], rtol=loose, atol=1e-10, err_msg=name
            )


CASES = [
    (MLP(2, 8), {}),
    (MLP(2, 128), {"clip": 0.5, "steps": 40}),
    (MLP(2, 8), {"dropout": 0.3, "schedule": "constant"}),
    (MLP(2, 8, "gelu", residual=True), {"schedule": "cosine", "clip": 1.0, "dropout": 0.1}),
    (Transformer(1, 8, 2, 2), {"dropout": 0.2, "steps": 100, "evaluate_every": 10, "patience": 1}),
]


@pytest.mark.parametrize(("network", "changes"), CASES, ids=lambda v: str(v)[:40])
def test_the_program_trains_the_students_of_the_loop(data, network, changes, monkeypatch):
    """Several blocks in an interval, students that end early, students with few rows, decay and clips."""
    monkeypatch.setattr(program, "TABLE_BYTES", 8 * 5 * 16 * 7)
    training = dataclasses.replace(
        DOUBLE,
        **(
            {"steps": 75, "batch_size": 16, "evaluate_every": 15, "patience": 2}
            | {"weight_decay": 0.05, "learning_rate": 0.01}
            | changes
        ),
    )
    loop, flat = (trained(data, network, LEARNERS, training, which) for which in (False, True))
    assert len(set(loop.steps.tolist())) > 1 or training.steps == 40
    assert_close(flat, loop)


class Fresh:
    """Points that nobody holds, and how often each step was asked for."""

    def __init__(self, seed):
        self.seed, self.asked = seed, []

    def rows(self, step):
        self.asked.append(step)
        x = np.random.default_rng((self.seed, step)).standard_normal((16, 3))
        return x, np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x[:, 0], x[:, 1]], axis=1)


SHORT = dataclasses.replace(
    DOUBLE, steps=60, batch_size=16, evaluate_every=7, patience=3, weight_decay=0.1
)


@pytest.mark.parametrize("n_streams", [1, 2, 3])
def test_streams_are_drawn_ahead_once_and_in_order(data, n_streams, monkeypatch):
    """By students that share them or not; the loop's students to rounding."""
    monkeypatch.setattr(program, "TABLE_BYTES", 8 * 3 * 3 * 16 * 4)
    ends = []
    for as_program in (False, True):
        streams = [Fresh(i) for i in range(n_streams)]
        learners = [
            dataclasses.replace(s, train=streams[i % n_streams], target=i)
            for i, s in enumerate(students())
        ]
        training = dataclasses.replace(SHORT, patience=10**6)
        ends.append(trained(data, MLP(2, 8), learners, training, as_program))
        for stream in streams:
            assert stream.asked[:60] == list(range(60))
    assert_close(*ends)


def test_an_error_of_a_stream_is_raised_in_the_call_that_trains(data):
    class Short(Fresh):
        def rows(self, step):
            x, y = super().rows(step)
            return (x[:-1], y) if step == 20 else (x, y)

    learners = [dataclasses.replace(students()[0], train=Short(0))]
    with pytest.raises(ValueError, match=r"got \(15, 3\) at step 20"):
        trained(data, MLP(1, 4), learners, SHORT, True)


@pytest.mark.parametrize("network", [MLP(2, 8), Transformer(1, 8, 2, vocabulary=3)], ids=str)
def test_points_that_do_not_fit_on_the_device_stay_on_the_host(data, monkeypatch, network):
    """Gathered there by the thread: the same students, bit for bit."""
    x, y = data
    x = np.abs(np.round(x)).astype(int) % 3 if network.takes_tokens else x
    there = trained((x, y), network, LEARNERS, SHORT, True)
    assert isinstance(program_of((x, y), network).feed, RowFeed)
    monkeypatch.setattr(device_module, "resident_bytes", lambda device: 100.0)
    batch = program_of((x, y), network)
    assert isinstance(batch.feed, PointFeed)
    batch.close()
    here = trained((x, y), network, LEARNERS, SHORT, True)
    for name, value in fields(there).items():
        np.testing.assert_array_equal(value, fields(here)[name], err_msg=name)


def program_of(data, network):
    ensemble = ensemble_of(network, *data, LEARNERS, SHORT)
    return ensemble._new_program(ensemble.decay)


class Recording:
    """In the place of CUDA graphs: what is recorded, and calls that a replay makes."""

    def __init__(self, monkeypatch, error=None, waits=False):
        self.error, self.waits, self.sizes, self.replayed = error, waits, [], 0
        monkeypatch.setattr(graph, "recorded", self.recorded)
        monkeypatch.setattr(graph, "aside", self.aside)
        real = program.Repeated
        monkeypatch.setattr(
            program, "Repeated", lambda call, device, record, *more: real(call, device, True, *more)
        )

    def aside(self, call, device, watched=False):
        if watched and self.waits:
            raise RuntimeError(f"called a {graph.WAITS}")
        call()

    def recorded(self, call, times, device):
        self.sizes.append(times)
        if self.error is not None:
            raise self.error

        def replay():
            self.replayed += times
            for _ in range(times):
                call()

        return replay


@pytest.mark.parametrize("every", [7, 23, 60])
def test_graphs_are_replayed_for_all_but_the_first_steps(data, every, monkeypatch):
    """Intervals are no multiples of a graph's calls."""
    training = dataclasses.replace(SHORT, evaluate_every=every, patience=10**6)
    plain = trained(data, MLP(2, 8), LEARNERS, training, True)
    recording = Recording(monkeypatch)
    replayed = trained(data, MLP(2, 8), LEARNERS, training, True)
    assert recording.replayed == 60 - graph.WARM_UP
    assert len(recording.sizes) == len(set(recording.sizes)), "no graph is recorded twice"
    for name, value in fields(plain).items():
        np.testing.assert_array_equal(value, fields(replayed)[name], err_msg=name)


def test_a_step_that_cannot_be_recorded_is_made_plainly_and_said_once(data, monkeypatch, recwarn):
    training = dataclasses.replace(SHORT, patience=2, evaluate_every=5)
    plain = trained(data, MLP(2, 8), LEARNERS, training, True)
    assert len(set(plain.steps.tolist())) > 1, "several programs"
    Recording(monkeypatch, RuntimeError("operation not permitted when stream is capturing"))
    fallen = trained(data, MLP(2, 8), LEARNERS, training, True)
    for name, value in fields(plain).items():
        np.testing.assert_array_equal(value, fields(fallen)[name], err_msg=name)
    assert [str(w.message)[:46] for w in recwarn] == [
        "the steps of this network cannot be recorded a"
    ]


def test_a_step_that_waits_for_the_device_is_never_recorded(data, monkeypatch, recwarn):
    """It is watched in the last plain call, made again there, and said once."""
    training = dataclasses.replace(SHORT, patience=2, evaluate_every=1)
    plain = trained(data, MLP(2, 8), LEARNERS, training, True)
    recording = Recording(monkeypatch, waits=True)
    fallen = trained(data, MLP(2, 8), LEARNERS, training, True)
    assert recording.sizes == []
    for name, value in fields(plain).items():
        np.testing.assert_array_equal(value, fields(fallen)[name], err_msg=name)
    assert [str(w.message)[:46] for w in recwarn] == [
        "the steps of this network cannot be recorded a"
    ]


def test_short_memory_while_recording_is_no_reason_to_go_on(data, monkeypatch):
    Recording(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        trained(data, MLP(2, 8), LEARNERS, SHORT, True)


def test_resumed_between_graphs_as_if_never_interrupted(data, monkeypatch, tmp_path):
    """By the program from a state of the program, and from one of the loop."""
    Recording(monkeypatch)
    training = dataclasses.replace(SHORT, dropout=0.2)
    whole = trained(data, MLP(2, 8), LEARNERS, training, True)
    for first, rtol in ((True, 0.0), (False, 1e-9)):
        _, progress = interrupted(3)
        kwargs = {"folder": tmp_path, "checkpoint_seconds": 0.0}
        with pytest.raises(KeyboardInterrupt):
            trained(data, MLP(2, 8), LEARNERS, training, first, progress=progress, **kwargs)
        seen, progress = interrupted(0)
        done = trained(data, MLP(2, 8), LEARNERS, training, True, progress=progress, **kwargs)
        assert seen[0] == 28
        np.testing.assert_allclose(done.weights, whole.weights, rtol=rtol, atol=rtol * 1e-3)


def test_looking_changes_nothing(data):
    ends = []
    for unit in (10, 25, 50):
        training = dataclasses.replace(SHORT, steps=50, schedule="constant", evaluate_every=unit)
        ensemble = ensemble_of(MLP(2, 8), *data, students(), training, True)
        for _ in range(50 // unit):
            ensemble.evaluate()
            ensemble.run_steps(unit)
        ensemble.end_program()
        ends.append(ensemble.weights.numpy())
    np.testing.assert_array_equal(ends[1], ends[0])
    np.testing.assert_array_equal(ends[2], ends[0])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradients_are_written_where_the_program_wants_them(data, n_outputs):
    """By hand and by autograd, into views of rows that are not contiguous."""
    ensemble = ensemble_of(MLP(2, 5), *data, LEARNERS[::4], SHORT, True, n_outputs=n_outputs)
    run = ensemble._new_program(ensemble.decay)
    run.tables[0].copy_(run.ahead.take((0, 7), (7, 0))[0])
    x, y = run.feed.minibatch([run.tables[0][2]])
    batch = program.Minibatch(x, y, run.shares, program.ForwardPass())
    assert y.shape == (2, 16, n_outputs)
    leaves = {name: w.clone().requires_grad_() for name, w in run.leaves.items()}
    loss = ((MLP(2, 5).forward(leaves, x, batch.run) - y) ** 2).mean(-1) * run.shares
    expected = torch.autograd.grad(loss.sum(), list(leaves.values()))
    run.gradient(run.leaves, batch, run.into)
    run.close()
    for got, want in zip(run.into, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-13)
    flat = torch.cat([g.reshape(2, -1) for g in expected], dim=1)
    torch.testing.assert_close(run.flat, flat, rtol=1e-12, atol=1e-13)
