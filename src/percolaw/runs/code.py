"""Which code measured a unit: a hash of the source that measuring may depend on."""

from __future__ import annotations

import hashlib
import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any


def experiment_code(experiment: type[Any]) -> str:
    """Return the hash of the code that measures an experiment: the package, and for a class of a
    user's own the file it stands in (not what that file imports)."""
    if experiment.__module__.split(".")[0] == "percolaw":
        return code_id()
    try:
        own = Path(inspect.getsourcefile(experiment) or "").read_bytes()
    except (OSError, TypeError):
        own = experiment.__qualname__.encode()
    return hashlib.sha256(code_id().encode() + own).hexdigest()[:16]


@lru_cache(maxsize=1)
def code_id() -> str:
    """Return a hash of the package's source, without the parts that measure nothing."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package)
        if name.parts[0] not in ("report", "runs", "cli", "__main__.py"):
            digest.update(str(name).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
