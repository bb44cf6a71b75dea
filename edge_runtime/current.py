"""The bundle that answers now, which another may take the place of while searches go on."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.errors import ClosedError, DeviceWarning, Error
from edge_runtime.gate import closed
from edge_runtime.parts import Parts
from edge_runtime.source import Source


class Current:
    """Holds what is open. Thread-safe; `close` it.

    Attributes:
        parts: what answers now; use them in `answering`.
    """

    def __init__(self, source: Source, *, follow: bool) -> None:
        """Opens what is there. Raises as `Source.open` does.

        Args:
            follow: whether each use looks for another bundle.
        """
        self._source, self._follow = source, follow
        # One thread at a time opens another, and a signal handler may close in the middle of it: hence the R.
        self._exchanging = threading.RLock()
        self._looking = threading.Lock()  # held while a thread of ours looks for another
        self._closed = False
        self._seen = source.identity()
        self.parts = source.open()

    @contextmanager
    def answering(self) -> Iterator[Parts]:
        """What is open, which stays so until this ends.

        Raises:
            ClosedError: after `close`.
        """
        parts = self.parts
        while not parts.gate.enter():
            if parts is self.parts:
                raise closed()
            parts = self.parts  # exchanged in between
        try:
            if self._follow:
                self._look()
            yield parts
        finally:
            parts.gate.leave()

    def exchange(self) -> bool:
        """Opens what is there now, if it is something else, and closes the old once nobody is in it.

        Returns:
            Whether it was.

        Raises:
            Error: as `Source.open` does; what was open stays so, and the same is not tried again.
            ClosedError: after `close`.
        """
        with self._exchanging:
            return self._exchange()

    def close(self) -> None:
        """Waits for whoever is in it, then frees everything. Calling it again does nothing."""
        self._closed = True
        with self._exchanging:
            self.parts.close()

    def _look(self) -> None:
        """Has another bundle opened if there is one: by a thread, so that no search takes longer for it."""
        if self._source.identity() == self._seen or not self._looking.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._exchange_quietly, name="edge-runtime reload").start()
        except RuntimeError:  # no more threads; the next search tries again
            self._looking.release()

    def _exchange_quietly(self) -> None:
        try:
            self.exchange()
        except ClosedError:
            pass
        except Error as error:
            text = f"{error}; the bundle that was open goes on answering"
            warnings.warn(text, DeviceWarning, stacklevel=1)
        finally:
            self._looking.release()

    def _exchange(self) -> bool:
        if self._closed:
            raise closed()
        there = self._source.identity()
        if there == self._seen:
            return False
        self._seen = there
        fresh = self._source.open()
        old, self.parts = self.parts, fresh
        old.close()
        if self._closed:  # by a signal handler, while this thread was opening
            fresh.close()
            raise closed()
        return True
