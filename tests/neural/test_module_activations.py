"""Activations of a PyTorch module by hooks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from percolaw.neural.activations import module_activations  # noqa: E402


@pytest.fixture
def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(5, 2)
    )


def test_layers_give_what_the_module_computes(module):
    x = np.random.default_rng(0).standard_normal((9000, 3)).astype(np.float32)
    module.train()
    module[1].eval()
    found = module_activations(module, x, ["1", "3"])
    assert [part.training for part in module] == [True, False, True, True]
    assert list(found) == ["1", "3"]
    assert found["1"].shape == (9000, 5)
    module.eval()
    with torch.no_grad():
        hidden = module[1](module[0](torch.as_tensor(x)))
        np.testing.assert_allclose(found["1"], hidden.numpy(), rtol=1e-6)
        np.testing.assert_allclose(found["3"], module(torch.as_tensor(x)).numpy(), rtol=1e-5)
    assert not any(m._forward_hooks for m in module.modules())


def test_bad_layers_are_refused(module):
    x = np.zeros((4, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="no layer 'head'"):
        module_activations(module, x, ["head"])
    with pytest.raises(ValueError, match="empty"):
        module_activations(module, x, [])
    with pytest.raises(TypeError, match="numbers"):
        module_activations(module, np.array([["a"]]), ["1"])


class Half(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_is_not_used_is_refused():
    module = Half()
    with pytest.raises(ValueError, match="'spare' is not used"):
        module_activations(module, np.zeros((4, 3), dtype=np.float32), ["used", "spare"])
    assert not module.used._forward_hooks
