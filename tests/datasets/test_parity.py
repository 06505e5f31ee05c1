"""Sparse parity: labels by hand, frequencies, tests that disturb nothing and weigh tasks exactly."""

import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, chi_squared_p

from percolaw.datasets.parity import ParityStream, ParityTasks
from percolaw.datasets.parity_tasks import parity_tasks
from percolaw.errors import ResourceError


@pytest.fixture(scope="module")
def tasks():
    """More bits than one word has."""
    return parity_tasks(n_tasks=40, n_bits=100, subset_size=3, rank_exponent=0.4)


@pytest.fixture(scope="module")
def samples(tasks):
    return tasks.sample(20_000)


def test_labels_are_parities_of_the_bits_of_the_task(tasks, samples):
    bits = samples.bits()
    assert bits.shape == (20_000, 100)
    assert np.array_equal((bits * tasks.subset[samples.task]).sum(axis=1) % 2, samples.label)
    again = tasks.labelled(samples.task, bits)
    assert np.array_equal(again.words, samples.words)
    assert np.array_equal(again.label, samples.label)
    assert np.array_equal(samples.targets()[:, 1], samples.label)
    assert np.array_equal(samples.inputs()[:, 0], samples.task)
    assert np.array_equal(samples.inputs()[:, 1:].view(np.uint64), samples.words)


def test_tasks_are_used_with_their_frequencies(tasks, samples):
    count = np.bincount(samples.task, minlength=tasks.n_tasks)
    assert tasks.weight == pytest.approx(
        np.arange(1, 41) ** -1.4 / np.sum(np.arange(1, 41) ** -1.4)
    )
    assert chi_squared_p(count, tasks.weight) > 1e-6
    assert chi_squared_p(count, np.full(40, 1 / 40)) < 1e-6


def test_bits_are_fair_and_independent_of_each_other_and_of_the_task(samples):
    bits, n = samples.bits().astype(float), samples.n_samples
    for column in (0, 63, 64, 99):
        assert_close(bits[:, column].mean(), 0.5, 0.5 / math.sqrt(n))
    assert_close((bits[:, 0] == bits[:, 64]).mean(), 0.5, 0.5 / math.sqrt(n))
    first = bits[samples.task == 0]
    assert_close(first.mean(), 0.5, 0.5 / math.sqrt(first.size))


def test_the_sequence_is_the_same_however_it_is_cut(tasks, samples):
    parts = [tasks.sample(7, first=a) for a in (0, 7, 14)]
    for name in ("task", "words", "label"):
        whole = getattr(samples, name)[:21]
        assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), whole)
    stream = ParityStream(tasks, 7)
    inputs, targets = stream.rows(2)
    assert np.array_equal(inputs, samples.inputs()[14:21])
    assert np.array_equal(targets, samples.targets()[14:21])
    assert not np.array_equal(ParityStream(tasks, 7, 1).rows(2)[0], inputs)


def test_evaluation_draws_nothing_from_training(tasks, samples):
    """Neither numbers nor states: training samples are the same after it, and none of them is in it."""
    test = tasks.test_set(50)
    assert np.array_equal(tasks.sample(100).words, samples.words[:100])
    both = {row.tobytes() for row in samples.words} & {row.tobytes() for row in test.words}
    assert not both
    assert np.array_equal(np.bincount(test.task), np.full(40, 50))


def test_stratified_loss_equals_the_plain_one_in_expectation(tasks):
    """Of a loss that is largest of rare tasks; the mean of the strata without weights is another."""
    loss_of = np.linspace(0.0, 1.0, 40) ** 2
    test = tasks.test_set(200)
    noise = np.random.default_rng(0).standard_normal(test.n_samples)
    values = loss_of[test.task] + noise
    exact = float(loss_of @ tasks.weight)
    error = math.sqrt(np.sum(tasks.weight**2) / 200)
    assert_close(float(test.mean(values)), exact, error)
    assert_far(float(values.mean()), exact, error)
    plain = tasks.sample(100_000, 1)
    spread = loss_of[plain.task]
    assert_close(float(spread.mean()), exact, float(spread.std() / math.sqrt(spread.size)))
    assert test.per_task(np.stack([values, 2 * values])).shape == (2, 40)


def test_mistakes_are_refused(tasks):
    for call, match in (
        (lambda: tasks.labelled([0], np.full((1, 100), -1)), r"\(1 - signs\)"),
        (lambda: tasks.labelled([0], np.full((1, 100), 0.5)), "0 and 1"),
        (lambda: tasks.labelled([0], np.zeros((1, 99))), "100 columns"),
        (lambda: tasks.labelled([40], np.zeros((1, 100))), "39"),
        (lambda: tasks.sample(5).per_task(np.zeros(5)), "test_set"),
        (lambda: ParityTasks(np.zeros((1, 3)), [1.0]), "one bit"),
        (lambda: ParityTasks(np.ones((1, 3)), [0.0]), "not all 0"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(ResourceError, match="in parts"):
        tasks.sample(10**12)
