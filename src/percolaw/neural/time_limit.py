"""Whether a budget of steps can be made within a time, said before the time is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

#: The interval that is timed; in the first one programs are compiled, recorded and warmed up.
TIMED_INTERVAL = 2


@dataclass
class TimeLimit:
    """A limit on the time of a training.

    Attributes
    ----------
    seconds : float or None
        None for no limit.
    steps : int
        Budget.
    device : str
    """

    seconds: float | None
    steps: int
    device: str
    _begun: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _intervals: int = 0

    def interval_done(self, count: int, step: int) -> None:
        """Take note of an interval of steps and its evaluation.

        Parameters
        ----------
        count : int
            Its steps.
        step : int
            Steps made in all.

        Raises
        ------
        TimeoutError
            After `TIMED_INTERVAL` intervals, if the rest of the budget takes longer than what is left;
            after the first one if nothing is left. What is finished is kept, however long it took.
        """
        now = time.monotonic()
        took, self._last = now - self._last, now
        self._intervals += 1
        if self.seconds is None or step >= self.steps or self._intervals > TIMED_INTERVAL:
            return
        a_step = took / count
        left = self.seconds - (now - self._begun)
        if left > 0.0 and self._intervals < TIMED_INTERVAL:
            return
        needed = a_step * (self.steps - step)
        if needed > left:
            affordable = step + max(0, int(left / a_step))
            raise TimeoutError(
                f"{self.steps} steps at {1e3 * a_step:.2g} ms on {self.device} take up to "
                f"{needed + now - self._begun:.3g} s, more than the {self.seconds:.3g} s asked for. "
                f"Lower Training.steps (to {affordable} or less), train fewer or smaller students at a "
                "time, or allow more seconds."
            )
