"""Checks of what a user passes in: reason, value received, allowed range, remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.arrays import array as array
from percolaw.arrays import as_given as as_given
from percolaw.arrays import class_labels as class_labels
from percolaw.arrays import float_array as float_array
from percolaw.errors import MissingExtraError, ResourceError
from percolaw.resources import available_memory as available_memory  # part of the checks
from percolaw.resources import human_bytes as human_bytes
from percolaw.text import suggestion


def probability(name: str, value: float) -> float:
    """Return `value` as a float in [0, 1] or raise ValueError.

    Parameters
    ----------
    name, value : str and float
        As in `real`.

    Returns
    -------
    float
    """
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1]; got {value!r}. Pass a probability.")
    return number


def real(
    name: str, value: float, *, minimum: float = -math.inf, maximum: float = math.inf
) -> float:
    """Return `value` as a finite float inside [minimum, maximum] or raise.

    TypeError if it is no number, ValueError if it is not finite or outside. Text
    and complex numbers are none, though `float` takes the one and NumPy's cast the other.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : float
    minimum, maximum : float
        Allowed range, both ends included.

    Returns
    -------
    float
    """
    try:
        if isinstance(value, (str, bytes)) or np.iscomplexobj(value):
            raise TypeError
        number = math.nan if np.ma.is_masked(value) else float(value)
    except (TypeError, ValueError, RuntimeError):  # the last of tensors that require gradients
        raise TypeError(
            f"{name} must be a number; got {value!r:.60} ({type(value).__name__})."
        ) from None
    except OverflowError:
        raise ValueError(f"{name} is too large for a float64, at most 1.8e308.") from None
    if math.isnan(number) or not minimum <= number <= maximum or math.isinf(number):
        bounded = math.isfinite(minimum) or math.isfinite(maximum)
        allowed = f"finite and in [{minimum:g}, {maximum:g}]" if bounded else "a finite number"
        raise ValueError(f"{name} must be {allowed}; got {value!r}.")
    return number


def integer(
    name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return `value` as an int inside [minimum, maximum] or raise; 3.0 and 1e6 count as integers.

    TypeError if it is no number, ValueError if it is not whole, outside, or of more than the 64 bits
    that arrays hold.

    Parameters
    ----------
    name, value : str and number
        As in `real`.
    minimum, maximum : int or None
        Allowed range, both ends included; None sets no bound.

    Returns
    -------
    int
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be an integer; got {value!r} ({type(value).__name__}).")
    if isinstance(value, (float, np.floating)) and not float(value).is_integer():
        raise ValueError(f"{name} must be an integer; got {value!r}. Round it first.")
    number = int(value)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{name} is an integer of {number.bit_length()} bits; 64 are the most.")
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        low = "-inf" if minimum is None else minimum
        high = "inf" if maximum is None else maximum
        raise ValueError(f"{name} must be in [{low}, {high}]; got {number}.")
    return number


def set_integer(instance: Any, name: str, *, minimum: int = 1, maximum: int | None = None) -> None:
    """Check a field of a frozen dataclass to be an integer, and store it as one (2.0 becomes 2).

    Parameters
    ----------
    instance, name : frozen dataclass and its field
    minimum, maximum : int or None
        As in `integer`.
    """
    value = integer(name, getattr(instance, name), minimum=minimum, maximum=maximum)
    object.__setattr__(instance, name, value)


def set_real(
    instance: Any, name: str, *, minimum: float = -math.inf, maximum: float = math.inf
) -> None:
    """Check a field of a frozen dataclass to be a finite number, and store it as a float.

    Parameters
    ----------
    instance, name : frozen dataclass and its field
    minimum, maximum : float
        As in `real`.
    """
    value = real(name, getattr(instance, name), minimum=minimum, maximum=maximum)
    object.__setattr__(instance, name, value)


#: Largest finite coordination number; beyond it the Poisson limit is the same to 1e-9.
LARGEST_COORDINATION = 1 << 31


def coordination_number(value: float) -> float:
    """Return z as a float: an integer from 3 to 2^31, or infinity for the Poisson limit.

    Raises ValueError for any other.
    """
    number = value
    if isinstance(number, (float, np.floating)) and math.isinf(number) and number > 0:
        return math.inf
    if (
        isinstance(number, bool)
        or not isinstance(number, (int, float, np.integer, np.floating))
        or not 3 <= number <= LARGEST_COORDINATION
        or number != int(number)
    ):
        raise ValueError(
            "coordination_number must be an integer >= 3, or math.inf for the Poisson limit (also above "
            f"2^31); got {value!r:.60}. z = 2 is a chain, which percolates only at p = 1."
        )
    return float(number)


def choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`, else raise ValueError naming the nearest.

    Parameters
    ----------
    name : str
    value : str
    allowed : iterable of str
    """
    options = list(allowed)
    if value in options:
        return value
    raise ValueError(f"unknown {name} {value!r}{suggestion(str(value), options)}.")


def finite_array(
    name: str, values: Any, *, ndim: int | None = None, length: int | None = None
) -> npt.NDArray[np.float64]:
    """Return `values` as float64 of the asked shape with no NaN or infinity, or raise ValueError.

    Parameters
    ----------
    name : str
    values : array-like
    ndim, length : int or None
        Number of dimensions and of rows; None allows any.

    Returns
    -------
    array of float64
    """
    numbers = float_array(name, values)
    if ndim is not None and numbers.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s); got shape {numbers.shape}.")
    if length is not None and (numbers.ndim == 0 or numbers.shape[0] != length):
        rows = numbers.shape[0] if numbers.ndim else f"the single number {numbers}"
        raise ValueError(f"{name} must have {length} rows; got {rows}.")
    bad = numbers.size - int(np.count_nonzero(np.isfinite(numbers)))
    if bad:
        raise ValueError(
            f"{name} has {bad} non-finite value(s) of {numbers.size} (NaN or inf). Remove or impute them "
            "first."
        )
    return numbers


def point_array(name: str, points: Any) -> npt.NDArray[Any]:
    """Return points as float32 or float64 of shape (n, d), neither 0; what is float32 stays so.

    Raises ValueError for another shape; whether they are finite is left to the caller.

    Parameters
    ----------
    name : str
    points : array-like, shape (n, d)

    Returns
    -------
    array of float32 or float64, shape (n, d)
    """
    numbers = array(name, points)
    if numbers.ndim != 2 or numbers.shape[0] == 0 or numbers.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape (n, d), neither 0; got {numbers.shape}. One row a point: "
            "X.reshape(len(X), -1)."
        )
    return numbers if numbers.dtype == np.float32 else float_array(name, numbers)


def target_values(name: str, values: Any, n: int) -> npt.NDArray[np.float64]:
    """Return values of n points as finite float64, shape (n,) or (n, n_outputs), or raise ValueError.

    Parameters
    ----------
    name : str
    values : array-like, shape (n,) or (n, n_outputs)
    n : int
        Number of points.

    Returns
    -------
    array of float64
    """
    numbers = finite_array(name, values, length=n)
    if numbers.ndim > 2 or 0 in numbers.shape[1:]:
        raise ValueError(f"{name} must have shape (n,) or (n, n_outputs); got {numbers.shape}.")
    return np.ascontiguousarray(numbers)  # PyTorch takes no negative strides


def returned(
    what: str, result: Any, shape: tuple[int, ...], remedy: str = ""
) -> npt.NDArray[np.float64]:
    """Return what a user's function gave as finite float64 of exactly `shape`, or raise ValueError.

    A column (n, 1) is taken where (n,) is expected, and the other way round; nothing is broadcast.

    Parameters
    ----------
    what, remedy : str
        Beginning and last sentence of the message.
    result : array-like
    shape : tuple of int

    Returns
    -------
    array of float64, of that shape
    """
    numbers = float_array(what, result)
    column = shape[:1] if shape[1:] == (1,) else (*shape, 1) if len(shape) == 1 else shape
    if numbers.shape not in (shape, column):
        raise ValueError(f"{what} must have shape {shape}; got {numbers.shape}. {remedy}".rstrip())
    bad = numbers.size - int(np.count_nonzero(np.isfinite(numbers)))
    if bad:
        what = what.rstrip(",")
        raise ValueError(f"{what}: {bad} of {numbers.size} are NaN or infinite. {remedy}".rstrip())
    return numbers.reshape(shape)


def single(name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return points as float32, or refuse where its rounding would move them noticeably.

    Raises ValueError where one moves by more than 1% of the standard deviation of a column that varies.

    Parameters
    ----------
    name : str
    values : array, shape (n, d)

    Returns
    -------
    array of float32
    """
    with np.errstate(over="ignore"):
        narrow = np.asarray(values, dtype=np.float32)
    if values.dtype == np.float32 or values.size == 0:
        return narrow
    moved = np.abs(narrow - values).max(axis=0)
    with np.errstate(over="ignore"):
        lost = (moved > 0.01 * values.std(axis=0)) & (np.ptp(values, axis=0) > 0)
    if np.any(lost | np.isinf(moved)):
        raise ValueError(
            f"{name} would lose its structure in float32: rounding moves points by "
            f"{float(moved.max()):.2g}. Centre it first (percolaw.standardized_inputs)."
        )
    return narrow


def site_ids(name: str, sites: Any, n_sites: int) -> npt.NDArray[np.int64]:
    """Return `sites` as int64 ids inside [0, n_sites), or raise TypeError or ValueError.

    Parameters
    ----------
    name : str
    sites : array-like of int, shape (m,)
    n_sites : int

    Returns
    -------
    array of int64, shape (m,)
        Contiguous and writable, copied where it is not: kernels are compiled for one layout.
    """
    ids = np.atleast_1d(array(name, sites))
    if ids.size == 0:
        return np.zeros(0, dtype=np.int64)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integer site ids; got dtype {ids.dtype}.")
    if ids.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional; got shape {ids.shape}.")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= n_sites:
        raise ValueError(f"{name} must lie in [0, {n_sites - 1}]; got ids from {low} to {high}.")
    return np.require(ids, np.int64, ["C", "W"])


def integer_array(name: str, values: Any) -> npt.NDArray[np.int64]:
    """Return `values` as int64, or raise ValueError; 3.0 and 1e6 count as integers.

    Parameters
    ----------
    name : str
    values : array-like

    Returns
    -------
    array of int64
    """
    numbers = array(name, values)
    if (
        numbers.dtype.kind == "b"
        or np.any(numbers != np.floor(numbers))
        or np.any(np.isinf(numbers))
    ):
        raise ValueError(
            f"{name} must be integers; got {numbers.ravel()[:3].tolist()}... of dtype {numbers.dtype}. "
            "Round them (percolaw.geometric)."
        )
    if numbers.size and not -(2**63) <= int(numbers.min()) <= int(numbers.max()) < 2**63:
        raise ValueError(f"{name} must be below 2^63; got {numbers.max():.3g}.")
    return numbers.astype(np.int64)


def memory(n_bytes: float, what: str, remedy: str) -> None:
    """Raise ResourceError for work that needs more memory than is available, before it starts.

    Parameters
    ----------
    n_bytes : float
    what, remedy : str
        Beginning and last sentence of the message.
    """
    if n_bytes > (free := available_memory()):
        raise ResourceError(
            f"{what} needs {human_bytes(n_bytes)} of memory and {human_bytes(free)} are available. "
            f"{remedy}"
        )


def extra(module: str, name: str) -> Any:
    """Import an optional module, or raise MissingExtraError saying which extra brings it.

    Parameters
    ----------
    module, name : str
        Module to import, and the extra of percolaw that brings it.

    Returns
    -------
    module
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is not installed. Install it with: pip install -e '.[{name}]' "
            "(in a clone of percolaw)"
        ) from error
