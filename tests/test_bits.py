"""Bits in words: to words and back, in the places that kernels read."""

import numpy as np
import pytest

from percolaw.bits import binary, packed, unpacked


@pytest.mark.parametrize("width", [1, 63, 64, 65, 130])
def test_bits_go_to_words_and_back(width):
    bits = np.random.default_rng(width).integers(0, 2, (5, width)).astype(np.uint8)
    words = packed(bits)
    assert words.shape == (5, -(-width // 64))
    assert np.array_equal(unpacked(words, width), bits)
    last = width - 1
    assert np.array_equal(
        words[:, last // 64] >> np.uint64(last % 64) & np.uint64(1), bits[:, last]
    )


def test_only_bits_are_taken():
    assert binary("b", [[True, False]], 2).tolist() == [[1, 0]]
    for values in ([[0, 2]], [[0.5, 1]], [0, 1], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="b must"):
            binary("b", values, 2)
