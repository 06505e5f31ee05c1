"""Laws of discrete skills: sums against formulas, Monte Carlo of sampling."""

import math

import numpy as np
import pytest

from percolaw.laws.quanta import (
    sample_loss,
    sample_loss_limit,
    skill_loss,
    skills_met,
    skills_met_limit,
)
from percolaw.laws.scaling_laws import zipf_weights


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("threshold", [1, 5])
def test_the_data_law_is_its_sum(alpha, threshold):
    """An error in the constant, the threshold or the tail beyond the summed skills shows."""
    n = np.array([1e4, 1e6, 1e8])
    exact, limit = sample_loss(n, alpha, threshold), sample_loss_limit(n, alpha, threshold)
    np.testing.assert_allclose(exact, limit, rtol=1e-5)
    assert np.all(np.abs(exact / sample_loss_limit(n, alpha, threshold + 1) - 1) > 0.01)


@pytest.mark.parametrize("alpha", [0.001, 0.02, 0.05])
def test_laws_of_small_exponents(alpha):
    """Where nearly all of the loss is that of skills that no sum reaches."""
    n = np.array([1e5, 1e12])
    limit = sample_loss_limit(n, alpha, 3)
    np.testing.assert_allclose(sample_loss(n, alpha, 3), limit, rtol=1e-4)
    np.testing.assert_allclose(skills_met(n, alpha) / skills_met_limit(n, alpha), 1.0, rtol=1e-3)


def test_known_values():
    np.testing.assert_allclose(sample_loss([1e3, 1e5], 1.0), [0.02185, 0.00219], atol=5e-6)
    np.testing.assert_allclose(sample_loss([1e3, 1e5], 0.3), [0.21503, 0.07430], atol=1e-5)
    assert sample_loss(0.0, 0.5) == pytest.approx(1.0)
    assert skill_loss(0, 0.5) == 1.0
    assert skill_loss([5, 99], 0.5, 5).tolist() == [0.0, 0.0]


def test_sampling_law_by_drawing():
    alpha, n_skills, threshold, n = 0.5, 300, 3, 2000
    p = zipf_weights(alpha, n_skills)
    rng = np.random.default_rng(0)
    counts = rng.poisson(n * p, (3000, n_skills))
    missing = ((counts < threshold) * p).sum(axis=1)
    met = (counts > 0).sum(axis=1)
    for drawn, law in (
        (missing, sample_loss(n, alpha, threshold, n_skills)),
        (met, skills_met(n, alpha, n_skills)),
    ):
        assert abs(drawn.mean() - law) < 4.5 * drawn.std() / math.sqrt(3000)


def test_finitely_many_and_infinitely_many():
    """Many skills come near infinitely many; few bend every exponent."""
    assert skill_loss(10, 1.0, 10**6) == pytest.approx(skill_loss(10, 1.0), abs=2e-6)
    assert sample_loss(1e3, 1.0, 1, 10**6) == pytest.approx(sample_loss(1e3, 1.0), abs=2e-6)
    n = np.arange(10, 101)
    slope = [-np.polyfit(np.log(n), np.log(skill_loss(n, a, 500)), 1)[0] for a in (0.1, 0.4)]
    assert slope == pytest.approx([0.43, 0.61], abs=0.03)


def test_skills_met_of_infinitely_many():
    d = np.array([1e4, 1e6])
    np.testing.assert_allclose(skills_met(d, 0.5), skills_met_limit(d, 0.5), rtol=2e-3)


def test_frequencies_of_any_exponent():
    assert zipf_weights(-1.0, 4).tolist() == [0.25] * 4
    assert zipf_weights(-2.0, 3) == pytest.approx(np.array([1, 2, 3]) / 6)
    assert sample_loss(10.0, -1.0, 1, 5) == pytest.approx(math.exp(-2.0))


def test_numbers_out_of_range_are_refused():
    for call in (
        lambda: skill_loss(1, 0.0),
        lambda: skill_loss(1.5, 1.0),
        lambda: sample_loss(1e3, 0.0),
        lambda: sample_loss(-1.0, 1.0),
        lambda: sample_loss(1.0, 1.0, 0),
        lambda: sample_loss_limit(0.0, 1.0),
        lambda: skills_met_limit(0.0, 1.0),
        lambda: zipf_weights(1.0, math.inf),
    ):
        with pytest.raises(ValueError, match=r"must|need|finite"):
            call()
