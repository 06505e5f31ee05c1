"""Split R-hat and autocorrelation times against chains of known memory."""

import numpy as np
import pytest
from scipy.signal import lfilter
from statistical import assert_close

from percolaw.analysis.mixing import autocorrelation_time, split_r_hat


def autoregressive(memory, n, n_chains=1):
    noise = np.random.default_rng(0).standard_normal((n_chains, n))
    return lfilter([1.0], [1.0, -memory], noise)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_an_autoregressive_chain(memory):
    n, truth = 200_000, (1 + memory) / (1 - memory)
    error = truth * np.sqrt(2 * (2 * 5 + 1) * truth / n)  # Sokal (1997), equation 3.19
    assert_close(autocorrelation_time(autoregressive(memory, n)[0]), truth, error)


def test_r_hat_sees_chains_apart_and_a_drift():
    chains = autoregressive(0.5, 2000, n_chains=2)
    assert split_r_hat(chains) == pytest.approx(1.0, abs=0.02)
    assert split_r_hat(chains + np.array([[0.0], [3.0]])) > 1.5
    assert split_r_hat(chains + np.linspace(0.0, 4.0, 2000)) > 1.2  # both drift together


def test_what_never_moves():
    same = np.ones((2, 10))
    assert split_r_hat(same) == 1.0
    assert split_r_hat(same * [[1.0], [2.0]]) == np.inf
    assert autocorrelation_time(same[0]) == 1.0
