"""The one decorator of all kernels: compiled, and kept on disk until any kernel's source changes.

Numba's own cache looks at the file of a function alone. Kernels inline each other, so machine code made
of an older `random.py` would go on under the name of the new code. Here the place of the cache is named
by the sources of the whole package and by the versions that compile them.
"""

import contextlib
import functools
import hashlib
import importlib.resources
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.misc.appdirs import AppDirs

#: Versions of the sources whose machine code is kept in one place.
KEPT = 4


def compiled(function=None, **options):
    """Compile a kernel at its first call with `numba.njit`, by the cache if it is there.

    Used as ``@compiled`` or ``@compiled(nogil=True)``; options are those of `numba.njit`. Where nothing
    can be written the kernel is compiled in every process.
    """
    if function is None:
        return functools.partial(compiled, **options)
    dispatcher = numba.njit(**options)(function)
    if not numba.config.DISABLE_JIT and cache_folder() is not None:
        dispatcher._cache = _Cache(function)
    return dispatcher


@functools.cache
def sources_digest():
    """Return a hash of all sources of the package and of what compiles them; empty without sources."""
    files = importlib.resources.files("percolaw.kernels").iterdir()
    sources = sorted((f.name, f.read_bytes()) for f in files if f.name.endswith(".py"))
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    return hashlib.sha256(repr((sources, versions)).encode()).hexdigest()[:20] if sources else ""


@functools.cache
def cache_folder():
    """Return where this process keeps machine code: the first place that can be written, or None.

    ``NUMBA_CACHE_DIR``, beside the kernels, the user's cache, or a folder of the user's own among
    temporary files. Folders of other sources are removed but for the latest.
    """
    if not sources_digest():
        return None
    for place in _places():
        folder = place / "percolaw-kernels" / sources_digest()
        with contextlib.suppress(OSError):
            fresh = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            os.utime(folder)
            if fresh:
                _drop_old(folder.parent)
            return folder
    return None


def _places() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    yield Path(__file__).parent / "__pycache__"
    yield Path(AppDirs(appname="percolaw", appauthor=False).user_cache_dir)
    with contextlib.suppress(OSError):
        place = (
            Path(tempfile.gettempdir()) / f"percolaw-{os.getuid() if os.name == 'posix' else ''}"
        )
        place.mkdir(mode=0o700, exist_ok=True)
        # What is read from the cache is run: nobody else may have put it there.
        status = place.lstat()
        foreign = os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077)
        if stat.S_ISDIR(status.st_mode) and not foreign:
            yield place


def _drop_old(folder: Path) -> None:
    """Leave the folders of the latest sources."""
    with contextlib.suppress(OSError):
        newest = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in newest[KEPT:]:
            shutil.rmtree(path, ignore_errors=True)


class _Locator(_CacheLocator):
    """Where Numba finds the machine code of a kernel."""

    def __init__(self, file):
        self._py_file = file  # named in Numba's warnings

    @classmethod
    def from_function(cls, function, file):
        return cls(file)

    def get_cache_path(self):
        return str(cache_folder())

    def get_source_stamp(self):
        return sources_digest()

    def get_disambiguator(self):
        return "kernel"  # names of kernels are unique in their file


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)

    def __init__(self, function):
        # The place is ours: Numba's variable that names other locators is for other functions.
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function.__code__.co_filename)
        module = function.__module__.rsplit(".", 1)[-1]
        self._filename_base = self.get_filename_base(
            f"{module}.{function.__qualname__}", getattr(sys, "abiflags", "")
        )


class _Cache(FunctionCache):
    """A cache that may fail: damaged, full, or gone, it costs the compilation only."""

    _impl_class = _CacheImpl

    def load_overload(self, sig, target_context):
        """Return the compiled kernel, or None if it must be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever a damaged file raises when it is read
            return None

    def save_overload(self, sig, data):
        """Keep a compiled kernel for later processes."""
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)
