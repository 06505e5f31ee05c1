"""Memory that a call may take: what is free, and how it is said.

The refusal of what takes more is `percolaw.checks.memory`.
"""

from __future__ import annotations

import os

#: Bytes where nothing limits them.
_UNLIMITED = 1 << 62


def available_memory() -> int:
    """Return the bytes of memory that this process could use now.

    The least of what the machine has free or can reclaim, what its container or batch job may still
    take, and what a limit on the process leaves.
    """
    return max(0, min(_machine_memory(), _container_memory(), _process_memory()))


#: Control groups of version 2 and 1: folder, limit, use, and what of the use is file cache that the
#: kernel gives back on demand.
_CONTROL_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def _container_memory() -> int:
    """What control groups (containers, batch jobs) leave; unlimited where there are none."""
    for folder, limit, used, cache in _CONTROL_GROUPS:
        try:
            with open(f"{folder}/{limit}", encoding="ascii") as most:
                total = int(most.read())
            with open(f"{folder}/{used}", encoding="ascii") as now:
                taken = int(now.read())
        except (OSError, ValueError):
            continue
        return total - max(0, taken - _field(f"{folder}/memory.stat", cache))
    return _UNLIMITED


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
