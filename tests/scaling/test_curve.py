"""Exponents of learning curves: only of sizes that are usable, over a decade at least."""

import math

import numpy as np
import pytest

from percolaw.scaling.curve import LearningCurve

SIZES = [30, 100, 300, 1000, 3000]


def fit_of(sizes, loss, use, first):
    """Fit of the usable sizes from the first on."""
    return LearningCurve(np.array(sizes), loss, use).fit((first, math.inf))


def power(exponent, sizes=SIZES, n_seeds=5, scatter=0.02):
    rng = np.random.default_rng(3)
    shape = (n_seeds, len(sizes))
    return np.array(sizes) ** -exponent * np.exp(scatter * rng.standard_normal(shape))


YES = np.ones(len(SIZES), dtype=bool)


@pytest.mark.parametrize("exponent", [0.2, 0.75, 1.5])
def test_exponent_of_a_power_law(exponent):
    line = fit_of(SIZES, power(exponent), YES, 30)
    assert line.exponent == pytest.approx(exponent, abs=0.02)
    assert line.interval[0] <= exponent <= line.interval[1]
    assert line.interval[1] - line.interval[0] < 0.05
    assert (line.window, line.n_seeds, line.n_sizes) == ((30.0, 3000.0), 5, 5)
    exact = fit_of(SIZES, power(exponent, scatter=0.0), YES, 30)
    assert exact.exponent == pytest.approx(exponent, rel=1e-12)


def test_less_than_a_decade_is_no_exponent():
    sizes = [100, 200, 400, 800, 999]
    assert fit_of(sizes, power(0.5, sizes), YES, 30) is None
    sizes[-1] = 1000
    assert fit_of(sizes, power(0.5, sizes), YES, 30) is not None
    assert fit_of(sizes, power(0.5, sizes), YES, 101) is None, "from 200 on"
    assert fit_of([100, 3000], power(0.5, [100, 3000]), YES[:2], 30) is None, "two sizes"
    assert fit_of(SIZES, power(0.5), ~YES, 30) is None
    use = np.array([True, True, False, True, False])
    assert fit_of(SIZES, power(0.5), use, 100) is None
    assert fit_of(SIZES, power(0.5), use, 30).window == (30.0, 1000.0)
    assert fit_of(SIZES, np.full((5, 5), np.nan), YES, 30) is None


@pytest.mark.parametrize(
    ("sizes", "use", "why"),
    [
        ([10, 100, 1000], [1, 0, 1], "2 of 3 sizes can be used, and a fit needs three"),
        (
            [10, 20, 40, 90],
            [1, 1, 1, 1],
            "sizes that can be used, 10 to 90, span less than a decade",
        ),
    ],
)
def test_a_curve_without_an_exponent_says_why(sizes, use, why):
    curve = LearningCurve(sizes, power(0.5, sizes), use)
    assert curve.fit() is None
    assert curve.no_exponent() == why
    assert repr(curve).endswith(f"no exponent: {why})")
    unmeasured = LearningCurve(SIZES, np.where(np.eye(5, dtype=bool), np.nan, power(0.5)))
    assert unmeasured.no_exponent() == "no seed was measured at all sizes"
    fine = LearningCurve(SIZES, power(0.5))
    assert fine.no_exponent() == ""
    assert "exponent" not in repr(fine)


@pytest.mark.parametrize("wild", [1e6, 1e-6, np.nan])
def test_sizes_that_did_not_converge_do_not_matter(wild):
    use = np.array([True, True, False, True, True])
    loss = power(0.5)
    before = fit_of(SIZES, loss, use, 30)
    loss[:, 2] = wild
    assert fit_of(SIZES, loss, use, 30) == before
    spoilt = fit_of(SIZES, loss, YES, 30)
    assert spoilt is None or spoilt != before


def test_sizes_below_the_first_do_not_matter():
    loss = power(0.5)
    before = fit_of(SIZES, loss, YES, 100)
    assert before.window == (100.0, 3000.0)
    loss[:, 0] = 1e9
    assert fit_of(SIZES, loss, YES, 100) == before
    assert fit_of(SIZES, loss, YES, 30).exponent > 2


def test_seeds_that_diverged_at_a_size_used_are_left_out_whole():
    loss = power(0.5)
    before = fit_of(SIZES, loss[:4], YES, 30)
    loss[4] = 1e9
    loss[4, 2] = np.nan
    assert fit_of(SIZES, loss, YES, 30) == before
    loss[4] = 1.0
    loss[4, 0] = np.nan
    assert fit_of(SIZES, loss, YES, 100).n_seeds == 5, "diverged below the window"


def test_an_infinite_loss_is_refused_and_not_left_out():
    loss = power(0.5)
    loss[4, 2] = math.inf
    with pytest.raises(ValueError, match="1 non-finite value"):
        fit_of(SIZES, loss, YES, 30)


# --- what is made of a curve ------------------------------------------------------------------------


def scattered():
    """Five seeds at three sizes."""
    loss = np.array([[1.0, 2.0, 3.0, 4.0, 10.0], [1.0] * 5, [5.0, 4.0, 3.0, 2.0, 1.0]]).T
    return LearningCurve(np.array([1.0, 10.0, 1000.0]), loss)


def test_a_band_reaches_from_the_16_to_the_84_percentile():
    """Of five seeds 0.64 of the way from the first to the second, and from the last but one down."""
    band = scattered().band("mean")
    np.testing.assert_allclose(band.middle, [4.0, 1.0, 3.0])
    np.testing.assert_allclose(band.low, [1.64, 1.0, 1.64])
    np.testing.assert_allclose(band.high, [4.0 + 6.0 * 0.36, 1.0, 4.36])


def test_the_upper_decades_end_at_the_largest_size():
    assert scattered().upper(1.0) == (100.0, 1000.0)
    assert scattered().upper(9.0) == (1.0, 1000.0)


def test_a_ratio_is_of_the_curve_to_the_other_seed_by_seed():
    curve = scattered()
    twice = LearningCurve(curve.size, 2.0 * curve.loss, np.array([True, False, True]))
    np.testing.assert_array_equal(twice.over(curve).loss, np.full((5, 3), 2.0))
    np.testing.assert_array_equal(twice.over(curve).usable, [True, False, True])
    with pytest.raises(ValueError, match="not of the same seeds"):
        curve.over(curve.within((1.0, 10.0)))


def test_a_prediction_is_held_against_every_seed():
    curve = LearningCurve(
        *(scattered().size, scattered().loss), predicted=np.array([1.0, 2.0, 4.0])
    )
    np.testing.assert_allclose(curve.against(), curve.loss / [1.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="no prediction"):
        scattered().against()


def test_parts_and_predictions_keep_what_is_known_of_the_curve():
    use = np.array([True, False, True])
    curve = LearningCurve(scattered().size, scattered().loss, use, np.array([1.0, 2.0, 4.0]), 0.5)
    assert curve.within((1.0, 10.0)).predicted_exponent == 0.5
    theory = curve.as_predicted()
    assert theory.predicted_exponent == 0.5
    assert theory.usable.tolist() == use.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [10, 100, 30]}, "size must rise"),
        ({"size": [100, 30, 10]}, "size must rise"),
        (
            {"loss": [0.3, 0.2, 0.1]},
            r"loss must have shape \(n_seeds, 3\), a row a seed; got \(3,\)",
        ),
        ({"loss": np.ones((3, 4))}, r"a row a seed; got \(3, 4\)"),
        ({"usable": [True]}, r"usable must have shape \(3,\); got \(1,\)"),
        ({"predicted": [[1.0], [2.0], [3.0]]}, r"predicted must have shape \(3,\); got \(3, 1\)"),
    ],
)
def test_arrays_that_do_not_fit_together(change, message):
    with pytest.raises(ValueError, match=message):
        LearningCurve(**{"size": [10, 30, 100], "loss": np.ones((2, 3)), **change})


def test_usable_sizes_as_numbers_of_0_and_1():
    loss = np.array([[1.0, 0.3, 9.0, 0.1]] * 3)
    curve = LearningCurve([10, 100, 300, 1000], loss, usable=[1, 1, 0, 1])
    assert curve.fit().exponent == pytest.approx(0.5, abs=0.03)


def test_windows_and_decades_that_mean_nothing():
    curve = LearningCurve([10, 30, 100], np.ones((2, 3)))
    for window in ((math.nan, 10), (1, 2, 3), 3, "all"):
        with pytest.raises(ValueError, match="window must be"):
            curve.fit(window)
    for decades in (-1, math.nan, 400):
        with pytest.raises(ValueError, match="decades must be"):
            curve.upper(decades)
