"""Memory that a call may take: what is free, and how it is said.

The refusal of what takes more is `percolaw.checks.memory`.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

#: Bytes where nothing limits them.
_UNLIMITED = 1 << 62
#: Seconds for which what was read of the system holds: reading takes a millisecond, as a small tree does.
_FRESH = 0.05


def available_memory() -> int:
    """Return the bytes of memory that this process could use now.

    The least of what the machine has free or can reclaim, what its container or batch job may still
    take, and what a limit on the process leaves; read anew twenty times a second at most.
    """
    return _available(int(time.monotonic() / _FRESH))


@functools.lru_cache(maxsize=1)
def _available(tick: int) -> int:
    return max(0, min(_machine_memory(), _container_memory(), _process_memory()))


#: Control groups of version 2 and 1: folder, controller, limit, use, and what of the use is file cache
#: that the kernel gives back on demand.
_CONTROL_GROUPS = (
    ("/sys/fs/cgroup", "", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
#: The groups of this process: a line ID:CONTROLLERS:PATH for each hierarchy.
_PROCESS_GROUPS = Path("/proc/self/cgroup")


def _container_memory() -> int:
    """What control groups (containers, batch jobs) leave; unlimited where there are none."""
    left = _UNLIMITED
    for folder, controller, limit, used, cache in _CONTROL_GROUPS:
        for group in _groups(Path(folder), controller):
            try:
                total, taken = (int((group / name).read_text("ascii")) for name in (limit, used))
            except (OSError, ValueError):
                continue
            left = min(left, total - max(0, taken - _field(f"{group}/memory.stat", cache)))
    return left


@functools.cache
def _groups(root: Path, controller: str) -> list[Path]:
    """Folders of this process's group and of those around it: each may have the limit that counts.

    Within a container the group is often the root itself; that of a batch job stands below.
    """
    try:
        lines = [line.split(":", 2) for line in _PROCESS_GROUPS.read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return [root]
    paths = [line[2] for line in lines if controller in line[1].split(",")]
    inner = root / paths[0].lstrip("/") if paths else root
    return [group for group in (inner, *inner.parents) if group.is_relative_to(root)]


def _process_memory() -> int:
    """What the limits on this process's data and address space leave; unlimited without any."""
    try:
        import resource
    except ImportError:
        return _UNLIMITED
    left = _UNLIMITED
    for kind, used in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            left = min(left, limit - 1024 * _field("/proc/self/status", f"{used}:"))
    return left


def _field(path: str, name: str) -> int:
    """The number after `name` in a file of names and numbers; 0 where there is none."""
    try:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                words = line.split()
                if words and words[0] == name:
                    return int(words[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _machine_memory() -> int:
    """What the machine has free or can reclaim."""
    free = _field("/proc/meminfo", "MemAvailable:")
    if free:
        return 1024 * free
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _UNLIMITED


def human_bytes(n_bytes: float) -> str:
    """Return a byte count as text with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.3g} TiB"
