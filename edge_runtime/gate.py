"""Lets many calls through at once until it is shut; what they use is freed when the last of them has left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_runtime.errors import ClosedError


def closed() -> ClosedError:
    """What is raised for a call that came too late."""
    return ClosedError("this retriever is closed; open the bundle again")


class Gate:
    """Knows the calls under way, so that nothing is freed under them and later ones are refused."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside: list[int] = []  # the thread of each call
        self._open = True
        self._free: Callable[[], object] | None = None  # what the last of them calls

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
        """Lets one call through, which must `leave` in the same thread; False when the gate has been shut."""
        with self._condition:
            # Before looking, for a signal handler may shut it in between.
            self._inside.append(threading.get_ident())
            if not self._open:
                self.leave()
                return False
            return True

    def leave(self) -> None:
        """Ends a call that was let through."""
        with self._condition:
            self._inside.remove(threading.get_ident())
            if not self._inside:
                self._condition.notify_all()
                self._free_once()

    def shut(self, free: Callable[[], object]) -> None:
        """Refuses new calls, and has `free` called once those under way have left; waits for that.

        But not where one of them is of this very thread, under a signal handler or a callback: it would wait
        for itself. Shutting it again only waits.
        """
        with self._condition:
            if self._open:
                self._open, self._free = False, free
            if threading.get_ident() not in self._inside:
                self._condition.wait_for(lambda: not self._inside)
                self._free_once()

    def _free_once(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free()
