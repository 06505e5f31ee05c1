"""Many students in one program are what each is alone; evaluation and short memory change nothing."""

import dataclasses
import math
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    DOUBLE,
    LEARNERS,
    assert_alone,
    assert_same,
    ensemble_of,
    fields,
    interrupted,
    job_of,
    students,
    three_targets,
)

from percolaw.errors import ResourceError  # noqa: E402
from percolaw.neural import data as data_module  # noqa: E402
from percolaw.neural import ensemble  # noqa: E402
from percolaw.neural import network as network_module  # noqa: E402
from percolaw.neural import step as step_module  # noqa: E402
from percolaw.neural.activations import layer_activations  # noqa: E402
from percolaw.neural.checkpoint import identity  # noqa: E402
from percolaw.neural.config import Training  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.tangent_kernel import tangent_kernel  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


@pytest.mark.parametrize(
    ("network", "changes", "chosen"),
    [
        (MLP(2, 8), {}, range(5)),
        (
            MLP(2, 8, "gelu", residual=True),
            {"schedule": "cosine", "clip": 1.0, "dropout": 0.1, "steps": 80},
            (1, 3),
        ),
        (Transformer(1, 8, 2, 2), {"dropout": 0.2, "steps": 100, "patience": 1}, (1, 3)),
    ],
    ids=lambda v: str(v)[:40],
)
def test_together_as_alone(data, network, changes, chosen):
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        **(
            {"steps": 200, "batch_size": 16, "evaluate_every": 10, "patience": 4}
            | {"weight_decay": 0.05, "learning_rate": 0.01}
            | changes
        ),
    )
    together = train(network, x, y, LEARNERS, training)
    assert len(set(together.steps.tolist())) > 1
    for i in chosen:
        assert_alone(together, i, train(network, x, y, [LEARNERS[i]], training))
    # Control: a student's own numbers matter.
    other = dataclasses.replace(LEARNERS[1], seed=77)
    assert (
        np.abs(train(network, x, y, [other], training).weights - together.weights[1]).max() > 1e-3
    )


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_parts_and_blocks_do_not_matter(data, monkeypatch, dropout):
    """Students worked on a few at a time, rows sent in small pieces, evaluation in small blocks."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=60, batch_size=16, evaluate_every=15, dropout=dropout
    )
    whole = train(MLP(2, 8), x, y, LEARNERS, training)
    out = whole.predict(x)
    monkeypatch.setattr(step_module, "CACHE", 1 << 14)
    monkeypatch.setattr(data_module, "INDEX_ELEMENTS", 300)
    monkeypatch.setattr(network_module, "ACTIVATIONS_AT_ONCE", 400)
    cut = train(MLP(2, 8), x, y, LEARNERS, training)
    for name, value in fields(cut).items():
        if name != "stopped":
            np.testing.assert_allclose(value, fields(whole)[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cut.predict(x), out, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [1e6, math.inf])
def test_divergence_of_one_leaves_the_others(data, rate):
    x, y = data
    if math.isinf(rate):  # values that overflow, not a rate
        y, rate = y.copy(), 0.01
        y[:, 1] *= 1e200
    training = dataclasses.replace(DOUBLE, steps=60, batch_size=16, evaluate_every=10)
    wild = dataclasses.replace(LEARNERS[1], learning_rate=rate)
    found = train(MLP(2, 8), x, y, [LEARNERS[0], wild, *LEARNERS[2:]], training)
    assert found.stopped[1] == "diverged"
    assert not found.converged[1]
    for name in ("validation_loss", "train_loss", "gradient_norm"):
        assert np.isnan(getattr(found, name)[1]), name
        assert np.isfinite(np.delete(getattr(found, name), 1)).all(), name
    assert found.steps[1] < 60
    calm = train(MLP(2, 8), x, y, [LEARNERS[0], *LEARNERS[2:]], training)
    others = [0, 2, 3, 4]
    np.testing.assert_allclose(found.weights[others], calm.weights, rtol=1e-12, atol=1e-13)
    assert [found.stopped[i] for i in others] == list(calm.stopped)


def test_students_begin_with_the_weights_that_they_are_given(data):
    x, y = data
    network, short = MLP(1, 8), dataclasses.replace(DOUBLE, steps=20, batch_size=16)
    first = train(network, x, y, students(), short)
    begun = [students()[0], dataclasses.replace(students()[1], start=first.weights[2])]
    still = dataclasses.replace(short, learning_rate=0.0, keep="last")
    kept = train(network, x, y, begun, still).weights
    np.testing.assert_array_equal(kept[1], first.weights[2])
    np.testing.assert_array_equal(kept[0], train(network, x, y, students()[:1], still).weights[0])
    jobs = [job_of(network, x, y[:, :1], some, short) for some in (begun, students()[:2])]
    assert identity(jobs[0]) != identity(jobs[1])


def test_all_diverge(data):
    x, y = data
    found = train(MLP(1, 8), x, y, students(learning_rate=1e8), Training(steps=1000, device="cpu"))
    assert found.stopped == ("diverged",) * 3
    assert (found.steps < 1000).all()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_looking_changes_nothing(data, dropout):
    x, y = data
    rows = []
    for unit in (10, 50):
        training = dataclasses.replace(
            DOUBLE,
            steps=100,
            evaluate_every=unit,
            patience=10**6,
            schedule="constant",
            dropout=dropout,
            batch_size=16,
        )
        batch = ensemble_of(MLP(2, 8), x, y, students(), training)
        start = batch.weights.clone()
        for _ in range(100 // unit):
            batch.evaluate()
            batch.run_steps(unit)
        rows.append(batch.weights.numpy())
        assert float((batch.weights - start).abs().max()) > 0.01
    np.testing.assert_array_equal(*rows)


def test_global_random_states_are_left_alone(data):
    x, y = data

    def states():
        legacy = np.random.get_state()[1].copy()  # noqa: NPY002
        return [torch.get_rng_state().numpy(), legacy, random.getstate()]

    before = states()
    training = Training(steps=20, evaluate_every=5, dropout=0.2, device="cpu")
    found = train(MLP(2, 8), x, y, students(), training)
    found.predict(x)
    layer_activations(found, x)
    tangent_kernel(found, x[:4])
    for a, b in zip(before, states(), strict=True):
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    # And they have no influence.
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    assert_same(found, train(MLP(2, 8), x, y, students(), training))


@pytest.mark.parametrize(
    ("most", "kind"),
    [
        (1, lambda: MemoryError()),
        (2, lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
        (3, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")),
        (3, lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")),
    ],
)
def test_short_memory_halves_the_batch(data, monkeypatch, most, kind):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=60, evaluate_every=10, patience=2, batch_size=16)
    arguments = (MLP(1, 6), x, y, LEARNERS, training)
    whole, real, sizes = train(*arguments), ensemble.train_ensemble, []

    def small(job):
        sizes.append(len(job.students))
        if len(job.students) > most:
            raise kind()
        return real(job)

    monkeypatch.setattr(ensemble, "train_ensemble", small)
    split = train(*arguments)
    assert sizes[0] == 5
    assert sum(s for s in sizes if s <= most) == 5
    for name, value in fields(whole).items():
        if name == "stopped":
            assert split.stopped == whole.stopped
        else:
            np.testing.assert_allclose(fields(split)[name], value, rtol=1e-9, atol=1e-12)
    assert np.abs(np.diff(whole.validation_loss)).min() > 1e-6, "an order to lose"
    np.testing.assert_allclose(split.predict(x[:5]), whole.predict(x[:5]), rtol=1e-9, atol=1e-12)


def test_one_student_too_large(data, monkeypatch):
    x, y = data

    def never(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(ensemble, "train_ensemble", never)
    with pytest.raises(ResourceError, match="Lower batch_size or the width"):
        train(MLP(1, 6), x, y, LEARNERS, DOUBLE)


def test_other_errors_are_not_taken_for_short_memory(data, monkeypatch):
    x, y = data
    calls = []

    def broken(*_):
        calls.append(0)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(ensemble, "train_ensemble", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        train(MLP(1, 6), x, y, LEARNERS, DOUBLE)
    assert len(calls) == 1


def test_split_batches_resume(data, monkeypatch, tmp_path):
    """Halves have states of their own; an interrupted second half does not lose the first's end."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=10, batch_size=16)
    whole, real = train(MLP(1, 6), x, y, LEARNERS, training), ensemble.train_ensemble

    def small(job):
        if len(job.students) > 3:
            raise MemoryError
        return real(job)

    monkeypatch.setattr(ensemble, "train_ensemble", small)
    _, progress = interrupted(6)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(1, 6), x, y, LEARNERS, training, progress=progress, **kwargs)
    done = train(MLP(1, 6), x, y, LEARNERS, training, **kwargs)
    np.testing.assert_allclose(done.weights, whole.weights, rtol=1e-9, atol=1e-12)
    assert list(tmp_path.iterdir()) == []


def test_large_seeds(data):
    x, y = data
    learners = [
        dataclasses.replace(LEARNERS[0], seed=s) for s in (2**64 - 1, np.uint64(2**63), np.int64(3))
    ]
    training = dataclasses.replace(DOUBLE, steps=10, dropout=0.2, batch_size=16)
    found = train(MLP(1, 6), x, y, learners, training)
    for i, student in enumerate(learners):
        assert_alone(found, i, train(MLP(1, 6), x, y, [student], training))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (MLP(2, 8), {"weight_decay": 0.1}),
        (MLP(2, 8, "gelu", residual=True), {"dropout": 0.2, "clip": 1.0}),
        (Transformer(1, 8, 2, 2), {}),
    ],
    ids=lambda v: str(v)[:40],
)
def test_accelerator_as_cpu(data, tmp_path, network, changes):
    """The same students; masks of dropout and a state written on the other device included."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, **({"steps": 60, "batch_size": 16, "evaluate_every": 10} | changes)
    )
    there = dataclasses.replace(training, device="cuda")
    here, far = (train(network, x, y, LEARNERS, t) for t in (training, there))
    for i in range(len(LEARNERS)):
        np.testing.assert_allclose(far.weights[i], here.weights[i], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(far.predict(x), here.predict(x), rtol=1e-6, atol=1e-8)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(network, x, y, LEARNERS, training, progress=progress, **kwargs)
    seen, progress = interrupted(0)
    moved = train(network, x, y, LEARNERS, there, progress=progress, **kwargs)
    assert seen[0] == 40
    np.testing.assert_allclose(moved.weights, here.weights, rtol=1e-6, atol=1e-8)
