"""Things that a word names: in configs, in stored rows and at the command line."""

from __future__ import annotations

from abc import ABC, abstractmethod


def key(word: str) -> tuple[int, ...]:
    """Return the items of the random streams that belong to a word."""
    return tuple(word.encode())


class Worded(ABC):
    """What one word names, and nothing else: a source of points, a target.

    The word is written into configs and rows and can be typed at the command line; one parser an
    interface reads it back (`percolaw.datasets.sources.parse_source`,
    `percolaw.targets.families.parse_target`). It also keys the random streams, so a word in use never
    changes. What people read is the label, which may.
    """

    @property
    @abstractmethod
    def word(self) -> str:
        """The word; equal objects have equal words, different ones different words.

        (Of a target the number of outputs is no part of it: the first ones are the same functions.)
        """

    @property
    def label(self) -> str:
        """What figures and claims call it."""
        return self.word

    @property
    def key(self) -> tuple[int, ...]:
        """Items of the random streams that belong to it: ``streams.child(*source.key)``."""
        return key(self.word)

    def __str__(self) -> str:
        return self.label
