"""Lets as many calls compute at once as there are processors; the others wait in the order of their coming.

Python's threads share one interpreter lock, and each that comes back from a library waits for it up to 5 ms.
With more threads at work than processors everything takes longer and nothing is gained; what waiting in line
is worth: benchmarks/RESULTS.md, "Deadlines".
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """A semaphore that is fair: `threading.Semaphore` lets a thread that comes back pass those that wait."""

    def __init__(self, permits: int | None = None) -> None:
        """As many `permits` as this process has processors when None."""
        self._free = permits or len(os.sched_getaffinity(0))
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around one call, once its turn has come."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        try:
            ticket.acquire()  # until `_leave` of another lets it go
        except BaseException:  # Ctrl-C
            self._give_back(ticket)
            raise

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()  # its permit goes to the next, not to whoever comes first
            else:
                self._free += 1

    def _give_back(self, ticket: threading.Lock) -> None:
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return
        self._leave()
