"""Blocks made ahead by a thread: in order, one at a time, and only those that are taken may fail."""

import threading

import pytest

from percolaw.neural.prefetch import Ahead


def test_the_next_block_is_made_while_the_last_one_is_used():
    begun = {block: threading.Event() for block in ((0, 2), (2, 2))}

    def make(first, count):
        begun[first, count].set()
        return first, count, threading.current_thread().name

    ahead = Ahead(make)
    first = ahead.take((0, 2), (2, 2))
    assert begun[2, 2].wait(10.0), "nobody has asked for it yet"
    assert first[:2] == (0, 2)
    assert first[2] != threading.current_thread().name
    assert ahead.take((2, 2), (4, 0))[:2] == (2, 2)
    ahead.close()


def test_another_block_than_the_expected_one():
    """The expected one is waited for, since both may use the same state, and let go with its error."""
    working, made = threading.Lock(), []

    def make(first, count):
        assert working.acquire(blocking=False), "two at a time"
        made.append(first)
        working.release()
        if first == 2:
            raise ValueError("a block that nobody takes")
        return first

    ahead = Ahead(make)
    assert ahead.take((0, 2), (2, 2)) == 0
    assert ahead.take((7, 1), (2, 2)) == 7
    with pytest.raises(ValueError, match="that nobody takes"):
        ahead.take((2, 2), (4, 2))
    assert ahead.take((4, 2), (2, 2)) == 4, "an error is not the end"
    ahead.close()
    assert made[:3] in ([0, 2, 7], [0, 7, 2]), "in the order of asking; one not begun is cancelled"


def test_what_is_settled_is_taken_later():
    made, go = [], threading.Event()

    def make(first, count):
        if first:
            assert go.wait(10.0)
        made.append(first)
        return first

    ahead = Ahead(make)
    ahead.settle()  # nothing is being made
    assert ahead.take((0, 1), (1, 1)) == 0
    threading.Timer(0.05, go.set).start()
    ahead.settle()
    assert made == [0, 1]
    assert ahead.take((1, 1), (2, 0)) == 1
    ahead.close()


def test_the_thread_ends_with_what_it_works_for():
    ahead = Ahead(lambda first, count: first)
    assert ahead.take((0, 1), (1, 1)) == 0
    thread = ahead._thread
    ahead.close()
    assert not thread.is_alive()
    ahead = Ahead(lambda first, count: first)
    assert ahead.take((0, 1), (0, 0)) == 0
    thread = ahead._thread
    del ahead
    thread.join(10.0)
    assert not thread.is_alive()
