"""The one helper behind every statistical assertion of the suite.

Each check is two-sided at `LEVEL` standard errors (5: a false alarm has probability 6e-7), so that
a few hundred checks together stay below 1e-4. Seeds are fixed; a seed that fails is kept as a case.
"""

import math

import numpy as np

LEVEL = 5.0


def z_score(estimate: float, truth: float, standard_error: float) -> float:
    """Distance between estimate and truth in standard errors."""
    assert standard_error > 0
    assert math.isfinite(standard_error)
    return (estimate - truth) / standard_error


def assert_close(estimate: float, truth: float, standard_error: float, bias: float = 0.0) -> None:
    """The estimate lies within LEVEL standard errors (plus a stated bias) of the truth."""
    z = z_score(estimate, truth, standard_error)
    allowed = LEVEL + bias / standard_error
    assert abs(z) < allowed, f"{estimate} is {z:.1f} SE from {truth} (allowed {allowed:.1f})"


def assert_far(estimate: float, wrong: float, standard_error: float) -> None:
    """Negative control: the same data must rule out a wrong value."""
    z = z_score(estimate, wrong, standard_error)
    assert abs(z) > LEVEL, f"{estimate} does not rule out {wrong}: {z:.1f} SE"


def mean_and_error(sample) -> tuple[float, float]:
    """Sample mean and its standard error; at least 30 values."""
    x = np.asarray(sample, dtype=float)
    assert x.size >= 30, "too few values for a standard error"
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size))


def chi_squared_p(counts, probabilities) -> float:
    """p value of counts against probabilities; cells with fewer than 5 expected are merged."""
    from scipy.stats import chi2

    counts = np.asarray(counts, dtype=float)
    expected = np.asarray(probabilities, dtype=float) * counts.sum()
    assert expected.sum() <= counts.sum() * (1 + 1e-9)
    rest = counts.sum() - expected.sum()
    order = np.argsort(-expected)
    counts, expected = counts[order], expected[order]
    big = expected >= 5
    merged_c, merged_e = counts[~big].sum(), expected[~big].sum() + rest
    c = np.append(counts[big], merged_c) if merged_e > 0 else counts[big]
    e = np.append(expected[big], merged_e) if merged_e > 0 else expected[big]
    if merged_e > 0 and e[-1] < 5:
        c = np.append(c[:-2], c[-2] + c[-1])
        e = np.append(e[:-2], e[-2] + e[-1])
    assert c.size >= 2
    return float(chi2.sf(((c - e) ** 2 / e).sum(), c.size - 1))


#: A p value below this fails a chi-squared check (the same false-alarm rate as LEVEL).
P_FLOOR = 1e-6
