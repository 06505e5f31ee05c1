"""omega: known powers of v, domains, what falls faster; the share of pairs that is not known."""

import math

import numpy as np
import pytest
from rank_cases import of_labels, torus_distances
from statistical import assert_close

from percolaw.analysis.agreement import label_loss
from percolaw.analysis.flow import FEWEST, _window_flow, agreement_flow, default_windows

N = 4000
VOLUME = np.arange(1, N) / N
WINDOW = (0.003, 0.03)


def table(together):
    """Labels that name clusters: p_j = T_j."""
    return label_loss(together * (together.size + 1))


def noisy_table(together, blocks, rng):
    """Blocks of any amplitude, with the noise of their few points."""
    tests = (together.size + 1) // blocks
    share = np.minimum(np.exp(0.3 * rng.standard_normal((blocks, 1))) * together, 1.0)
    noise = np.sqrt(share * (1.0 - share) / tests) * rng.standard_normal(share.shape)
    return label_loss(tests * np.clip(share + noise, 0.0, 1.0), [tests] * blocks)


def at_share(by_rank, shared, window=WINDOW):
    """The flow in any window, at a share of pairs in one cluster that is known."""
    tables = [by_rank]
    if by_rank.n_tests.size >= 3:
        tables += [by_rank.without(block) for block in range(by_rank.n_tests.size)]
    agreement = np.array([table.agreement for table in tables])
    return _window_flow(agreement, np.full((1, len(tables)), shared), window, by_rank.n_tests)


@pytest.mark.parametrize("omega", [0.0, 0.1, 0.5])
def test_powers_of_volume(omega):
    by_rank = table(0.3 * (VOLUME / VOLUME[0]) ** -omega)
    flow = at_share(by_rank, by_rank.most_shared)
    assert flow.omega == pytest.approx(omega, abs=2e-3)
    assert flow.interval == (-math.inf, math.inf)
    assert math.isnan(flow.p_value)


def test_the_share_of_pairs_in_one_cluster_decides():
    """Twenty labels, given to clusters at random, hide T = 0.05 v^-0.3 behind chance agreement."""
    together = 0.05 * VOLUME**-0.3
    chance = 0.05
    by_rank = table(chance + (1 - chance) * together)
    shared = (by_rank.most_shared - chance) / (1 - chance)
    assert shared == pytest.approx(together.mean(), rel=1e-9)
    assert at_share(by_rank, shared).omega == pytest.approx(0.3, abs=0.005)
    # Compared with all pairs of the data T looks steeper, as if below the threshold.
    assert at_share(by_rank, by_rank.most_shared).omega < 0.25 < 0.4 < at_share(by_rank, 0.0).omega
    (free,) = agreement_flow(by_rank)
    assert free.window == pytest.approx(WINDOW)
    assert free.omega == pytest.approx(0.3, abs=0.03)


def test_size_and_power_of_the_test_of_a_constant_omega():
    rng = np.random.default_rng(0)
    volume, window, runs = np.arange(1, 1000) / 1000, (0.01, 0.1), 150
    refused, covered = 0, 0
    for _ in range(runs):
        by_rank = noisy_table(0.05 * volume**-0.3, 12, rng)
        flow = at_share(by_rank, by_rank.most_shared, window)
        refused += flow.p_value < 0.05
        covered += flow.interval[0] < 0.3 < flow.interval[1]
    error = math.sqrt(0.05 * 0.95 / runs)
    assert_close(refused / runs, 0.05, error)
    assert_close(covered / runs, 0.95, error)
    for _ in range(10):
        by_rank = noisy_table(0.3 * np.exp(-20 * volume), 12, rng)
        assert at_share(by_rank, by_rank.most_shared, window).p_value < 0.05


def test_domains_have_no_flow_and_thin_clusters_have():
    rng = np.random.default_rng(4)
    x = rng.random((600, 2))
    block = (3 * x[:, 0]).astype(int) * 3 + (3 * x[:, 1]).astype(int)
    distance = torus_distances(x)
    halves, cells = (x[:, 0] > 0.5), (6 * x[:, 0]).astype(int) * 6 + (6 * x[:, 1]).astype(int)
    domain, thin = (of_labels(distance, labels, block) for labels in (halves, cells))
    domain, thin = (at_share(one, one.most_shared, (0.005, 0.05)) for one in (domain, thin))
    # Squares of side 1/6: a step of length r stays inside with the mean of (1-6r|cos|)(1-6r|sin|).
    step = 6 * np.sqrt(VOLUME / math.pi)
    inside = table(np.clip(1 - 4 / math.pi * step + step**2 / math.pi, 0.0, 1.0))
    exact = at_share(inside, inside.most_shared, (0.005, 0.05))
    assert thin.interval[0] < exact.omega < thin.interval[1]
    assert thin.interval[0] > domain.omega + 0.2
    assert thin.p_value < 0.05 < domain.p_value


def test_windows():
    assert default_windows(1000) == ()
    np.testing.assert_allclose(default_windows(20_000), [(0.003, 0.03), (0.0003, 0.003)])
    by_rank = table(0.3 * VOLUME**-0.1)
    assert [flow.window for flow in agreement_flow(by_rank)] == list(default_windows(N))
    short = at_share(by_rank, 0.0, (0.001, 0.0012))  # fewer than 4 bins
    assert math.isnan(short.omega)
    assert not short.ends
    assert (default_windows(FEWEST - 1), len(default_windows(FEWEST))) == ((), 1)
    # Labels of which no two agree.
    (none,) = agreement_flow(label_loss(np.zeros(N - 1)))
    assert none.ends
    assert math.isnan(none.omega)
