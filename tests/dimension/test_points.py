"""Points in any form: what changes no estimate, and what is refused."""

import math

import numpy as np
import pytest
from dimension_cases import numbers, padded, plain_numbers, plain_points
from statistical import assert_close

from percolaw.dimension.correlation import CorrelationDimension
from percolaw.dimension.estimate import ESTIMATORS, estimate_dimension
from percolaw.dimension.mle import MLE, local_dimension
from percolaw.dimension.two_nn import TwoNN

RATIO = [name for name in ESTIMATORS if name != "correlation dimension"]


def turned(x):
    return x @ np.linalg.qr(np.random.default_rng(8).standard_normal((5, 5)))[0]


# ---- invariance ----


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 1e-6 * x,
        lambda x: 1e6 * x,
        turned,
        lambda x: x + 1e3,
        padded,
        lambda x: x[:, ::-1],
        np.asfortranarray,
    ],
    ids=["small", "large", "rotation", "translation", "padding", "columns", "fortran"],
)
def test_invariance(change):
    after = numbers(change(plain_points()))
    for name, before in plain_numbers().items():
        e = after[name]
        for field in ("dimension", "standard_error", "extrapolated", "interval", "level"):
            # The ends of the correlation window are pairs: see the known faults.
            exact = name in RATIO or field == "dimension"
            tolerance = 1e-6 if exact else 0.1
            np.testing.assert_allclose(getattr(e, field), getattr(before, field), rtol=tolerance)
        np.testing.assert_array_equal(e.n_points, before.n_points)


def test_invariance_has_something_to_find():
    x = plain_points() * [1, 1, 0.01, 1, 1]  # control: one axis squeezed
    for name, before in plain_numbers().items():
        assert before.dimension - numbers(x)[name].dimension > 0.2
    noisy = np.concatenate([plain_points(), np.random.default_rng(0).random((600, 3))], axis=1)
    assert numbers(noisy)["TwoNN"].dimension > plain_numbers()["TwoNN"].dimension + 1


def test_order_of_rows_changes_only_within_errors():
    order = np.random.default_rng(1).permutation(600)
    after = numbers(plain_points()[order])
    for name, before in plain_numbers().items():
        if name in RATIO:
            assert after[name].dimension == pytest.approx(before.dimension, rel=1e-12)
        assert_close(after[name].dimension, before.dimension, before.standard_error)
        assert after[name].standard_error < 5 * before.standard_error


def test_seeds():
    x = plain_points()
    first, again, other = (estimate_dimension(x, s) for s in (0, 0, 1))
    assert first.as_dict() == again.as_dict()
    assert first.as_dict() != other.as_dict()
    for name, e in first.estimates.items():
        o = other.estimates[name]
        if name in RATIO:  # all points have their neighbours searched: nothing is random
            assert o.dimension == pytest.approx(e.dimension, rel=1e-12)
        assert_close(o.dimension, e.dimension, math.hypot(e.standard_error, o.standard_error))
    few, more = (estimate_dimension(x, s, max_queries=200) for s in (0, 1))
    for name, e in few.estimates.items():
        o = more.estimates[name]
        assert o.dimension != e.dimension
        assert_close(o.dimension, e.dimension, math.hypot(e.standard_error, o.standard_error))


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = estimate_dimension(plain_points()).as_dict()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(6)  # noqa: NPY002
    assert estimate_dimension(plain_points()).as_dict() == first


def test_points_are_not_written_to():
    x = plain_points().copy()
    x.flags.writeable = False
    estimate_dimension(x)
    np.testing.assert_array_equal(x, plain_points())


def test_dtypes_agree():
    x = np.round(plain_points() * 2**12)
    found = [TwoNN().fit(x.astype(t)).dimension_ for t in (np.float64, np.float32, np.int64)]
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-12)


FITS = {
    "TwoNN": TwoNN().fit,
    "MLE": MLE(5).fit,
    "correlation": CorrelationDimension().fit,
    "local": local_dimension,
    "report": estimate_dimension,
}


def repeated(x):
    return np.concatenate([x, x[:7]])


def holed(x):
    x = x.copy()
    x[[4, 9, 11], 1] = [np.nan, np.inf, -np.inf]
    return x


BAD = {
    "duplicates": (repeated, ValueError, r"14 of 607 points coincide.*np\.unique"),
    "all equal": (lambda x: 0 * x + 3, ValueError, "all 600 points coincide"),
    "not finite": (holed, ValueError, r"3 of 600 points hold NaN or infinity.*Remove them"),
    "1-D": (lambda x: x[:, 0], ValueError, r"shape \(n, d\).*got \(600,\).*X\.reshape"),
    "3-D": (lambda x: x.reshape(600, 5, 1), ValueError, r"got \(600, 5, 1\).*X\.reshape"),
    "no columns": (lambda x: x[:, :0], ValueError, r"shape \(n, d\).*got \(600, 0\)"),
    "strings": (lambda x: x.astype(str), TypeError, "must be numeric; got dtype <U"),
    "complex": (lambda x: x + 1j, TypeError, "must be numeric; got dtype complex128"),
    "objects": (lambda x: x.astype(object), TypeError, "must be numeric; got dtype object"),
}


# ---- bad input ----


@pytest.mark.parametrize("fit", sorted(FITS))
@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_points(case, fit):
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        FITS[fit](change(plain_points()))


@pytest.mark.parametrize("fit", sorted(FITS))
def test_good_points_pass_the_same_calls(fit):
    FITS[fit](plain_points())


def test_duplicate_messages_count_every_copy():
    x = plain_points()
    with pytest.raises(ValueError, match="90 of 90 points coincide"):
        TwoNN().fit(np.repeat(x[:30], 3, axis=0))
    with pytest.raises(ValueError, match="600 of 600 points coincide"):
        MLE(5).fit(np.repeat(x[:20], 30, axis=0))  # more copies than neighbours
    remedied = np.unique(repeated(x), axis=0)
    assert TwoNN().fit(remedied).dimension_ == pytest.approx(TwoNN().fit(x).dimension_, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: TwoNN().fit(x[:3]), "2 neighbours need at least 4 points; got 3. Use fewer"),
        (lambda x: TwoNN(20).fit(x[:21]), "20 neighbours need at least 22 points; got 21"),
        (lambda x: MLE(20).fit(x[:21]), "20 neighbours need at least 22 points; got 21"),
        (lambda x: local_dimension(x[:51]), "50 neighbours need at least 52 points; got 51"),
        (lambda x: TwoNN().fit(x[:0]), "at least 4 points; got 0"),
        (lambda x: estimate_dimension(x[:99]), r"points must be in \[100, inf\]; got 99"),
        (lambda x: estimate_dimension(x[:5]), r"points must be in \[100, inf\]; got 5"),
        (lambda x: estimate_dimension(x, max_queries=99), r"max_queries must be in \[100"),
        (lambda x: CorrelationDimension().fit(x[:40]), "too many for 40 points; lower `highest`"),
    ],
)
def test_too_few_points(call, message):
    with pytest.raises(ValueError, match=message):
        call(plain_points())


def test_fewest_points_are_accepted():
    x = plain_points()
    for estimator, n in ((TwoNN(), 4), (TwoNN(20), 22), (MLE(20), 22), (MLE(2), 4)):
        assert math.isfinite(estimator.fit(x[:n]).dimension_)
    assert math.isfinite(CorrelationDimension().fit(x[:41]).dimension_)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TwoNN(1), ValueError, r"k must be in \[2, inf\]; got 1"),
        (lambda: TwoNN(2.5), ValueError, "k must be an integer; got 2.5"),
        (lambda: TwoNN("2"), TypeError, "k must be an integer"),
        (lambda: TwoNN(True), TypeError, "k must be an integer"),
        (lambda: TwoNN(2, 0.0), ValueError, r"fraction .*\[0.05, 0.999\]; got 0.0"),
        (lambda: TwoNN(2, 1.0), ValueError, r"fraction .*\[0.05, 0.999\]; got 1.0"),
        (lambda: TwoNN(2, -0.5), ValueError, "fraction"),
        (lambda: TwoNN(2, math.nan), ValueError, "fraction must be finite"),
        (lambda: TwoNN(2, "most"), TypeError, "fraction must be a number; got 'most'"),
        (lambda: MLE(1), ValueError, r"k must be in \[2, inf\]; got 1"),
        (lambda: MLE(2, "dimension"), ValueError, r"k must be in \[3, inf\]; got 2"),
        (lambda: MLE(5, "inverses"), ValueError, "unknown average.*Did you mean 'inverse'"),
        (lambda: local_dimension(plain_points(), 3), ValueError, r"k must be in \[4, inf\]; got 3"),
        (lambda: CorrelationDimension(5.0, 2.0), ValueError, r"highest .*\[20, 1e\+15\]; got 2.0"),
        (lambda: CorrelationDimension(0.0), ValueError, "lowest must be"),
        (lambda: CorrelationDimension(n_radii=2), ValueError, r"n_radii must be in \[3"),
        (lambda: CorrelationDimension(max_centres=5), ValueError, r"max_centres must be in \[10"),
    ],
)
def test_bad_parameters(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- known faults ----


@pytest.mark.parametrize(
    "estimator", [TwoNN(5.0), MLE(5.0), CorrelationDimension(n_radii=12.0, max_centres=600.0)]
)
def test_integral_floats_count_as_integers(estimator):
    assert math.isfinite(estimator.fit(plain_points()).dimension_)


@pytest.mark.filterwarnings("ignore")
def test_equal_distances_make_no_nan():
    with pytest.raises(ValueError, match="equally far"):  # a simplex: every pair at sqrt(2)
        estimate_dimension(np.eye(300))
