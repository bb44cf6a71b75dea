"""How many compute at once, and who is next."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_runtime import turnstile as module
from edge_runtime.turnstile import Turnstile

PATIENCE = 30.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails rather than hangs."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    raise AssertionError("waited in vain")


def test_no_more_than_the_permits_at_once() -> None:
    """And as many as that."""
    turnstile, both_in, lock = Turnstile(2), threading.Barrier(2, timeout=PATIENCE), threading.Lock()
    inside, most = 0, 0

    def call(_: int) -> None:
        nonlocal inside, most
        with turnstile.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            both_in.wait()  # an even number of calls: each meets another inside
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(40)))
    assert most == 2


def test_first_come_first_served() -> None:
    """Whoever leaves and comes back is behind those that wait."""
    turnstile, order = Turnstile(1), list[int]()

    def call(number: int) -> None:
        with turnstile.turn():
            order.append(number)

    with turnstile.turn():
        threads = [threading.Thread(target=call, args=(number,)) for number in range(5)]
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda number=number: len(turnstile._line) == number + 2)  # type: ignore[misc]
    with turnstile.turn():
        order.append(99)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == [0, 1, 2, 3, 4, 99]


def test_an_error_gives_the_turn_back() -> None:
    """The caller's failure is not the next one's."""
    turnstile = Turnstile(1)
    with pytest.raises(ValueError, match="mine"), turnstile.turn():
        raise ValueError("mine")
    with turnstile.turn():
        pass


@pytest.mark.parametrize("served", [False, True])
def test_who_is_interrupted_while_waiting_leaves_the_line(
    monkeypatch: pytest.MonkeyPatch, served: bool
) -> None:
    """Also when its turn came at that very moment: the permit is not lost."""
    turnstile, before = Turnstile(1), threading.Lock()
    turnstile._line[before] = None

    def interrupted(_: threading.Lock) -> None:
        if served:
            del turnstile._line[before]
        raise KeyboardInterrupt

    monkeypatch.setattr(turnstile, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt), turnstile.turn():
        pass
    assert list(turnstile._line) == ([] if served else [before])


def test_who_is_interrupted_while_joining_leaves_the_line() -> None:
    """As by a signal handler that runs just behind it."""

    class Interrupting(dict[threading.Lock, None]):
        def __setitem__(self, ticket: threading.Lock, nothing: None) -> None:
            super().__setitem__(ticket, nothing)
            raise KeyboardInterrupt

    turnstile = Turnstile(1)
    turnstile._line = Interrupting()
    with pytest.raises(KeyboardInterrupt), turnstile.turn():
        pass
    assert not turnstile._line


def test_who_was_not_called_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before was interrupted as it would have called."""
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.001)
    turnstile, before = Turnstile(1), threading.Lock()
    turnstile._line[before] = None
    served = threading.Event()

    def call() -> None:
        with turnstile.turn():
            served.set()

    thread = threading.Thread(target=call)
    thread.start()
    wait_until(lambda: len(turnstile._line) == 2)
    assert not served.is_set()
    del turnstile._line[before]
    assert served.wait(PATIENCE)
    thread.join(PATIENCE)


def test_a_fork_begins_a_line_of_its_own() -> None:
    """Those in it were threads of the parent; whoever forked in the middle of a call still leaves."""
    turnstile = Turnstile(1)
    turnstile._line[threading.Lock()] = None
    turnstile.renew()
    with turnstile.turn():
        turnstile.renew()
    with turnstile.turn():
        pass


def test_as_many_as_there_are_processors() -> None:
    """Of those that this process may use."""
    assert Turnstile()._permits == len(os.sched_getaffinity(0))
