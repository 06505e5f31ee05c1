"""Work for the next steps done by a thread while the device is busy with these."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")
#: First step of a block, and how many steps it has.
Block = tuple[int, int]


class Ahead(Generic[Made]):
    """Blocks of steps in the order in which they are taken, each made while the one before is used.

    Never two at a time, so that `make` may keep state. An error in it is raised where its block is
    taken; one of a block that nobody takes is not raised. An interruption while a block is waited for
    leaves no lock taken: queues of this kind are safe in signal handlers, futures are not.

    Parameters
    ----------
    make : callable
        Called with a first step and a number of steps, in a thread.
    """

    def __init__(self, make: Callable[[int, int], Made]) -> None:
        self.make = make
        self._asked: SimpleQueue[Any] = SimpleQueue()
        self._made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        queues = (self._asked, self._made)
        self._thread = threading.Thread(
            target=_work, args=queues, name="percolaw-minibatches", daemon=True
        )
        self._thread.start()
        self._end = weakref.finalize(self, self._asked.put, None)
        self._next: Block | None = None

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

        Raises
        ------
        Exception
            What `make` raised for the block.
        """
        if self._next != block:
            self._forget()
            self._ask(block)
        made, error = self._made.get()
        self._next = None
        if error is not None:
            raise error
        if following[1] > 0:
            self._ask(following)
        return made  # type: ignore[no-any-return]

    def settle(self) -> None:
        """Wait until nothing is being made; what was made stays to be taken."""
        if self._next is not None:
            self._made.put(self._made.get())

    def close(self) -> None:
        """Wait for the thread and end it."""
        self._end()
        self._thread.join()

    def _ask(self, block: Block) -> None:
        self._next = block
        self._asked.put((self.make, block))

    def _forget(self) -> None:
        """Let go of a block that is not going to be taken, once nothing works on it any more."""
        if self._next is not None:
            self._made.get()
            self._next = None


def _work(asked: SimpleQueue[Any], made: SimpleQueue[tuple[Any, BaseException | None]]) -> None:
    """Make what is asked for, one block after the other, until None is asked for."""
    while (task := asked.get()) is not None:
        make, block = task
        try:
            made.put((make(*block), None))
        except BaseException as error:
            made.put((None, error))
        del task, make  # what they belong to may go
