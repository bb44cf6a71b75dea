"""Lets as many calls compute at once as there are processors; the others wait in the order of their coming.

Python's threads share one interpreter lock, and each that comes back from a library waits for it up to 5 ms.
With more threads at work than processors everything takes longer and nothing is gained; what waiting in line
is worth: benchmarks/RESULTS.md, "Deadlines".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge_runtime.forks import renew_in_forks

_LOOK_AGAIN = (
    1.0  # seconds: an exception from a signal handler may keep one that leaves from calling the next
)


class Turnstile:
    """A semaphore that is fair: `threading.Semaphore` lets a thread that comes back pass those that wait.

    Those that compute are the first in the line. So leaving it is one step of the interpreter, which no
    exception from a signal handler divides.
    """

    def __init__(self, permits: int | None = None) -> None:
        """As many `permits` as this process has processors when None."""
        self._permits = permits or len(os.sched_getaffinity(0))
        self._line: dict[threading.Lock, None] = {}  # in the order of their coming
        renew_in_forks(self)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around one call, once its turn has come."""
        ticket = threading.Lock()
        try:
            self._line[ticket] = None
            if len(self._line) > self._permits:
                self._wait(ticket)
            yield
        finally:
            self._line.pop(ticket, None)
            if len(self._line) >= self._permits:
                self._call_up()

    def renew(self) -> None:
        """To be called in a forked process, where those in the line are no more."""
        self._line.clear()

    def _first(self) -> list[threading.Lock]:
        return list(self._line)[: self._permits]

    def _wait(self, ticket: threading.Lock) -> None:
        ticket.acquire()
        while ticket not in self._first():
            ticket.acquire(timeout=_LOOK_AGAIN)  # until `_call_up` of another lets it go

    def _call_up(self) -> None:
        for ticket in self._first():
            with suppress(RuntimeError):  # it has not been waiting
                ticket.release()
