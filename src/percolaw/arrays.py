"""The door for arrays: whatever people have becomes a NumPy array of real numbers, or is refused.

Code elsewhere calls these as `checks.array`, `checks.float_array`; the other checks build on them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

#: Largest integer up to which float64 holds every integer.
EXACT_INTEGER = 2**53
#: What to do about values that are not plain real numbers, by the kind of their dtype.
_REMEDY = {
    "c": "Pass its real part, or real and imaginary part as two columns.",
    "O": "If all are numbers, convert it first: numpy.array(values, dtype=float).",
    "U": "Convert text to numbers first: values.astype(float).",
    "S": "Convert text to numbers first: values.astype(float).",
    "T": "Convert text to numbers first: values.astype(float).",
    "M": "Convert dates to numbers first, for instance days since the first.",
    "m": "Convert durations to numbers first: values / numpy.timedelta64(1, 's').",
    "V": "Pass its fields as columns: numpy.lib.recfunctions.structured_to_unstructured(values).",
}


def array(name: str, values: Any) -> npt.NDArray[Any]:
    """Return what people have as a NumPy array of real numbers, or refuse what would change.

    Every array of a user's enters through here. Lists, frames, arrays of any layout, byte order and
    real dtype come out with the numbers they hold; tensors are detached and brought to the CPU.
    Booleans stay booleans (0 and 1 wherever they are computed with).

    Parameters
    ----------
    name : str
        What the message calls it.
    values : array_like

    Returns
    -------
    array
        Of kind "b", "u", "i" or "f", in native byte order; of the given dtype, but for bfloat16
        tensors, which become float32. Not copied where that is not needed.

    Raises
    ------
    TypeError
        For sparse matrices, complex numbers, text, dates, records, Python objects.
    ValueError
        For masked values, and for rows of unequal length.
    """
    plain = _plain(name, values)
    try:
        numbers = np.asanyarray(plain)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers; {error}.") from error
    except Exception as error:
        raise TypeError(
            f"{name} must be an array of numbers; got {type(values).__name__}: {error}"
        ) from error
    _refuse_masked(name, numbers)  # what becomes an array by its own `__array__`
    numbers = np.asarray(numbers)
    if numbers.dtype.kind not in "buif":
        what = f"dtype {numbers.dtype}"
        if numbers.ndim == 0 and numbers.dtype.kind == "O":
            what = f"{values!r:.60} ({type(values).__name__})"
        raise TypeError(
            f"{name} must be numeric; got {what}. {_REMEDY.get(numbers.dtype.kind, '')}"
        )
    return numbers if numbers.dtype.isnative else numbers.astype(numbers.dtype.newbyteorder("="))


def _plain(name: str, values: Any) -> Any:
    """Return `values` for np.asarray, which would drop masks and fails on some tensors."""
    _refuse_masked(name, values)
    # Another thread may be importing these: what a module does not have yet, no value can be.
    is_sparse = getattr(sys.modules.get("scipy.sparse"), "issparse", None)
    if is_sparse is not None and is_sparse(values):
        raise TypeError(
            f"{name} is sparse ({type(values).__name__}); an ordinary array is needed. Pass "
            "values.toarray()."
        )
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "Tensor") and isinstance(values, torch.Tensor):
        return _from_tensor(name, values, torch)
    if isinstance(values, (list, tuple)) and not {type(v) for v in values} <= {float, int, bool}:
        return [_plain(name, item) for item in values]
    return values


def _refuse_masked(name: str, values: Any) -> None:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{name} has {int(np.ma.getmaskarray(values).sum())} masked value(s) of {values.size}. Leave "
            "them out first: with mask = numpy.ma.getmaskarray(values), values.data[~mask]."
        )


def _from_tensor(name: str, values: Any, torch: Any) -> Any:
    """Return a tensor as a NumPy array of its numbers."""
    if values.layout != torch.strided:
        raise TypeError(
            f"{name} is sparse (torch layout {values.layout}); an ordinary tensor is needed. Pass "
            "values.to_dense()."
        )
    if values.is_meta:
        raise TypeError(f"{name} is a tensor on the meta device, which holds no numbers.")
    plain = values.dequantize() if values.is_quantized else values
    dense = plain.detach().cpu().resolve_conj().resolve_neg()
    narrow = dense.is_floating_point() and dense.dtype not in (torch.float16, torch.float64)
    return (dense.to(torch.float32) if narrow else dense).numpy()


def float_array(name: str, values: Any) -> npt.NDArray[np.float64]:
    """Return `values` as float64, or refuse integers and long floats that it cannot hold.

    Parameters
    ----------
    name : str
        What the message calls it.
    values : array-like

    Returns
    -------
    array of float64

    Raises
    ------
    ValueError
        For values beyond float64, or integers that it cannot tell apart.
    """
    numbers = array(name, values)
    if numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8 and numbers.size:
        low, high = int(numbers.min()), int(numbers.max())
        if low < -EXACT_INTEGER or high > EXACT_INTEGER:
            raise ValueError(
                f"{name} has integers beyond 2^53 (from {low} to {high}), between which float64 "
                "cannot tell. Subtract an offset first: values - values.min()."
            )
    with np.errstate(over="ignore"):
        number = np.asarray(numbers, dtype=np.float64)
    if numbers.dtype.itemsize > 8 and np.any(np.isinf(number) & np.isfinite(numbers)):
        raise ValueError(f"{name} has values beyond 1.8e308, the largest float64. Rescale it.")
    return number


def as_given(name: str, values: Any) -> npt.NDArray[Any]:
    """Return numbers of any kind as they are, or text.

    Parameters
    ----------
    name : str
        What the message calls it.
    values : array_like

    Returns
    -------
    array
        Of the type given; text as NumPy's text of fixed length.

    Raises
    ------
    TypeError
        For what is neither numbers nor text.
    """
    try:
        return array(name, values)
    except TypeError as refused:
        try:
            read = np.asarray(values)
        except Exception:
            raise refused from None
        if read.dtype.kind == "O" and all(isinstance(item, str) for item in read.ravel()):
            read = read.astype(str)
        if read.dtype.kind != "U":
            raise
        return read


def class_labels(name: str, values: Any, n: int) -> npt.NDArray[Any]:
    """Return the class labels of n points, numbers or text, one a point.

    Parameters
    ----------
    name : str
        What the message calls it.
    values : array_like, shape (n,) or (n, 1)
    n : int

    Returns
    -------
    array, shape (n,)

    Raises
    ------
    TypeError
        For what is neither numbers nor text.
    ValueError
        For another shape, masked values and NaN.
    """
    read = as_given(name, values)
    if read.shape not in ((n,), (n, 1)):
        raise ValueError(f"{name} must have shape ({n},), one a point; got {read.shape}.")
    if read.dtype.kind == "f" and not np.all(np.isfinite(read)):
        raise ValueError(
            f"{name} must be known for each point; got NaN. Leave out such points first."
        )
    return read.reshape(n)
