"""p values of the data among draws, ties included."""

import numpy as np
import pytest

from percolaw.analysis.percentile import percentile


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [1, 1, 2, 2, 2], [0, 0, 0, 0, 0]])
def test_p_is_below_x_at_most_as_often_as_x(values):
    """Each of five exchangeable values is the data once: the exact law of p."""
    results = [percentile(values[i], values[:i] + values[i + 1 :]) for i in range(5)]
    for level in np.arange(1, 6) / 5:
        assert np.mean([r.above <= level + 1e-9 for r in results]) <= level + 1e-9
        assert np.mean([r.below <= level + 1e-9 for r in results]) <= level + 1e-9
        assert np.mean([r.two_sided <= level + 1e-9 for r in results]) <= level + 1e-9
    if len(set(values)) == 5:  # without ties the bound is reached
        assert sorted(r.above for r in results) == pytest.approx(np.arange(1, 6) / 5)


def test_numbers_of_one_case():
    result = percentile(3.0, [1.0, 3.0, 3.0, 5.0])
    assert (result.above, result.below, result.two_sided) == (0.8, 0.8, 1.0)
    assert (result.percent, result.middle, result.n_draws) == (50.0, 3.0, 4)
    assert percentile(9.0, np.arange(9)).two_sided == pytest.approx(0.2)


@pytest.mark.parametrize(("draws", "message"), [([], "empty"), ([1.0, np.nan], "non-finite")])
def test_bad_draws(draws, message):
    with pytest.raises(ValueError, match=message):
        percentile(1.0, draws)
