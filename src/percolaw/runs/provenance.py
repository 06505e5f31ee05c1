"""Where a result came from: code, environment, machine."""

from __future__ import annotations

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
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    # A folder above may be somebody's repository that percolaw is no part of.
    own = _git(root, "ls-files", "--error-unmatch", "--", str(_PACKAGE / "__init__.py"))
    commit = None if own is None else _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain")
    return {
        "percolaw": __version__,
        "git_commit": commit,
        "git_dirty": None if commit is None else bool(status),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "python": sys.version.split()[0],
        "packages": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


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
