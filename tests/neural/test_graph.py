"""Plain calls before a recording, on a stream of their own, the last one watched; devices are made up."""

import contextlib
import warnings

import pytest

torch = pytest.importorskip("torch")

from percolaw.neural import graph  # noqa: E402
from percolaw.neural.graph import Repeated, aside  # noqa: E402


class Cuda:
    """As much of `torch.cuda` as plain calls use; like it, it warns once of what it does not see."""

    def __init__(self, patch):
        self.mode, self.modes, self.waited, self.said = 0, [], 0, False
        nothing = contextlib.nullcontext
        for name, value in {
            "device": lambda device: nothing(),
            "stream": lambda stream: nothing(),
            "Stream": lambda: self,
            "current_stream": lambda: self,
            "get_sync_debug_mode": lambda: self.mode,
            "set_sync_debug_mode": self.set_mode,
        }.items():
            patch.setattr(torch.cuda, name, value)

    def wait_stream(self, other):
        self.waited += 1

    def set_mode(self, mode):
        if not self.said:
            self.said = True
            warnings.warn("a prototype feature", UserWarning, stacklevel=2)
        self.mode = mode
        self.modes.append(mode)

    def item(self):
        """Asks for a number of the device."""
        if self.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")


@pytest.fixture
def cuda(monkeypatch):
    return Cuda(monkeypatch)


@pytest.mark.filterwarnings("error")
def test_only_the_watched_call_is_watched(cuda):
    aside(cuda.item, "cuda")
    assert (cuda.modes, cuda.waited) == ([], 2)
    with pytest.raises(RuntimeError, match=graph.WAITS):
        aside(cuda.item, "cuda", watched=True)
    assert (cuda.modes, cuda.waited) == (["error", 0], 4)


@pytest.mark.parametrize("error", [RuntimeError("other"), KeyboardInterrupt()], ids=repr)
def test_whatever_ends_the_call_the_mode_of_the_caller_is_restored(cuda, error):
    def failing():
        raise error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cuda.set_mode("warn")
    with pytest.raises(type(error)):
        aside(failing, "cuda", watched=True)
    assert (cuda.modes, cuda.waited) == (["warn", "error", "warn"], 2)


def test_other_threads_settle_before_a_call_is_watched(cuda, monkeypatch):
    seen = []
    monkeypatch.setattr(graph, "recorded", lambda call, times, device: lambda: seen.append(times))
    repeated = Repeated(
        lambda: seen.append("call"), "cuda", True, lambda: seen.append(f"settled {cuda.mode}")
    )
    repeated(12)
    assert seen == ["call", "settled 0", "call", 10]
    assert cuda.modes == ["error", 0]
