"""One thread for matrix products while a unit is measured, whoever measures it."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController

#: What libraries of threads read when they are loaded.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)


def _load_blas() -> None:
    """Load the BLAS that SciPy brings; NumPy's is loaded with percolaw.

    Where wheels keep it, the library alone, which takes a tenth of the time that `scipy.linalg` takes.
    """
    if "scipy.linalg" in sys.modules:
        return
    import scipy

    kept = sorted(Path(scipy.__file__).parent.with_name("scipy.libs").glob("libscipy_openblas*.so"))
    try:
        for library in kept:
            ctypes.CDLL(str(library))
    except OSError:
        kept = []
    if not kept:
        importlib.import_module("scipy.linalg")


class _Limit:
    """The process-wide part of the limit: set by the first who enters, undone by the last who leaves.

    Libraries keep one number for the whole process. Were it set and restored by every thread by
    itself, a thread that enters late would take the limit of another one for the user's number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._numbers: dict[str, tuple[Any, int]] = {}
        self._variables: dict[str, str | None] = {}

    def enter(self, libraries: ThreadpoolController) -> None:
        """Limit every library that is loaded by now, and those that will be."""
        with self._lock:
            if self._users == 0:
                self._variables = {name: os.environ.get(name) for name in THREAD_VARIABLES}
                os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
            self._users += 1
            for library in libraries.select(user_api="blas").lib_controllers:
                self._numbers.setdefault(library.filepath, (library, library.num_threads))
                library.set_num_threads(1)
            torch: Any = sys.modules.get("torch")
            if hasattr(torch, "set_num_threads"):  # its BLAS is linked in, unseen from outside
                self._numbers.setdefault("torch", (torch, torch.get_num_threads()))
                torch.set_num_threads(1)

    def leave(self) -> None:
        """Give the user's numbers back when nobody measures any more."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            for library, number in self._numbers.values():
                library.set_num_threads(number)
            self._numbers.clear()
            for name, value in self._variables.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


_LIMIT = _Limit()


class _Mapped(ctypes.Structure):
    """The beginning of `dl_phdr_info`: what a loader tells of a library, and of its work so far."""

    _fields_ = (
        *(("address", ctypes.c_size_t), ("name", ctypes.c_char_p), ("headers", ctypes.c_void_p)),
        *(("n_headers", ctypes.c_uint16), ("loaded", ctypes.c_ulonglong)),
        ("unloaded", ctypes.c_ulonglong),
    )


_VISITOR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Mapped), ctypes.c_size_t, ctypes.c_void_p)


def _loads() -> tuple[int, ...]:
    """How many libraries were ever loaded and unloaded; empty where no loader counts."""
    try:
        visit = ctypes.CDLL(None).dl_iterate_phdr
    except (AttributeError, OSError, TypeError):  # macOS, Windows
        return ()
    found: list[int] = []

    def first(library: Any, size: int, data: Any) -> int:
        found.extend((library.contents.loaded, library.contents.unloaded))
        return 1  # no further ones

    visit(_VISITOR(first), None)
    return tuple(found)


@functools.lru_cache(maxsize=1)
def _looked_up(loads: tuple[int, ...]) -> ThreadpoolController:
    return ThreadpoolController()


def _libraries() -> ThreadpoolController:
    """Libraries of threads that are loaded; looked up again where others were loaded meanwhile."""
    loads = _loads()
    return _looked_up(loads) if loads else ThreadpoolController()


@contextmanager
def one_thread(*modules: str) -> Iterator[None]:
    """Compute with one thread: the last digits of matrix products depend on the number of threads.

    Parameters
    ----------
    *modules : str
        Modules that will be used and bring libraries of threads; they are imported before the limit,
        which reaches only what is loaded.

    Notes
    -----
    May be entered by several threads at once; the last that leaves restores the earlier numbers. A
    library that is loaded for the first time inside begins with one thread, by the environment, and
    stays so.
    """
    _load_blas()
    for module in modules:
        importlib.import_module(module)
    libraries = _libraries()
    # OpenMP keeps a number for each thread of Python, so each one limits and restores its own.
    with libraries.select(user_api="openmp").limit(limits=1):
        _LIMIT.enter(libraries)
        try:
            yield
        finally:
            _LIMIT.leave()
