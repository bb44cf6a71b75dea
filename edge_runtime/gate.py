"""Lets many calls through at once until it is shut, and shuts only when the last of them has left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.errors import ClosedError


def closed() -> ClosedError:
    """What is raised for a call that came too late."""
    return ClosedError("this retriever is closed; open the bundle again")


class Gate:
    """Counts the calls under way, so that nothing is freed under them and later ones are refused."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._open = True

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Around one call.

        Raises:
            ClosedError: the gate has been shut.
        """
        if not self.enter():
            raise closed()
        try:
            yield
        finally:
            self.leave()

    @property
    def is_open(self) -> bool:
        """Whether it has not been shut."""
        return self._open

    def enter(self) -> bool:
        """Lets one call through, which must `leave`; False when the gate has been shut."""
        with self._condition:
            self._count += self._open
            return self._open

    def leave(self) -> None:
        """Ends a call that was let through."""
        with self._condition:
            self._count -= 1
            self._condition.notify_all()

    def shut(self) -> bool:
        """Refuses new calls and waits for those under way; False when it was shut before."""
        with self._condition:
            was_open, self._open = self._open, False
            self._condition.wait_for(lambda: self._count == 0)
            return was_open
