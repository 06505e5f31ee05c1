"""Closed forms, fits and allocations at the ends of float64: the right number, or a sentence."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.laws.allocation import (
    numerical_allocation,
    power_law_allocation,
    shared_curve_allocation,
    shared_curve_losses,
    weighted_allocation,
)
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.ensembles import ensemble_nearest_neighbor_loss
from percolaw.laws.hypercubic import critical_exponents
from percolaw.laws.size_law import yule_size_law
from percolaw.numerics.covariance import (
    Gaussian,
    LayerTangent,
    Matern,
    NetworkGaussianProcess,
    NeuralTangent,
    matern,
)
from percolaw.scaling.diagnose import diagnose
from percolaw.scaling.fit import (
    aggregate,
    fit_power_law,
    fit_scale_factor,
    geometric,
    local_exponents,
    log_slopes,
)
from percolaw.scaling.forms import compare_forms
from percolaw.scaling.intervals import bootstrap_interval

ENDS = (0.0, 5e-324, 1e-300, 1e-160, 1e-17, 0.5, 1.0, 50.0, 1e15, 1e150, 1e300, 1.7e308)


def finite_or_refused(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call, or None where it is refused; a warning or a number not finite fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = call(*arguments)
        except (ValueError, TypeError, ResourceError) as error:
            said = str(error)
        else:
            said = None
    if said is not None:
        assert not re.search("broadcast|SVD|reshape|quantile", said), said
        return None
    assert np.all(np.isfinite(np.asarray(found, dtype=np.float64))), arguments
    return found


# ---- fits

SIZES = [
    np.geomspace(low, high, 6)
    for low, high in itertools.product((1e-300, 1.0, 1e10, 1e300), (1e-290, 10.0, 1e290, 1.7e308))
    if high >= 10 * low
]
LOSSES = [
    np.geomspace(a, b, 6)
    for a, b in itertools.product((5e-324, 1e-300, 1.0, 1e290, 1.7e308), repeat=2)
]


def fitted(size: Any, loss: Any, how: Any) -> list[float]:
    found = fit_power_law(size, [loss, loss * 0.9, loss * 0.99], how=how, n_bootstrap=9)
    return [found.exponent, *found.interval, found.prefactor, found.curvature]


def compared(size: Any, loss: Any) -> list[float]:
    found = compare_forms(size, loss)
    return [*found.residual.values(), *found.aicc.values(), *sum(found.parameters.values(), ())]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]:.0e}..{s[-1]:.0e}")
def test_fits_of_any_curve(size):
    for loss in LOSSES:
        finite_or_refused(local_exponents, size, loss)
        finite_or_refused(log_slopes, size, [loss, loss])
        finite_or_refused(fit_scale_factor, size, loss)
        finite_or_refused(lambda s, y: len(diagnose(s, y)), size, loss)
        for how in ("geometric", "mean", "median"):
            finite_or_refused(aggregate, [loss, loss[::-1], loss], how)
            finite_or_refused(fitted, size, loss, how)


def test_forms_of_any_curve():
    for size, loss in itertools.product(SIZES[::3], LOSSES[::4]):
        finite_or_refused(compared, size, loss)


def test_fits_of_any_numbers():
    curve = np.geomspace(1, 1e4, 6), np.geomspace(1, 1e-2, 6)
    for a, b in itertools.product(ENDS, repeat=2):
        finite_or_refused(fit_scale_factor, *curve, a, b)
        finite_or_refused(geometric, a, b, 5)
        for statistic in ("mean", "median"):
            finite_or_refused(
                lambda *v: bootstrap_interval(v[:2], v[2], n_bootstrap=9), a, b, statistic
            )


def test_means_that_are_none_are_refused():
    losses = np.array([[0.5, 0.1], [0.4, -0.1]])
    with pytest.raises(ValueError, match=r"geometric mean needs losses >= 0; the least is -0\.1"):
        aggregate(losses)
    np.testing.assert_allclose(aggregate(losses, "mean"), [0.45, 0.0])
    assert aggregate([[0.0], [1.0]]) == 0.0
    assert np.isnan(aggregate([[np.nan], [1.0]]))
    for empty in (0.3, np.zeros((0, 3))):
        with pytest.raises(ValueError, match="a seed at least"):
            aggregate(empty)


@pytest.mark.parametrize(
    ("size", "curves", "message"),
    [
        ([1, 10, 100], [1.0, 0.1, 0.0], "positive and finite"),
        ([1, 10, 100], [1.0, -0.1, 0.1], "positive and finite"),
        ([1, 10, 100], [1.0, np.inf, 0.1], "positive and finite"),
        ([0, 10, 100], [1.0, 0.1, 0.1], "positive and finite"),
        ([1, 10], [1.0, 0.1, 0.1], "n_sizes = 2; got"),
        ([5, 5, 5], [1.0, 0.1, 0.1], "all sizes are equal"),
    ],
)
def test_slopes_that_are_none_are_refused(size, curves, message):
    with pytest.raises(ValueError, match=message):
        log_slopes(size, curves)


def test_slopes_of_what_was_not_measured():
    found = log_slopes([1, 10, 100], [[1.0, 0.1, 0.01], [1.0, np.nan, 0.01]])
    np.testing.assert_allclose(found, [-1.0, np.nan])
    assert np.isnan(log_slopes([1, 10], [1.0, 0.1])).all()


@pytest.mark.parametrize(
    "window", [(10,), (1, 2, 3), 5, "ab", (None, 10), (10, "x"), (math.nan, 10)]
)
def test_windows_that_are_none(window):
    with pytest.raises(ValueError, match=r"window must be \(low, high\)"):
        fit_power_law([1, 10, 100], [1, 0.1, 0.01], window=window)
    assert fit_power_law([1, 10, 100], [1, 0.1, 0.01], window=(0, math.inf)).window == (1.0, 100.0)


# ---- allocations

CURVES = [
    ([0, 1, 2], [1, 0.5, 0.2]),
    ([0, 1e-300, 1e300], [1, 0.5, 0.2]),
    ([0, 5e-324, 1e-323], [1, 0.5, 0.2]),
    ([0, 1e89, 1e90], [1e90, 1e89, 0]),
    ([0, 1e-90, 1e90], [1e-90, 1e-91, 0]),
    ([0, 1, 2], [1.7e308, -1.7e308, 0]),
    ([0, 1, 2], [1e-300, 1e-301, 0]),
    ([0, 1, 2], [1, 2, 3]),
    ([0], [1]),
]
WEIGHTS = [[1, 1e-300], [1e300, 1e300], [1e90, 1e-90, 0], [5e-324, 5e-324], [1, 2, 3]]


@pytest.mark.parametrize("curve", CURVES, ids=str)
@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_allocations_of_any_curve(curve, weight):
    size, loss = (np.array(v, dtype=float) for v in curve)
    w = np.array(weight, dtype=float)
    several = np.tile(loss, (w.size, 1))
    last = math.inf
    for total in ENDS:
        best = finite_or_refused(
            lambda n: (
                (a := numerical_allocation(n, w, size, several)).loss
                + 0 * a.degrees_of_freedom.sum()
            ),
            total,
        )
        for count in (None, np.full(w.size, 1e15), np.full(w.size, 1e300)):
            shared = finite_or_refused(
                lambda n, m: shared_curve_allocation(n, w, size, loss, m).loss, total, count
            )
            at_once = finite_or_refused(shared_curve_losses, [total], w, size, loss, count)
            if count is None and shared is not None:
                rounding = 1e-12 * float(np.sum(w) * np.abs(loss).max())
                assert shared == pytest.approx(best, rel=1e-9, abs=rounding)
                assert float(at_once[0]) == pytest.approx(best, rel=1e-9, abs=rounding)
        if best is not None:
            assert best <= last
            last = best
        for gamma in ENDS:
            given = finite_or_refused(weighted_allocation, total, w, gamma)
            assert given is None or given.sum() <= total * (1 + 1e-9)


def test_allocations_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    weight, size = rng.random(5), np.r_[0, np.sort(rng.random(6))]
    loss = np.sort(rng.random((5, 7)))[:, ::-1]
    found = numerical_allocation(1.5, weight, size, loss)
    for w, x, y in itertools.product((1e-60, 1, 1e60), repeat=3):
        other = numerical_allocation(1.5 * x, w * weight, x * size, y * loss)
        assert other.loss == pytest.approx(found.loss * w * y, rel=1e-9)
        np.testing.assert_allclose(
            other.degrees_of_freedom, x * found.degrees_of_freedom, rtol=1e-9, atol=1e-9 * x
        )


def test_ranges_of_allocations_are_named():
    for wrong in (1e91, 1e-91):
        with pytest.raises(ValueError, match=r"weight must be .*\[1e-90, 1e\+90\]"):
            shared_curve_losses([1.0], [wrong], [0, 1], [1, 0.5])
        with pytest.raises(ValueError, match=r"loss must be .*\[1e-90, 1e\+90\]"):
            shared_curve_losses([1.0], [1.0], [0, 1], [wrong, 0.5 * wrong])
        with pytest.raises(ValueError, match="size must be"):
            shared_curve_losses([1.0], [1.0], [0, wrong], [1.0, 0.5])
    with pytest.raises(ValueError, match=r"totals must be at most 1e\+200"):
        shared_curve_losses([1e201], [1.0], [0, 1], [1.0, 0.5])
    with pytest.raises(ValueError, match=r"total must be at most 1e\+200"):
        weighted_allocation(1e201, [1.0], 0.5)


def test_the_rule_at_any_numbers():
    for total, shape, rank in itertools.product(ENDS[::2], (*ENDS, *(-v for v in ENDS)), ENDS):
        finite_or_refused(power_law_allocation, total, 10, shape, rank)


def test_ensembles_of_any_rates():
    for rate, size, z in itertools.product(
        (0, 1e-300, 1e-9, 0.5, 1 - 1e-12, 1), (1, 1e10, 1e300), (3, 200, 2**31, math.inf)
    ):
        found = finite_or_refused(ensemble_nearest_neighbor_loss, [[rate, rate]], [size, 1], z)
        assert found is None or 0.0 <= found[0] <= 4.0


# ---- covariances


@pytest.mark.parametrize("nu", [1e-3, 0.1, 0.499, 0.5, 0.501, 1, 1.5, 2, 2.5, 3, 49.9, 100])
def test_matern_falls_from_one_to_zero(nu):
    s = np.array([0, 5e-324, 1e-300, 1e-20, 1e-9, 0.1, 1, 10, 799, 801, 1e10, 1e160, 1.7e308])
    found = finite_or_refused(lambda: matern(s.copy(), nu))
    assert found[0] == 1.0
    assert found[-1] == 0.0
    assert np.all(np.diff(found) <= 1e-12)


FAR = np.array([[0.0, 0], [1, 0], [0, 1], [1e-300, 0], [1e40, 0], [-1e40, 1], [1e145, 1]])
SCALES = (1e-12, 1e-9, 0.5, 1.0, 1e10, 1e50, 1e100, 1e150, 1e160, 1.7e308)


@pytest.mark.parametrize("scale", SCALES)
def test_kernels_at_any_scale(scale):
    kernels: list[Callable[[], Any]] = [
        *(lambda nu=nu: Matern(nu, scale) for nu in (0.5, 0.7, 1.5, 2.5, 100.0)),
        lambda: Gaussian(scale),
    ]
    for bias, depth in itertools.product((0.0, *SCALES[::2]), (1, 2, 1000)):
        for kind in (NetworkGaussianProcess, NeuralTangent):
            kernels.append(lambda k=kind, b=bias, n=depth: k(n, scale, b))
    for role in ("output_weights", "hidden_weights", "input_weights", "biases", "output_bias"):
        kernels.append(lambda r=role: LayerTangent(3, **{r: scale}))
    for make, points in itertools.product(kernels, (FAR[:4], FAR)):
        value = finite_or_refused(lambda m=make, x=points: m()(x, x))
        own = finite_or_refused(lambda m=make, x=points: m().diagonal(x))
        if value is not None:
            bound = np.sqrt(own[:, None]) * np.sqrt(own)
            assert np.all(value <= bound * (1 + 1e-9))
            np.testing.assert_allclose(np.diag(value), own, rtol=1e-9)


def test_ranges_of_kernels_are_named():
    with pytest.raises(ValueError, match=r"weight_scale must be finite and in \[1e-12, 1e\+50\]"):
        NeuralTangent(2, 1e160)
    with pytest.raises(ValueError, match=r"length_scale must be finite and in \[1e-12, 1e\+100\]"):
        Gaussian(1e160)
    with pytest.raises(ValueError, match=r"variance is .* lower weight_scale"):
        NetworkGaussianProcess(1000, 1e3)(FAR[:4], FAR[:4])


# ---- critical exponents and size laws


@pytest.mark.parametrize("dimension", [2, 3, 4, 5, 6, 7, 10**18])
def test_critical_exponents(dimension):
    known = critical_exponents(dimension)
    for order in (*ENDS, -1.0, math.inf, math.nan, "2"):
        found = finite_or_refused(known.cluster_exponent, order)
        assert found is None or found >= 0.0
    with pytest.raises(ValueError, match="approximation_order"):
        known.cluster_exponent(math.nan)


def test_yule_laws_are_laws():
    for a in (*ENDS, 1 - 1e-9, 1 - 1e-16):
        found = finite_or_refused(lambda a: yule_size_law(a).window_probability(1, math.inf), a)
        assert found is None or found == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("z", "mean"),
    [(3, 1.9), (3, 2 - 1e-9), (4, 2.9999), (200, 15), (200, 50), (2**31, 100)]
    + [(math.inf, m) for m in (0.0, 1e-280, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 13, 14, 50, 700)],
)
def test_size_laws_far_from_the_threshold(z, mean):
    """Deep in the supercritical regime finite clusters are rare, and 1 less the rest is 0."""
    lattice = BetheLattice(z, mean_offspring=mean)
    assert lattice.site_size_law().window_probability(1, math.inf) == pytest.approx(
        lattice.finite_probability, rel=1e-7
    )
    assert lattice.cluster_size_law().window_probability(1, math.inf) == pytest.approx(
        1.0, rel=1e-6
    )
    q = lattice.extinction_probability
    if mean > 1.0:
        closed = (
            -mean * (1 - q) if math.isinf(z) else (z - 1) * math.log(1 - lattice.p + lattice.p * q)
        )
        assert q == pytest.approx(math.exp(closed), rel=1e-9)


# ---- single numbers


@pytest.mark.parametrize("value", ["0.9", b"0.9", np.complex128(1 + 2j), 1 + 2j, None, [1.0]])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="x must be a number"):
        checks.real("x", value)


def test_numbers_without_bounds():
    for value in (math.nan, math.inf, np.ma.masked):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match="x must be a finite number; got"):
                checks.real("x", value)
    with pytest.raises(ValueError, match=r"x must be finite and in \[0, inf\]; got nan"):
        checks.real("x", math.nan, minimum=0.0)
    assert checks.real("x", np.float16(0.5)) == checks.real("x", np.array(0.5)) == 0.5


def test_masks_behind_an_array_of_somebody_else():
    class Variable:
        """Becomes an array by itself, as variables of data files do; missing values are masked."""

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.ma.masked_equal(np.array([1.0, -9999.0, 2.0], dtype=dtype), -9999.0)

    with pytest.raises(ValueError, match=r"x has 1 masked value\(s\) of 3"):
        checks.array("x", Variable())
