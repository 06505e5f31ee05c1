"""One call made many times: plainly, or recorded as a CUDA graph that an accelerator replays by itself.

A step of a small network is fifty kernels of a few microseconds each, and Python needs longer to start
them than the device to run them. A graph starts hundreds with one call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from percolaw.neural.device import out_of_memory

#: Calls recorded in one graph.
CALLS = 10
#: Plain calls before the first recording: libraries and memory of the call are set up in them.
WARM_UP = 2
#: What PyTorch says of an operation that waits for the device where that is an error.
WAITS = "synchronizing CUDA operation"


class Repeated:
    """A call without arguments and results, made as often as is asked for.

    Parameters
    ----------
    call : callable
        Works on fixed tensors. It is recorded only if it never waits for a number of the device.
    device : str
    record : bool
        Whether CUDA graphs are to be recorded; after a failure it is False.
    settle : callable
        Waits until no other thread works for the call.
    """

    def __init__(
        self,
        call: Callable[[], None],
        device: str,
        record: bool,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.call, self.device, self.record, self.settle = call, device, record, settle
        self._plain = WARM_UP
        self._replays: dict[int, Callable[[], None]] = {}

    def __call__(self, times: int) -> None:
        """Make the call `times` times, one after the other."""
        while times and self.record and self._plain:
            self._warm_up()
            times -= 1
        while times and self.record:
            size = CALLS if times >= CALLS else 1
            if self._record(size):
                self._replays[size]()
                times -= size
        for _ in range(times):
            self.call()

    def _warm_up(self) -> None:
        """Make a plain call; in the last one watch that it never waits for the device.

        A call that waits ends a recording in the middle, and the allocator of PyTorch takes that
        recording for unfinished ever after. So it is found out before one begins; the call has then
        changed nothing yet, and is made again.
        """
        self._plain -= 1
        if not self._plain:
            self.settle()
        try:
            aside(self.call, self.device, watched=self._plain == 0)
        except RuntimeError as error:
            if WAITS not in str(error):
                raise
            self._give_up(error)
            self.call()

    def _record(self, size: int) -> bool:
        """Record a graph of so many calls unless there is one; return False where that fails."""
        if size not in self._replays:
            try:
                self._replays[size] = recorded(self.call, size, self.device)
            except RuntimeError as error:
                if out_of_memory(error):
                    raise
                self._give_up(error)
        return self.record

    def _give_up(self, error: RuntimeError) -> None:
        self.record = False
        warnings.warn(
            f"the steps of this network cannot be recorded as a CUDA graph ({error}); they are "
            "made one by one, which is slower and gives the same students. Networks and losses "
            "that never ask for the value of a tensor (item(), float(), if) can be recorded.",
            RuntimeWarning,
            stacklevel=2,
        )


def aside(call: Callable[[], None], device: str, watched: bool = False) -> None:
    """Make a plain call on a stream of its own, as recording needs before it begins.

    Parameters
    ----------
    call : callable
    device : str
    watched : bool
        Whether waiting for the device is an error.

    Raises
    ------
    RuntimeError
        With `WAITS` in it, if the call waits for the device and is watched.
    """
    import torch

    with torch.cuda.device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream), _waiting_is_an_error() if watched else nullcontext():
                call()
        finally:
            torch.cuda.current_stream().wait_stream(stream)


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    """For all threads of this process: PyTorch knows no other way."""
    import torch

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said the first time: it does not see all that waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def recorded(call: Callable[[], None], times: int, device: str) -> Callable[[], None]:
    """Record calls, without making them, and return what makes them all.

    Parameters
    ----------
    call : callable
    times : int
    device : str

    Returns
    -------
    callable
    """
    import torch

    with torch.cuda.device(device):
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        # The default one is of the device on which anything was recorded first.
        own = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        try:
            # Of this thread alone: another one may be pinning memory for the next minibatches.
            with torch.cuda.graph(graph, stream=own, capture_error_mode="thread_local"):
                for _ in range(times):
                    call()
        except RuntimeError:
            torch.cuda.set_stream(stream)  # a recording that fails stays on its own stream
            raise

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return replay
