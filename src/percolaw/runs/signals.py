"""Being asked to end: SIGTERM and SIGHUP are treated like Ctrl-C, and tidying up is not interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds after an interruption in which further ones are taken as the same.
PAUSE = 0.5


#: What else than Ctrl-C ends a command: SIGTERM of batch systems, service managers and containers, and
#: SIGHUP of a terminal or connection that is closed.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """A signal of `ENDING` was received; its number is the argument."""


@contextmanager
def terminable(last: bool = False) -> Iterator[None]:
    """Raise `Terminated` at a signal of `ENDING`, so that what is finished is kept as with Ctrl-C.

    Signals that follow an interruption within half a second are dropped: they would break into its
    handling, or into destructors, where Python only prints a traceback. Only in the main thread, and
    only signals whose handlers are Python's own.

    Parameters
    ----------
    last : bool
        Nothing but the end of the process follows the block: all these signals are ignored from then on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    default: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        **dict.fromkeys(ENDING, signal.SIG_DFL),
    }
    usual = {number: do for number, do in default.items() if signal.getsignal(number) is do}
    interrupted = float("-inf")

    def interrupt(number: int, frame: Any) -> None:
        nonlocal interrupted
        if time.monotonic() - interrupted >= PAUSE:
            interrupted = time.monotonic()
            raise Terminated(number) if number in ENDING else KeyboardInterrupt

    for number in usual:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, signal.SIG_IGN if last else handler)


@contextmanager
def starting_children() -> Iterator[None]:
    """Keep Ctrl-C, which the terminal sends to all processes, from those started inside the block.

    They inherit the blocked signal, and so end without a traceback of their first imports; this process
    receives it at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def undivided() -> Iterator[None]:
    """Let interruptions and signals of `ENDING` take effect at the end of the block.

    For what takes locks that other threads need, such as those of futures: an exception that a signal
    raises between taking a lock and noting it leaves it taken, and the threads of a pool wait for it
    for ever. Does nothing outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    inside = [True]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}

    def receive(number: int, frame: Any) -> None:
        if inside:
            received.append(number)
        else:  # an exception kept the block's end from putting the handlers back
            before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, receive)
    try:
        yield
    finally:
        inside.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            before[signal.Signals(received[0])](received[0], None)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Ignore SIGINT and signals of `ENDING` in the block; does nothing outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, *ENDING)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
