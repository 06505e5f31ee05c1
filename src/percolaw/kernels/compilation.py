"""The decorator of all kernels: Numba's compiler, with a cache that follows the sources of the package.

Numba's own cache asks whether the file of a function changed. Kernels inline functions of other files, so
an edited constant in `random.py` would leave old machine code in use. Here the cache is keyed by the
sources of all kernels together.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching

#: Seconds after which machine code of other sources is removed, when code of the present ones is written.
KEPT = 86_400.0


def sources_digest() -> str:
    """Return a hash of the sources of all kernels."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_DIGEST = sources_digest()


class _OfThePackage:
    """The stamp and the file names of a cache, as functions of the sources of all kernels."""

    def get_source_stamp(self) -> str:
        """Return what the index of a cache must hold to be used."""
        return _DIGEST

    def get_disambiguator(self) -> str:
        """Return the part of a file name that tells sources apart."""
        return _DIGEST


class _Provided(_OfThePackage, caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """NUMBA_CACHE_DIR."""


class _InTree(_OfThePackage, caching.InTreeCacheLocator):  # type: ignore[misc]
    """Beside the sources."""


class _UserWide(_OfThePackage, caching.UserWideCacheLocator):  # type: ignore[misc]
    """The user's own cache folder, where the sources cannot be written beside."""


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Provided, _InTree, _UserWide]  # noqa: RUF012 (as Numba has it)


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stem = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}-"
        folder = Path(self.cache_path)
        if any(folder.glob(f"{stem}{_DIGEST}*.nbi")):
            return
        for old in folder.glob(f"{stem}*.nb[ic]"):
            with suppress(OSError):
                if _DIGEST not in old.name and time.time() - old.stat().st_mtime > KEPT:
                    old.unlink()


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function when it is first called, and keep its machine code on disk if that is possible.

    Parameters
    ----------
    function : callable
        A module-level function of typed arrays and numbers.
    options
        As `numba.njit` takes them, but for ``cache``.

    Notes
    -----
    The cache lies in NUMBA_CACHE_DIR, beside the sources, or in the user's cache folder, whichever can be
    written first. Where none can, everything works and compiles anew in every process; a warning says so.
    """
    if function is None:
        return lambda found: kernel(found, **options)
    compiled = njit(**options)(function)
    if hasattr(compiled, "_cache"):  # not with NUMBA_DISABLE_JIT
        try:
            compiled._cache = _Cache(function)
        except (RuntimeError, OSError):
            _warn_once()
    return compiled


def _warn_once() -> None:
    if not os.environ.get("PERCOLAW_WARNED_OF_CACHE"):
        os.environ["PERCOLAW_WARNED_OF_CACHE"] = "1"  # for worker processes too
        warnings.warn(
            "no folder for the machine code of percolaw's kernels can be written: they are compiled anew "
            "in every process, about a minute in all. Set NUMBA_CACHE_DIR to a folder of yours.",
            RuntimeWarning,
            stacklevel=4,
        )
