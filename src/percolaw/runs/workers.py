"""Where units are measured on one machine: a pool that outlives its workers.

A worker that dies, hangs beyond its time or exhausts its memory loses its own unit only; another
one takes its place. (The pool is Pebble's, behind the interface of `concurrent.futures.Executor`.)
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.errors import RunError
from percolaw.runs.signals import deaf_to_interrupts, starting_children
from percolaw.runs.threads import THREAD_VARIABLES, one_thread

#: What a script needs that starts processes.
GUARD = (
    "Processes that a script starts import the script: what it runs must stand under "
    '`if __name__ == "__main__":`.'
)
#: Exit code of a process that would have run its script again instead of working.
_UNGUARDED = 78
#: Memory that a worker should be able to have, in bytes.
LEAST_MEMORY = 1 << 30


def default_workers() -> int:
    """Return the number of workers: cores it may use, with 1 GiB of free memory each, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, checks.available_memory() // LEAST_MEMORY))


def refuse_in_starting_process() -> None:
    """End a worker process that, while it starts, runs its parent's script from the beginning.

    It would wait forever for the lock that its parent holds on the run.

    Raises
    ------
    SystemExit
        In such a process.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        if sys.stderr is not None:
            print(f"percolaw: {GUARD}", file=sys.stderr, flush=True)
        raise SystemExit(_UNGUARDED)


def check_reachable(executor: Executor, cls: type[Any]) -> None:
    """Refuse an experiment that the processes of an executor cannot import.

    Parameters
    ----------
    executor : Executor
        Where it will be measured.
    cls : type
        The experiment's class.

    Raises
    ------
    RunError
        If its class is of a script without a file: standard input, a notebook, an interactive session.
    """
    new = isinstance(executor, WorkerPool) or type(executor).__module__.startswith("distributed")
    if isinstance(executor, ProcessPoolExecutor):
        context = getattr(executor, "_mp_context", None) or multiprocessing.get_context()
        new = context.get_start_method() != "fork"
    if not new:
        return
    check_main_file()
    if cls.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        raise RunError(
            f"{cls.__name__} is defined in a notebook or an interactive session, where other processes "
            "cannot import it. Put it into a module, or measure in this process (no executor)."
        )


def check_main_file() -> None:
    """Refuse a script that new processes cannot find.

    Raises
    ------
    RunError
        If the main module names a file that does not exist, as that of standard input does. Sessions
        that name none pass.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not Path(file).is_file():
        raise RunError(
            f"worker processes import the script that starts them, and there is no file {file}. Put "
            "the script into a file, or measure in this process (no executor, --workers 1)."
        )


def check_semaphores() -> None:
    """Refuse to start processes where the system gives no semaphores.

    Raises
    ------
    RunError
        If no semaphore can be made, with the reason of the system.
    """
    try:
        multiprocessing.get_context("spawn").RLock()
    except (OSError, ImportError) as error:
        raise RunError(
            f"this system gives no semaphores ({error}), which worker processes need: on Linux they "
            "lie in /dev/shm, which must exist and be writable. Measure in one process, --workers 1."
        ) from error


class _Context(SpawnContext):
    """New interpreters, whose processes are remembered: Pebble does not tell how they ended."""

    def __init__(self) -> None:
        super().__init__()
        self._started: list[SpawnProcess] = []
        self._unguarded = False

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]
        """Make a process; see `multiprocessing.Process`."""
        self.check()
        self._started.append(SpawnProcess(*arguments, **keywords))
        return self._started[-1]

    def alive(self) -> list[SpawnProcess]:
        """Return the processes that have been started and have not ended."""
        return [process for process in self._started if process.is_alive()]

    def check(self) -> None:
        """Raise RunError if a process ended because its script has no guard."""
        codes = [process.exitcode for process in self._started]
        self._unguarded |= _UNGUARDED in codes
        self._started = [p for p, code in zip(self._started, codes, strict=True) if code is None]
        if self._unguarded:
            raise RunError(f"{GUARD} The worker processes have begun the whole script again.")


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

    Raises
    ------
    RunError
        If processes cannot be started here: no file of the main script, no semaphores.

    Notes
    -----
    The processes import the script that makes the pool, which must do so under
    ``if __name__ == "__main__":``.
    """

    def __init__(
        self, workers: int, timeout: float | None = None, memory: float | None = None
    ) -> None:
        self.workers = checks.integer("workers", workers, minimum=1)
        self.timeout = None if timeout is None else checks.real("timeout", timeout, minimum=1e-3)
        share = checks.available_memory() / self.workers if memory is None else memory
        self.memory = int(checks.real("memory", share, minimum=1.0))
        refuse_in_starting_process()
        check_main_file()
        self._closed = False
        self._context = _Context()
        check_semaphores()
        self._pool = self._start()

    def _start(self) -> Any:
        """Make the processes; they start with the first unit."""
        from pebble import ProcessPool

        _shorten_waits()
        return ProcessPool(
            self.workers,
            initializer=_start_worker,
            initargs=(os.getpid(), self.memory),
            context=self._context,
        )

    def restart(self) -> None:
        """Give up all processes and what they were doing, and make new ones.

        For a pool that does nothing or is broken: a worker killed in the instant in which it takes a
        unit takes the unit with it, and the pool does not notice.

        Raises
        ------
        RunError
            If a process ended because its script has no guard, as new ones would.
        """
        self._context.check()
        old = self._context.alive()  # not those of the new pool
        threading.Thread(target=_stop, args=(self._pool, lambda: old), daemon=True).start()
        self._pool = self._start()

    def submit(
        self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any
    ) -> Future[Any]:
        """Schedule a call; see `concurrent.futures.Executor.submit`.

        Raises
        ------
        RuntimeError
            If the pool was shut down, or breaks again after a new start.
        """
        for attempt in range(2):
            try:
                with starting_children():  # the first call starts them
                    future: Future[Any] = self._pool.schedule(
                        function, args=arguments, kwargs=keywords, timeout=self.timeout
                    )
                return future
            except (RuntimeError, BrokenProcessPool):
                # An idle worker that dies breaks the pool; it is then empty, and starts anew.
                if attempt or self._closed:
                    raise
                self.restart()
        raise AssertionError("not reached")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after their work, or at once with `cancel_futures`.

        Parameters
        ----------
        wait : bool
            Return when the workers have ended.
        cancel_futures : bool
            Stop what runs and give up what is queued; this always waits.
        """
        self._closed = True
        if cancel_futures:
            _stop(self._pool, self._context.alive)
            return
        self._pool.close()
        if wait:
            self._pool.join()

    def __exit__(self, *raised: Any) -> None:
        """End the workers: after their work, or at once if the block was left by an exception."""
        if raised[0] is None:
            self.shutdown()
        else:
            with deaf_to_interrupts():
                self.shutdown(cancel_futures=True)


def _stop(pool: Any, alive: Callable[[], list[SpawnProcess]]) -> None:
    """Stop a pool at once, its processes first.

    Pebble itself takes the semaphores away before the processes, so that one which is just starting finds
    none and prints a traceback. Its thread that makes processes is waited for: no new ones follow.
    """
    pool.stop()
    manager = pool._pool_manager_loop
    if manager is not None:
        manager.join()
    for process in alive():
        process.kill()
        process.join()
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
    with one_thread():  # its imports take no time of the first unit, which may be limited
        pass
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
