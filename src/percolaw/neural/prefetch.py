"""Work for the next steps done by a thread while the device is busy with these."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")
#: First step of a block, and how many steps it has.
Block = tuple[int, int]


class Ahead(Generic[Made]):
    """Blocks of steps in the order in which they are taken, each made while the one before is used.

    Never two at a time, so that `make` may keep state. An error in it is raised where its block is
    taken; one of a block that nobody takes is not raised.

    Parameters
    ----------
    make : callable
        Called with a first step and a number of steps, in a thread.
    """

    def __init__(self, make: Callable[[int, int], Made]) -> None:
        self.make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="percolaw-minibatches")
        self._next: tuple[Block, Future[Made]] | None = None

    def take(self, block: Block, following: Block) -> Made:
        """Return what is made of a block, and begin with the one that is likely to follow.

        Parameters
        ----------
        block, following : tuple of int
            First step and number of steps; of the second one 0 steps for none.

        Returns
        -------
        object
            What `make` returns.
        """
        expected = self._next
        if expected is None or expected[0] != block:
            self._forget()
            expected = (block, self._thread.submit(self.make, *block))
        self._next = None
        made = expected[1].result()
        if following[1] > 0:
            self._next = (following, self._thread.submit(self.make, *following))
        return made

    def close(self) -> None:
        """Wait for the thread and end it."""
        self._forget()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _forget(self) -> None:
        """Let go of a block that is not going to be taken, once nothing works on it any more."""
        if self._next is not None and not self._next[1].cancel():
            self._next[1].exception()
        self._next = None
