"""The exceptions percolaw raises beside the built-in ones."""

from __future__ import annotations


class PercolawError(Exception):
    """Base of the package's own errors."""


class ResourceError(PercolawError, MemoryError):
    """A request that would not fit into memory or onto disk, refused before it starts."""


class RunError(PercolawError, RuntimeError):
    """A run folder that cannot be used as asked: other config, unwritable, damaged."""


class DatasetError(PercolawError, ValueError):
    """A dataset file that is missing, incomplete, damaged or of another kind."""


class MissingExtraError(PercolawError, ImportError):
    """An optional dependency is needed and not installed."""


class ConvergenceError(PercolawError, ArithmeticError):
    """An iterative solver stopped before it was accurate."""
