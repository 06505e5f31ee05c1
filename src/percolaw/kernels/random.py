"""Counter-based random bits: a pure function of (key, index), inlined by other kernels.

Two rounds of the SplitMix64 finaliser (Steele, Lea and Flood 2014), the second one keyed again so
that two keys whose counters overlap still give unrelated numbers.
"""

import numpy as np
from numba import njit

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


@njit(cache=True)
def mix(word):
    word = (word ^ (word >> _S30)) * _MIX_A
    word = (word ^ (word >> _S27)) * _MIX_B
    return word ^ (word >> _S31)


@njit(cache=True)
def bits(key, index):
    """64 random bits of item `index` under `key` (both uint64)."""
    return mix(mix(key + (index + _ONE) * _GOLDEN) + (key >> _S32 | key << _S32))


@njit(cache=True)
def uniform(key, index):
    """A uniform float64 in [0, 1) with 53 random bits."""
    return np.float64(bits(key, index) >> _S11) * _TWO_53
