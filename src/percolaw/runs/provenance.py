"""Where a result came from: code, environment, machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from percolaw.version import __version__

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGES = ("numpy", "scipy", "numba", "torch", "matplotlib", "igraph", "powerlaw")


def provenance() -> dict[str, Any]:
    """Return git commit and dirty flag, lock hash, versions and hardware, as plain JSON values."""
    root = _PACKAGE.parents[1]
    lock = root / "requirements.lock"
    # A folder above may be somebody's repository that percolaw is no part of.
    tracked = _git(root, "ls-files", "--error-unmatch", "--", str(_PACKAGE / "__init__.py"))
    text = None if tracked is None else _git(root, "status", "--porcelain=v2", "--branch")
    commit, dirty = (None, None) if text is None else _status(text)
    return {
        "percolaw": __version__,
        "git_commit": commit,
        "git_dirty": dirty,
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "python": sys.version.split()[0],
        "packages": dict(_versions()),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Installed packages that results depend on."""
    versions = []
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append((name, metadata.version(name)))
    return tuple(versions)


def _status(text: str) -> tuple[str | None, bool | None]:
    """Commit, and whether anything differs from it; None before the first commit."""
    lines = text.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit in (None, "(initial)"):
        return None, None
    return commit, any(not line.startswith("#") for line in lines)


def _git(root: Path, *arguments: str) -> str | None:
    """What git says of the folder, whatever repository the environment names; None if it fails."""
    if not (root / ".git").exists():
        return None
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
