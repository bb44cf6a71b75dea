"""Calls under way, and the one who waits for them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

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


def test_a_call_interrupted_as_it_enters_is_not_inside() -> None:
    """As by a signal handler that runs just behind it."""

    class Interrupting(list[int]):
        def append(self, thread: int) -> None:
            super().append(thread)
            raise KeyboardInterrupt

    gate = Gate()
    gate._inside = Interrupting()
    with pytest.raises(KeyboardInterrupt), gate.passage():
        pass
    freed: list[str] = []
    gate.shut(lambda: freed.append("all"))
    assert freed == ["all"]


def test_shutting_waits_for_no_thread_that_has_ended() -> None:
    """An interrupt may have kept it from leaving."""
    gate = Gate()
    thread = threading.Thread(target=gate.enter)
    thread.start()
    thread.join(10)
    freed: list[str] = []
    gate.shut(lambda: freed.append("all"))
    assert freed == ["all"]


def test_a_fork_under_another_threads_call_answers_no_more() -> None:
    """Nobody is left there to give back what the call held: nothing is used, nothing is freed."""
    gate, entered, leave = Gate(), threading.Event(), threading.Event()

    def stay() -> None:
        with gate.passage():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(10)
    gate.renew()
    with pytest.raises(ClosedError, match="forked in the middle of a search; open the bundle in it again"):
        gate.enter()
    freed: list[str] = []
    gate.shut(lambda: freed.append("all"))
    assert not freed
    leave.set()
    thread.join(10)


def test_a_fork_under_no_call_but_its_own_goes_on() -> None:
    """Also where another thread was just at the gate's lock."""
    gate, locked, leave = Gate(), threading.Event(), threading.Event()

    def hold() -> None:
        with gate._lock:
            locked.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(10)
    freed: list[str] = []
    with gate.passage():
        gate.renew()
    gate.shut(lambda: freed.append("all"))
    assert freed == ["all"]
    leave.set()
    thread.join(10)


FORKED = """
import os, sys, threading, edge_runtime
retriever, leave = edge_runtime.open(sys.argv[1]), threading.Event()
expected = [hit.key for hit in retriever.search("yeast")]

def asked(retriever):
    return [hit.key for hit in retriever.search("yeast")] == expected

def busy():
    try:
        retriever.search("yeast")
    except edge_runtime.ClosedError:
        retriever.close()
        with edge_runtime.open(sys.argv[1]) as another:
            return asked(another)

def in_child(check):
    child = os.fork()
    if not child:
        os._exit(0 if check() else 3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

in_child(lambda: asked(retriever))
with retriever._turnstile.turn():
    lines = [retriever._turnstile.turn() for _ in range(retriever._turnstile._permits - 1)]
    [line.__enter__() for line in lines]
    waiting = threading.Thread(target=retriever.search, args=["yeast"])
    waiting.start()
    while not retriever._current.parts.gate._inside:
        pass
    in_child(busy)
    [line.__exit__(None, None, None) for line in lines]
waiting.join()
retriever.close()
"""


def test_a_search_in_a_forked_process(bundle: Path) -> None:
    """It is answered where none was under way; else it is refused, not hung, and the bundle opens again."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, bundle], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["0", "0"], "")
