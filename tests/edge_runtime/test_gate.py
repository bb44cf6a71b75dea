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
    freed: list[str] = []
    gate.shut(lambda: freed.append("first"))
    gate.shut(lambda: freed.append("second"))
    assert freed == ["first"]
    with pytest.raises(ClosedError, match="this retriever is closed; open the bundle again"), gate.passage():
        pass


def test_a_call_that_fails_still_leaves() -> None:
    """Or shutting would wait for ever."""
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.passage():
        raise ZeroDivisionError
    freed: list[str] = []
    gate.shut(lambda: freed.append("all"))
    assert freed == ["all"]


def test_shutting_waits_for_the_last_call() -> None:
    """And refuses new ones meanwhile."""
    gate = Gate()
    shut = threading.Event()

    def close() -> None:
        gate.shut(shut.set)

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


def test_a_call_may_shut_the_gate_that_it_is_in() -> None:
    """As a signal handler does that has interrupted one; waiting would never end, the last to leave frees."""
    gate = Gate()
    freed: list[str] = []
    with gate.passage():
        with gate.passage():
            gate.shut(lambda: freed.append("all"))
        gate.shut(lambda: freed.append("again"))
        with pytest.raises(ClosedError), gate.passage():
            pass
        assert not freed
    assert freed == ["all"]
    gate.shut(lambda: freed.append("again"))
    assert freed == ["all"]


def test_another_thread_may_be_the_last_to_leave() -> None:
    """And frees what the call that shut the gate could not."""
    gate = Gate()
    entered, leave = threading.Event(), threading.Event()
    freed: list[int] = []

    def stay() -> None:
        with gate.passage():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(10)
    with gate.passage():
        gate.shut(lambda: freed.append(threading.get_ident()))
    assert not freed
    leave.set()
    thread.join(10)
    assert freed == [thread.ident]
