"""Training and measuring whatever the caller has switched: gradients, precision, the default device."""

import contextlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import percolaw as pl  # noqa: E402
from percolaw.neural.activations import layer_activations  # noqa: E402
from percolaw.neural.tangent_kernel import tangent_kernel  # noqa: E402

X = np.random.default_rng(0).standard_normal((60, 3))
Y = X[:, 0] - X[:, 1]
MODES = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "switched off": lambda: torch.set_grad_enabled(False),
}
STUDENTS = {
    "by hand": (pl.MLP(width=8), {}),
    "autograd": (pl.MLP(width=8, activation="gelu"), {}),
    "transformer": (pl.Transformer(1, 8, 2), {}),
    "dropout": (pl.MLP(width=8), {"dropout": 0.1}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("student", STUDENTS)
def test_the_caller_s_mode_changes_nothing(mode, student):
    network, options = STUDENTS[student]
    learner = pl.NeuralRegression(network, pl.Training(steps=10, learning_rate=0.01, **options))
    expected = learner.fit(X, Y).trained_
    with MODES[mode]():
        state = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = learner.fit(X, Y).trained_
        kernel = tangent_kernel(found, X[:5])
        layers = layer_activations(found, X[:5])
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == state
    assert torch.is_grad_enabled()
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.gradient_norm, expected.gradient_norm)
    np.testing.assert_array_equal(kernel, tangent_kernel(expected, X[:5]))
    for name, values in layer_activations(expected, X[:5]).items():
        np.testing.assert_array_equal(layers[name], values)


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_survives_an_error(mode):
    with MODES[mode](), contextlib.suppress(ValueError):
        state = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        pl.NeuralRegression(pl.MLP(width=8)).fit(X, np.full(60, np.nan))
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == state


@pytest.mark.parametrize("student", ["by hand", "autograd", "transformer"])
def test_a_caller_that_computes_in_half_precision_changes_nothing(student):
    network, options = STUDENTS[student]
    learner = pl.NeuralRegression(network, pl.Training(steps=10, learning_rate=0.01, **options))
    expected = learner.fit(X, Y).trained_
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = learner.fit(X, Y).trained_
        kernel = tangent_kernel(found, X[:5])
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(kernel, tangent_kernel(expected, X[:5]))


@pytest.mark.parametrize("student", STUDENTS)
def test_a_caller_s_default_device_changes_nothing(student, tmp_path):
    """The device is that of `Training`; nothing computes on "meta", so whatever strays there fails."""
    network, options = STUDENTS[student]
    training = pl.Training(steps=10, learning_rate=0.01, **options)
    half = [pl.Student(seed, np.arange(40), np.arange(40, 60)) for seed in (0, 1)]
    expected = pl.train(network, X, Y, half, training)
    with torch.device("meta"):
        trained = pl.train(network, X, Y, half, training, checkpoint=tmp_path)
        kernel = tangent_kernel(trained, X[:5])
        predicted = trained.predict(X)
    np.testing.assert_array_equal(trained.weights, expected.weights)
    np.testing.assert_array_equal(kernel, tangent_kernel(expected, X[:5]))
    np.testing.assert_array_equal(predicted, expected.predict(X))
