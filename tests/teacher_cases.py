"""Points for tests of teachers."""

import numpy as np


def normal(seed, n, d):
    return np.random.default_rng(seed).standard_normal((n, d))
