"""Calls under way, and the one who waits for them."""

from __future__ import annotations

import threading

import pytest

from edge_runtime.errors import ClosedError
from edge_runtime.gate import Gate


def test_lets_calls_through_until_it_is_shut() -> None:
    """Nested ones too; afterwards none, and only the first shutting counts."""
    gate = Gate()
    with gate.passage(), gate.passage():
        pass
    assert gate.shut() is True
    assert gate.shut() is False
    with pytest.raises(ClosedError, match="this retriever is closed; open the bundle again"), gate.passage():
        pass


def test_a_call_that_fails_still_leaves() -> None:
    """Or shutting would wait for ever."""
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.passage():
        raise ZeroDivisionError
    assert gate.shut() is True


def test_shutting_waits_for_the_last_call() -> None:
    """And refuses new ones meanwhile."""
    gate = Gate()
    shut = threading.Event()

    def close() -> None:
        gate.shut()
        shut.set()

    with gate.passage():
        thread = threading.Thread(target=close)
        thread.start()
        while True:  # until the other thread has begun to shut it
            try:
                with gate.passage():
                    pass
            except ClosedError:
                break
        assert not shut.is_set()
    thread.join(10)
    assert shut.is_set()
