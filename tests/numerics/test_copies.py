"""Points that occur more than once: every copy is found, and nothing else."""

import numpy as np
import pytest

from percolaw.numerics import copies
from percolaw.numerics.copies import copy_number, near_copies, originals


def cloud(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def counted(x):
    seen, number = {}, []
    for point in map(tuple, np.asarray(x, dtype=np.float64) + 0.0):
        number.append(seen.get(point, 0))
        seen[point] = number[-1] + 1
    return number


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_copies_are_counted(dtype, scale):
    x = (cloud(300, 7) * scale).astype(dtype)
    assert copy_number(x).tolist() == [0] * 300
    x[::3], x[5], x[1] = x[0], -0.0, 0.0
    x[200:220] = x[20:40]
    assert copy_number(x).tolist() == counted(x)
    assert copy_number(np.asfortranarray(x)[:, ::-1]).tolist() == counted(x)


def test_copies_are_counted_in_blocks(monkeypatch):
    x = np.round(cloud(500, 3) * 2)
    monkeypatch.setattr(copies, "BLOCK_ELEMENTS", 40)
    assert copy_number(x).tolist() == counted(x)
    assert near_copies(x).tolist() == [number > 0 for number in counted(x)]


def test_points_of_one_key_need_not_be_copies(monkeypatch):
    x = np.round(cloud(200, 2) * 2)
    monkeypatch.setattr(copies, "_projection", lambda x: np.round(x[:, 0] / 3))
    assert copy_number(x).tolist() == counted(x)


def noisy_copies(eps, dtype):
    """600 unit vectors, 100 of them again and the first 200 times more, with noise of rounding."""
    x = cloud(600, 40)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x = np.concatenate([x, x[:100], np.repeat(x[:1], 200, axis=0)])
    noise = cloud(*x.shape, 1)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return (x + eps * noise).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_point_rounded_twice_is_a_copy(dtype):
    eps = float(np.finfo(dtype).eps)
    expected = np.arange(900) >= 600
    first = np.concatenate([np.arange(600), np.arange(100), np.zeros(200, int)])
    assert (originals(noisy_copies(eps, dtype)) == first).all()
    assert (near_copies(noisy_copies(eps, dtype)) == expected).all()
    assert (near_copies(noisy_copies(eps, dtype) * 1e3) == expected).all()
    # Control: noise that is no rounding.
    assert not near_copies(noisy_copies(30 * eps, dtype)).any()


def test_single_precision_is_recognised_in_double():
    x = noisy_copies(1e-7, np.float32)
    assert near_copies(x.astype(np.float64)).sum() == 300
    assert not near_copies(x.astype(np.float64) + 1e-12).any()


def test_the_original_of_a_chain_of_near_copies_is_new_itself():
    step = 3 * np.finfo(np.float64).eps
    x = np.array(
        [[0.5, 0.0], [1.0, 0.0], [1.0 + step, 0.0], [1.0 + 2 * step, 0.0], [1.0 + step, 0.0]]
    )
    assert originals(x).tolist() == [0, 1, 1, 1, 1]
    order = [2, 3, 0, 1, 4]
    assert originals(x[order]).tolist() == [0, 0, 2, 0, 0]
