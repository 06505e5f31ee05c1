"""Fits: exponents and intervals, scale factors, local slopes, comparison of forms."""

import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.laws.scaling_laws import data_scaling_loss
from percolaw.laws.single_cluster import nearest_neighbor_loss, single_cluster_loss
from percolaw.scaling import fit
from percolaw.scaling.fit import (
    aggregate,
    fit_power_law,
    fit_scale_factor,
    geometric,
    local_exponents,
)
from percolaw.scaling.forms import compare_forms
from percolaw.scaling.intervals import bootstrap_interval

SIZE = np.geomspace(10, 1e4, 13)


def noisy(rng, exponent, n_seeds, size=SIZE, noise=0.1, spread=0.03):
    """Power laws with independent noise and an exponent that varies from seed to seed."""
    slopes = exponent + spread * rng.normal(size=(n_seeds, 1))
    log_loss = -slopes * np.log(size) + noise * rng.normal(size=(n_seeds, size.size))
    return np.exp(log_loss + 0.2 * rng.normal(size=(n_seeds, 1)))


# ---- sizes, aggregation, local exponents


def test_geometric():
    assert geometric(1, 1000, 4).tolist() == [1, 10, 100, 1000]
    assert geometric(1, 4, 50).tolist() == [1, 2, 3, 4]  # distinct
    assert geometric(7, 7, 3).tolist() == [7]
    sizes = geometric(3, 12345.4, 30)
    assert (sizes.dtype, sizes[0], sizes[-1], sizes.size) == (np.int64, 3, 12345, 30)
    assert np.all(np.diff(sizes) > 0)
    assert np.abs(np.diff(np.log(sizes[10:])).std()) < 0.02
    with pytest.raises(ValueError, match=r"start must be finite and in \[1, inf\]; got 0\.5"):
        geometric(0.5, 10)
    with pytest.raises(
        ValueError, match=r"stop must be finite and in \[10, 4\.61169e\+18\]; got 1"
    ):
        geometric(10, 1)
    with pytest.raises(ValueError, match=r"n must be in \[1, inf\]; got 0"):
        geometric(1, 10, 0)


def test_aggregate():
    loss = np.array([[1.0, 4.0], [4.0, 4.0], [16.0, 32.0]])
    np.testing.assert_allclose(aggregate(loss), [4.0, 8.0])
    np.testing.assert_allclose(aggregate(loss, "mean"), [7.0, 40 / 3])
    np.testing.assert_allclose(aggregate(loss, "median"), [4.0, 4.0])


def test_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="unknown how 'maen'"):
        aggregate([[1.0, 2.0]], "maen")


def test_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="unknown statistic 'maen'"):
        bootstrap_interval([1.0, 2.0, 3.0], "maen")


def test_local_exponents():
    np.testing.assert_allclose(local_exponents(SIZE, 3 * SIZE**-0.4), 0.4, rtol=1e-10)
    two = local_exponents(SIZE, [SIZE**-0.4, SIZE**0.2])
    np.testing.assert_allclose(two, np.outer([0.4, -0.2], np.ones(13)), rtol=1e-9)
    # Second order inside on a curved law (log loss quadratic: exact), first order at the ends.
    x = np.log(SIZE)
    curved = local_exponents(SIZE, np.exp(-0.1 * x**2))
    np.testing.assert_allclose(curved[1:-1], 0.2 * x[1:-1], rtol=1e-9)
    assert abs(curved[0] - 0.2 * x[0]) > 0.03
    uneven = np.array([1.0, 2.0, 10.0, 11.0, 300.0])
    x = np.log(uneven)
    inside = local_exponents(uneven, np.exp(-0.1 * x**2))[1:-1]
    np.testing.assert_allclose(inside, 0.2 * x[1:-1], rtol=1e-9)
    # The predicted boundary law, at the sizes of THEORY 5.
    fine = np.geomspace(29, 31, 21)
    got = local_exponents(fine, data_scaling_loss(fine, 1.0, 0.5))[10]
    assert got == pytest.approx(0.315, abs=6e-4)


# ---- power laws


@pytest.mark.parametrize("how", ["geometric", "mean", "median"])
def test_exact_power_law_is_recovered(how):
    loss = np.tile(2.5 * SIZE**-0.37, (4, 1))
    fit = fit_power_law(SIZE, loss, how=how, n_bootstrap=50)
    assert fit.exponent == pytest.approx(0.37, rel=1e-12)
    assert fit.prefactor == pytest.approx(2.5, rel=1e-11)
    np.testing.assert_allclose(fit.interval, 0.37, rtol=1e-11)
    assert abs(fit.curvature) < 1e-10
    assert (fit.window, fit.n_seeds, fit.n_sizes) == ((10.0, 1e4), 4, 13)
    assert "exponent 0.370 [0.370, 0.370] (4 seeds, sizes 10..1e+04)" in str(fit)


def test_noisy_exponent_is_recovered_without_bias():
    rng = np.random.default_rng(0)
    found = [fit_power_law(SIZE, noisy(rng, 0.5, 5), n_bootstrap=20).exponent for _ in range(300)]
    mean, error = mean_and_error(found)
    assert_close(mean, 0.5, error)
    assert_far(mean, 0.49, error)
    assert_far(mean, 0.51, error)


def test_least_squares_against_polyfit_and_curvature():
    rng = np.random.default_rng(1)
    loss = noisy(rng, 0.3, 3)
    slope, intercept = np.polyfit(np.log(SIZE), np.log(loss).mean(axis=0), 1)
    fit = fit_power_law(SIZE, loss)
    assert fit.exponent == pytest.approx(-slope, rel=1e-10)
    assert fit.prefactor == pytest.approx(math.exp(intercept), rel=1e-10)
    # Local exponent 0.2 + 0.15 per decade.
    x = np.log(SIZE)
    bent = np.exp(-0.2 * x - 0.15 / math.log(10) * x**2 / 2)
    assert fit_power_law(SIZE, bent).curvature == pytest.approx(0.15, rel=1e-10)
    quadratic = np.polyfit(x, np.log(loss).mean(axis=0), 2)[0]
    assert fit.curvature == pytest.approx(-2 * quadratic * math.log(10), rel=1e-9)


def test_window():
    kinked = np.where(SIZE < 90, 1.0, (SIZE / 90) ** -0.5)
    fit = fit_power_law(SIZE, kinked, window=(99, 1e4))
    assert fit.exponent == pytest.approx(0.5, rel=1e-10)
    assert fit.window == (pytest.approx(100), pytest.approx(1e4))
    assert fit.n_sizes == 9
    assert fit_power_law(SIZE, kinked).exponent < 0.45  # control: the plateau counts without it


@pytest.mark.parametrize(
    ("size", "window"),
    [
        (np.geomspace(10, 95, 12), None),
        (SIZE, (100.0, 900.0)),
        (SIZE, (11.0, 12.0)),
        (SIZE, (50.0, 5.0)),
        (np.array([1.0, 100.0]), None),
    ],
)
def test_less_than_a_decade_is_refused(size, window):
    with pytest.raises(ValueError, match=r"at least 3 sizes over at least a decade.*Widen"):
        fit_power_law(size, size**-0.5, window=window)


def test_exactly_a_decade_is_accepted():
    for start in (1.0, 3.0, 0.7):
        size = np.geomspace(start, 10 * start, 5)
        assert fit_power_law(size, size**-0.5).exponent == pytest.approx(0.5, rel=1e-9)


def test_few_seeds_have_no_interval():
    for n_seeds in (1, 2):
        fit = fit_power_law(SIZE, np.tile(SIZE**-0.5, (n_seeds, 1)))
        assert fit.interval == (-math.inf, math.inf)
    assert fit_power_law(SIZE, SIZE**-0.5).n_seeds == 1


def coverage(intervals, truth):
    inside = [low <= truth <= high for low, high in intervals]
    return float(np.mean(inside)), math.sqrt(0.95 * 0.05 / len(inside))


@pytest.mark.parametrize("n_seeds", [3, 5, pytest.param(10, marks=pytest.mark.slow)])
def test_interval_covers_the_exponent(n_seeds):
    rng = np.random.default_rng(n_seeds)
    curves = [noisy(rng, 0.5, n_seeds) for _ in range(400 if n_seeds == 5 else 200)]
    fits = [fit_power_law(SIZE, y, n_bootstrap=300, rng=i).interval for i, y in enumerate(curves)]
    share, error = coverage(fits, 0.5)
    assert 0.90 < share < 0.99
    if n_seeds == 5:
        assert_close(share, 0.95, error, bias=0.02)
        # Controls: the plain percentile bootstrap is far too short, and a wrong exponent is missed.
        slopes = [-np.polyfit(np.log(SIZE), np.log(y).T, 1)[0] for y in curves]
        plain = []
        for s in slopes:
            means = s[rng.integers(0, n_seeds, (300, n_seeds))].mean(axis=1)
            plain.append(np.quantile(means, [0.025, 0.975]))
        short, error = coverage(plain, 0.5)
        assert short < 0.90
        assert_far(short, 0.95, error)
        assert coverage(fits, 0.58)[0] < 0.5


def test_interval_level_matters():
    rng = np.random.default_rng(7)
    curves = [noisy(rng, 0.5, 5) for _ in range(300)]
    half = [fit_power_law(SIZE, y, level=0.5, n_bootstrap=200).interval for y in curves]
    share = coverage(half, 0.5)[0]
    assert_close(share, 0.5, math.sqrt(0.25 / 300), bias=0.05)
    assert_far(share, 0.95, math.sqrt(0.25 / 300))


@pytest.mark.parametrize("how", ["mean", "median"])
def test_interval_of_other_aggregates(how):
    rng = np.random.default_rng(5)
    curves = [noisy(rng, 0.5, 5, spread=0.0) for _ in range(100)]
    fits = [fit_power_law(SIZE, y, how=how, n_bootstrap=60).interval for y in curves]
    share, _ = coverage(fits, 0.5)
    assert 0.85 < share <= 1.0  # 100 fits: standard error 2%
    assert coverage(fits, 0.65)[0] < 0.3


def test_bootstrap_interval_of_scalars():
    rng = np.random.default_rng(2)
    data = rng.normal(3.0, 2.0, size=(800, 5))
    intervals = [bootstrap_interval(x, n_bootstrap=300, rng=i) for i, x in enumerate(data)]
    share, error = coverage(intervals, 3.0)
    assert 0.90 < share < 0.99
    assert_far(coverage(intervals, 5.0)[0], 0.95, error)
    medians = [
        bootstrap_interval(x, "median", n_bootstrap=300) for x in rng.normal(3, 2, (250, 15))
    ]
    assert 0.88 < coverage(medians, 3.0)[0] <= 1.0
    low, high = bootstrap_interval([2.0, 2.0, 2.0])
    assert (low, high) == (2.0, 2.0)
    many = data[:40, 0]  # few values have few distinct resamples, and equal quantiles
    assert bootstrap_interval(many, rng=4) == bootstrap_interval(many, rng=4)
    assert bootstrap_interval(many, rng=4) != bootstrap_interval(many, rng=5)
    with pytest.raises(ValueError, match="an interval needs at least 2 seeds; got 1"):
        bootstrap_interval([1.0])
    with pytest.raises(ValueError, match="values has 1 non-finite"):
        bootstrap_interval([1.0, np.nan])


def test_curvature_on_sizes_that_are_not_geometric():
    """log y = 1 - x/2 - x^2/10, x = log n: the local exponent grows by log(10)/5 a decade."""
    size = np.array([1.0, 2.0, 3.0, 5.0, 40.0, 1000.0])
    x = np.log(size)
    fitted = fit_power_law(size, np.exp(1.0 - 0.5 * x - 0.1 * x**2))
    assert fitted.curvature == pytest.approx(0.2 * math.log(10.0), rel=1e-9)


def test_the_interval_of_three_seeds_by_hand():
    """All three draws are the least with probability 1/27 > 2.5%: quantiles -1 and 1, then widened."""
    widened = math.sqrt(3.0 / 2.0) * 4.30265273 / 1.95996398  # t with 2 degrees of freedom, and z
    found = bootstrap_interval([-1.0, 0.0, 1.0], n_bootstrap=50_000)
    np.testing.assert_allclose(found, (-widened, widened), rtol=1e-7)


def test_fit_is_reproducible_and_does_not_touch_its_input():
    loss = noisy(np.random.default_rng(0), 0.5, 9)
    before = loss.copy()
    first = fit_power_law(SIZE, loss, rng=3)
    assert first == fit_power_law(SIZE, loss, rng=3)
    assert first.interval != fit_power_law(SIZE, loss, rng=4).interval
    np.testing.assert_array_equal(loss, before)


@pytest.mark.parametrize("function", [fit_power_law, compare_forms, local_exponents])
def test_wrong_input_messages(function):
    good = SIZE**-0.5
    with pytest.raises(ValueError, match=r"loss must be positive for logarithms; 1 value\(s\)"):
        function(SIZE, np.append(good[:-1], 0.0))
    with pytest.raises(ValueError, match=r"loss must be positive.*3 value\(s\) are not"):
        function(SIZE, np.append(good[:-3], [-1.0] * 3))
    with pytest.raises(ValueError, match=r"loss has 1 non-finite value\(s\) of 13"):
        function(SIZE, np.append(good[:-1], np.nan))
    with pytest.raises(ValueError, match=r"loss must have shape.*n_sizes = 13; got \(12,\)"):
        function(SIZE, good[:-1])
    with pytest.raises(ValueError, match=r"loss must have shape.*got \(13, 2\)"):
        function(SIZE, np.stack([good, good], axis=1))
    with pytest.raises(ValueError, match="rising order"):
        function(SIZE[::-1], good)
    with pytest.raises(ValueError, match="positive values in rising order"):
        function(SIZE - 10, good)
    with pytest.raises(TypeError, match="loss must be numeric"):
        function(SIZE, ["a"] * 13)


# ---- comparison of forms


def forms(size):
    return {
        "power law": 2 * size**-0.4,
        "power law + offset": size**-0.8 + 0.05,
        "prediction": data_scaling_loss(size, 1.0, 0.5) * 1.7,
    }


@pytest.mark.parametrize("truth", ["power law", "power law + offset", "prediction"])
def test_the_right_form_is_chosen(truth):
    size = np.geomspace(1, 1e4, 25)
    rng = np.random.default_rng(0)
    prediction = data_scaling_loss(size, 1.0, 0.5)
    right = 0
    for _ in range(20):
        loss = forms(size)[truth] * np.exp(0.02 * rng.normal(size=(3, size.size)))
        comparison = compare_forms(size, loss, prediction)
        right += comparison.best == truth
        assert comparison.aicc[comparison.best] == 0.0
        assert set(comparison.aicc) == set(forms(size))
        others = [v for name, v in comparison.aicc.items() if name != truth]
        if truth != "power law":  # the offset form contains the power law: only a near tie
            assert min(others) > 10
            assert comparison.residual[truth] < 0.5 * comparison.residual["power law"]
    assert right >= (15 if truth == "power law" else 20)


def test_parameters_of_the_forms():
    size = np.geomspace(1, 1e4, 25)
    prediction = data_scaling_loss(size, 1.0, 0.5)
    for name, loss in forms(size).items():
        comparison = compare_forms(size, loss, prediction)
        expected = {
            "power law": (0.4, 2.0),
            "power law + offset": (0.8, 1.0, 0.05),
            "prediction": (1.7,),
        }[name]
        np.testing.assert_allclose(comparison.parameters[name], expected, rtol=2e-3)
        assert comparison.residual[name] < 1e-3
    without = compare_forms(size, forms(size)["power law"])
    assert set(without.residual) == {"power law", "power law + offset"}


def test_wrong_prediction_is_not_chosen():
    size = np.geomspace(1, 1e4, 25)
    loss = data_scaling_loss(size, 1.0, 0.5)
    assert compare_forms(size, loss, data_scaling_loss(size, 1.0, 0.3)).best != "prediction"
    with pytest.raises(ValueError, match="loss must have shape"):
        compare_forms(size, loss, loss[:-1])


def test_three_sizes_give_a_verdict_or_an_error():
    try:
        comparison = compare_forms([1.0, 10.0, 100.0], [1.0, 0.5, 0.1])
    except ValueError:
        return
    assert not any(math.isnan(v) for v in comparison.aicc.values())


def test_prediction_must_be_one_curve():
    loss = SIZE**-0.5
    with pytest.raises(ValueError, match="prediction"):
        compare_forms(SIZE, loss, np.stack([loss, loss**2]))


# ---- scale factors


@pytest.mark.parametrize("factor", [1.0, 3.7, 16 / math.pi, 120.0])
@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_scale_factor_is_recovered(factor, exponent):
    size = geometric(1, 1e4, 50)
    loss = single_cluster_loss(size, exponent, factor)
    assert fit_scale_factor(size, loss, exponent) == pytest.approx(factor, rel=1e-3)
    wrong = fit_scale_factor(size, loss, 0.5 * exponent)
    if factor > 1:
        assert wrong != pytest.approx(factor, rel=0.05)  # control


def test_scale_factor_is_unbiased_under_noise_and_resists_outliers():
    size = geometric(1, 1e4, 50)
    rng = np.random.default_rng(0)
    truth = 6.0
    found, spoiled, squares = [], [], []
    for _ in range(100):
        loss = single_cluster_loss(size, 0.5, truth) * np.exp(0.2 * rng.normal(size=size.size))
        found.append(math.log(fit_scale_factor(size, loss)))
        loss[rng.choice(size.size, 4, replace=False)] *= 1e4
        spoiled.append(math.log(fit_scale_factor(size, loss)))
        squares.append(math.log(fit_scale_factor(size, loss, delta=1e6)))  # least squares
    mean, error = mean_and_error(found)
    assert_close(mean, math.log(truth), error, bias=0.01)  # the kink: second order in the noise
    assert_far(mean, math.log(truth) + 0.1, error)
    assert abs(np.mean(spoiled) - math.log(truth)) < 0.4
    assert abs(np.mean(squares) - math.log(truth)) > 1.0  # control: no resistance


def test_scale_factor_is_at_least_one_and_finds_the_asymptote():
    size = geometric(1, 1e4, 50)
    assert fit_scale_factor(size, 0.01 * size**-0.5) == pytest.approx(1.0, abs=1e-3)
    assert fit_scale_factor(size, np.ones(size.size)) >= size[-1] * 0.99  # never learned
    large = np.geomspace(1e3, 1e6, 30)
    found = fit_scale_factor(large, nearest_neighbor_loss(large))
    assert found == pytest.approx(16 / math.pi, rel=1e-3)


def test_scale_factor_leaves_out_zero_losses():
    size = geometric(1, 1e4, 50)
    loss = single_cluster_loss(size, 0.5, 4.0)
    loss[-5:] = 0.0
    assert fit_scale_factor(size, loss) == pytest.approx(4.0, rel=1e-3)
    with pytest.raises(ValueError, match="every loss is zero"):
        fit_scale_factor(size, np.zeros(size.size))
    with pytest.raises(ValueError, match=f"loss must have {size.size} rows; got"):
        fit_scale_factor(size, loss[:-1])
    with pytest.raises(ValueError, match="loss has 1 non-finite"):
        fit_scale_factor(size, np.append(loss[:-1], np.inf))


def test_negative_losses_are_refused():
    with pytest.raises(ValueError, match="loss"):
        fit_scale_factor([1.0, 10.0, 100.0], [1.0, -0.5, 0.1])


def test_negative_sizes_are_refused():
    with (
        np.errstate(invalid="ignore", divide="ignore"),
        pytest.raises(ValueError, match="size"),
    ):
        fit_scale_factor([-1.0, 10.0, 100.0], [1.0, 0.5, 0.1])


def test_log_slopes_are_least_squares():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(1, 1000, 9))
    curves = x**-0.7 * np.exp(rng.standard_normal((4, 9)))
    slopes = fit.log_slopes(x, curves)
    for slope, curve in zip(slopes, curves, strict=True):
        assert slope == pytest.approx(np.polyfit(np.log(x), np.log(curve), 1)[0], rel=1e-10)
    np.testing.assert_allclose(fit.log_slopes(x, 3.0 * x**1.3), [1.3])
    np.testing.assert_allclose(fit.log_slopes(x[:3], curves[:, :3]).shape, (4,))
    for n in (0, 1, 2):
        found = fit.log_slopes(x[:n], curves[:, :n])
        assert found.shape == (4,)
        assert np.isnan(found).all()


def test_a_seed_without_an_error_is_no_reason_to_leave_out_a_size():
    """Shares of wrong classes of few tests are 0 now and then; their mean over seeds is not."""
    size = geometric(10, 1e4, 13)
    truth = 0.6 * size**-0.4
    loss = np.random.default_rng(0).binomial(60, truth, size=(8, 13)) / 60
    assert (loss == 0).any()
    with pytest.raises(ValueError, match="for single seeds, how='mean' does"):
        fit_power_law(size, loss)
    found = fit_power_law(size, loss, how="mean")
    assert found.interval[0] < 0.4 < found.interval[1]
    # Dropping these sizes, as was advised, drops the steepest part of each curve.
    loss[:, -1] = 0.0
    with pytest.raises(ValueError, match="the mean loss is 0 at 1 of 13 sizes"):
        fit_power_law(size, loss, how="mean")
    loss[0, -1] = 1 / 60
    assert fit_power_law(size, loss, how="mean").interval == (-np.inf, np.inf), "one seed decides"
