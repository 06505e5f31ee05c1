"""Counter-based random bits: a pure function of (key, index), inlined by other kernels.

Two rounds of the SplitMix64 finaliser (Steele, Lea and Flood 2014), the second one keyed again so
that two keys whose counters overlap still give unrelated numbers.
"""

import numpy as np

from percolaw.kernels.compile import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S27 = np.uint64(27)
_S30 = np.uint64(30)
_S31 = np.uint64(31)
_S32 = np.uint64(32)
_S11 = np.uint64(11)
_ONE = np.uint64(1)
_TWO_53 = 1.0 / 9007199254740992.0


@compiled
def mix(word):
    """SplitMix64's finaliser: a bijection of 64-bit words that spreads every bit over all."""
    word = (word ^ (word >> _S30)) * _MIX_A
    word = (word ^ (word >> _S27)) * _MIX_B
    return word ^ (word >> _S31)


@compiled
def bits(key, index):
    """64 random bits of item `index` under `key` (both uint64)."""
    return mix(mix(key + (index + _ONE) * _GOLDEN) + (key >> _S32 | key << _S32))


@compiled
def uniform(key, index):
    """A uniform float64 in [0, 1) with 53 random bits."""
    return np.float64(bits(key, index) >> _S11) * _TWO_53


def _ziggurat_tables():
    """Layer edges x and densities f of the 256-layer ziggurat (Marsaglia and Tsang 2000)."""
    r = 3.6541528853610088
    area = 0.00492867323399
    # The published area has 12 digits; this is its exact form for the given r.
    from math import erfc, exp, log, pi, sqrt

    area = r * exp(-r * r / 2) + sqrt(pi / 2) * erfc(r / sqrt(2))
    x = np.zeros(257)
    x[256] = area / exp(-r * r / 2)
    x[255] = r
    for i in range(254, 0, -1):
        x[i] = sqrt(-2 * log(area / x[i + 1] + exp(-x[i + 1] * x[i + 1] / 2)))
    return x, np.exp(-x * x / 2)


# Layer i is the strip between heights f[i + 1] and f[i], of width x[i + 1]; the lowest one
# (i = 255) has width x[256] and holds the tail beyond r = x[255].
_X, _F = _ziggurat_tables()
_WIDTH = _X[1:] / 2.0**52
_MASK_LAYER = np.uint64(255)
_TAIL = _X[255]


@compiled
def stream_bits(key, index):
    """64 random bits number `index` of the stream `key`; keys must themselves be hashes."""
    return mix(key + (index + _ONE) * _GOLDEN)


@compiled
def normal(row_key, column):
    """The standard normal of a column under a row's key (a hash, see `bits`), by the ziggurat.

    A pure function of its arguments: 53 random bits give the signed abscissa and 8 others the
    layer; the 1.2% of draws that leave their layer's inner rectangle hash on.
    """
    word = stream_bits(row_key, column)
    layer = np.int64(word & _MASK_LAYER)
    value = np.float64(np.int64(word) >> 11) * _WIDTH[layer]
    if abs(value) < _X[layer]:
        return value
    return _normal_slow(mix(word ^ row_key), layer, value)


@compiled
def _normal_slow(key, layer, value):
    """Finish a draw outside the inner rectangle: wedge, tail, or start again."""
    draw = np.uint64(0)
    while True:
        size = abs(value)
        if layer == 255:
            if size < _TAIL:
                return value
            while True:  # tail beyond r, Marsaglia 1964
                a = -np.log(1.0 - np.float64(stream_bits(key, draw) >> _S11) * _TWO_53) / _TAIL
                b = -np.log(1.0 - np.float64(stream_bits(key, draw + _ONE) >> _S11) * _TWO_53)
                draw += np.uint64(2)
                if b + b >= a * a:
                    return np.copysign(_TAIL + a, value)
        if size < _X[layer]:
            return value
        u = np.float64(stream_bits(key, draw) >> _S11) * _TWO_53
        draw += _ONE
        if _F[layer + 1] + u * (_F[layer] - _F[layer + 1]) < np.exp(-0.5 * size * size):
            return value
        word = stream_bits(key, draw)
        draw += _ONE
        layer = np.int64(word & _MASK_LAYER)
        value = np.float64(np.int64(word) >> 11) * _WIDTH[layer]
