"""Lets many calls through at once until it is shut; what they use is freed when the last of them has left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edge_runtime.errors import ClosedError
from edge_runtime.forks import renew_in_forks

_LOOK_AGAIN = (
    0.1  # seconds: an exception from a signal handler may keep the last one from saying that it left
)


def closed() -> ClosedError:
    """What is raised for a call that came too late."""
    return ClosedError("this retriever is closed; open the bundle again")


class Gate:
    """Knows the calls under way, so that nothing is freed under them and later ones are refused.

    A process that was forked under calls of other threads has what they held, and nobody to give it back:
    there the gate lets none through, and frees nothing.
    """

    def __init__(self) -> None:
        # Not the condition: its `with` is written in Python, where a signal handler's exception may leave it
        # locked. Reentrant, for a signal handler may shut the gate in the middle of anything.
        self._lock = threading.RLock()
        self._left = threading.Condition(self._lock)
        self._inside: list[int] = []  # the thread of each call
        self._open = True
        self._abandoned = False  # by those inside, in a fork
        self._free: Callable[[], object] | None = None  # what the last of them calls
        renew_in_forks(self)

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
        """Lets one call through, which must `leave` in the same thread; False when the gate has been shut.

        Raises:
            ClosedError: this process was forked under calls of other threads.
        """
        if self._abandoned:
            raise ClosedError(
                "this process was forked in the middle of a search; open the bundle in it again"
            )
        thread = threading.get_ident()
        try:
            # Before looking, for another thread or a signal handler may shut it in between.
            self._inside.append(thread)
        except BaseException:  # a signal handler's, raised behind it
            self.leave()
            raise
        if self._open:
            return True
        self.leave()
        return False

    def leave(self) -> None:
        """Ends a call that was let through."""
        self._inside.remove(threading.get_ident())
        if not self._open:
            with self._lock:
                if not self._inside:
                    self._left.notify_all()
                    self._free_once()

    def shut(self, free: Callable[[], object]) -> None:
        """Refuses new calls, and has `free` called once those under way have left; waits for that.

        But not where one of them is of this very thread, under a signal handler or a callback: it would wait
        for itself. Shutting it again only waits.
        """
        with self._lock:
            if self._open:
                self._open, self._free = False, free
            if self._abandoned or threading.get_ident() in self._inside:
                return
            while self._inside:
                self._left.wait(_LOOK_AGAIN)
                self._drop_the_dead()
            self._free_once()

    def renew(self) -> None:
        """To be called in a forked process, where of all threads only this one is left."""
        self._lock = threading.RLock()
        self._left = threading.Condition(self._lock)
        self._abandoned = any(thread != threading.get_ident() for thread in self._inside)

    def _drop_the_dead(self) -> None:
        for thread in self._inside.copy():
            if thread not in sys._current_frames():
                with suppress(ValueError):  # it has left, then ended
                    self._inside.remove(thread)

    def _free_once(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            free()
