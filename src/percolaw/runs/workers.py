"""Where units are measured on one machine: a pool that outlives its workers.

A worker that dies, hangs beyond its time or exhausts its memory loses its own unit only; another
one takes its place. (The pool is Pebble's, behind the interface of `concurrent.futures.Executor`.)
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from percolaw import checks
from percolaw.runs.threads import THREAD_VARIABLES

#: Memory that a worker should be able to have, in bytes.
LEAST_MEMORY = 1 << 30


def default_workers() -> int:
    """Return the number of workers: cores this process may use, with 1 GiB of free memory each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, checks.available_memory() // LEAST_MEMORY))


class WorkerPool(Executor):
    """Spawned, single-threaded worker processes that end with their parent.

    Parameters
    ----------
    workers : int
    timeout : float, optional
        Seconds after which a unit is given up and its worker killed; `TimeoutError`.
    memory : float, optional
        Bytes that a worker may take beyond its start; a unit that wants more fails with MemoryError.
        Free memory over the number of workers if None.
    """

    def __init__(
        self, workers: int, timeout: float | None = None, memory: float | None = None
    ) -> None:
        self.workers = checks.integer("workers", workers, minimum=1)
        self.timeout = None if timeout is None else checks.real("timeout", timeout, minimum=1e-3)
        share = checks.available_memory() / self.workers if memory is None else memory
        self.memory = int(checks.real("memory", share, minimum=1.0))
        self._closed = False
        self._pool = self._start()

    def _start(self) -> Any:
        """Make the processes; they start with the first unit."""
        from pebble import ProcessPool

        _shorten_waits()
        return ProcessPool(
            self.workers,
            initializer=_start_worker,
            initargs=(os.getpid(), self.memory),
            context=multiprocessing.get_context("spawn"),
        )

    def restart(self) -> None:
        """Give up all processes and what they were doing, and make new ones.

        For a pool that does nothing: a worker killed in the instant in which it takes a unit takes the
        unit with it, and nobody is told.
        """
        threading.Thread(target=_stop, args=(self._pool,), daemon=True).start()
        self._pool = self._start()

    def submit(
        self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Schedule a call; see `concurrent.futures.Executor.submit`."""
        for attempt in range(2):
            try:
                future: Future[Any] = self._pool.schedule(
                    function, args=arguments, kwargs=keywords, timeout=self.timeout
                )
                return future
            except (RuntimeError, BrokenProcessPool):
                # An idle worker that dies breaks the pool; it is then empty, and starts anew.
                if attempt or self._closed:
                    raise
                self._pool = self._start()
        raise AssertionError("not reached")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after their work, or at once with `cancel_futures`."""
        pool: Any = self._pool
        self._closed = True
        if cancel_futures:
            pool.stop()
        else:
            pool.close()
        if wait or cancel_futures:
            pool.join()


def process_pool(
    workers: int, timeout: float | None = None, memory: float | None = None
) -> WorkerPool:
    """Return a pool of workers for `percolaw.run(..., executor=...)`; see `WorkerPool`."""
    return WorkerPool(workers, timeout, memory)


def _stop(pool: Any) -> None:
    pool.stop()
    pool.join()


def _shorten_waits() -> None:
    """A worker killed while it sends keeps the channel; the others wait this long for it, not 60 s."""
    from pebble.common import CONSTS

    CONSTS.channel_lock_timeout = 5.0


def _start_worker(parent: int, memory: int) -> None:
    """Leave Ctrl-C to the parent, exit when it is gone, threads and memory limited."""
    _shorten_waits()
    os.environ.update(dict.fromkeys(("NUMBA_NUM_THREADS", *THREAD_VARIABLES), "1"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        used = 256 << 20  # the interpreter and its libraries
        resource.setrlimit(resource.RLIMIT_DATA, (min(memory + used, 1 << 62), hard))
    except (ImportError, ValueError, OSError):
        pass  # a system without such limits

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
