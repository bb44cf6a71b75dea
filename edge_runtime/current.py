"""The bundle that answers now, which another may take the place of while searches go on."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.errors import ClosedError, DeviceWarning, Error
from edge_runtime.forks import renew_in_forks
from edge_runtime.gate import closed
from edge_runtime.parts import Parts
from edge_runtime.source import Identity, Source

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 600.0
"""Seconds until a follower tries again what did not open; each time twice as long."""

_NO_BUNDLE: Identity = ("", 0, 0, 0)
"""What no bundle is: None is one that is gone, which a follower can fail to open as well."""


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
        # One thread at a time opens another, and a signal handler may do so in the middle of it: hence the R.
        self._exchanging = threading.RLock()
        self._looking = threading.Lock()  # held while a thread of ours looks for another
        renew_in_forks(self)
        self._closed = False
        self._failed: Identity | None = _NO_BUNDLE  # what a follower could not open,
        self._pause, self._again = 0.0, 0.0  # how long it waits, and until when
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
            Error: as `Source.open` does; what was open stays so.
            ClosedError: after `close`.
        """
        with self._exchanging:
            old = self._open_another()
        if old is None:
            return False
        old.close()  # no longer holding what `exchange` needs: it waits for the searches under way
        if self._closed:  # while this thread was opening
            self.parts.close()
            raise closed()
        return True

    def close(self) -> None:
        """Waits for whoever is in it, then frees everything. Calling it again does nothing.

        It waits for no lock, so that a signal handler may call it wherever it interrupts. Where a thread is
        just opening another bundle, that is closed as soon as it is open.
        """
        self._closed = True
        self.parts.close()

    def _open_another(self) -> Parts | None:
        """Puts what is there now in the place of what is open; returns that, None where it is the same."""
        if self._closed:
            raise closed()
        there, old = self._source.identity(), self.parts
        if there == self._seen:
            return None
        fresh = self._source.open()
        if self.parts is old:
            self._seen, self.parts = there, fresh
        else:  # a signal handler's reload in the middle of this one has opened what is newer
            fresh.close()
        return old

    def _look(self) -> None:
        """Has another bundle opened if there is one: by a thread, so that no search takes longer for it."""
        there = self._source.identity()
        if there == self._seen or (there == self._failed and time.monotonic() < self._again):
            return
        if not self._looking.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._exchange_quietly, args=[there], name="edge-runtime reload").start()
        except RuntimeError:  # no more threads; the next search tries again
            self._looking.release()

    def _exchange_quietly(self, there: Identity | None) -> None:
        try:
            self.exchange()
        except ClosedError:
            pass
        except Error as error:
            if self._put_off(there):  # before the warning, which may be raised: what filters say counts
                text = f"{error}; the bundle that was open goes on answering"
                warnings.warn(text, DeviceWarning, stacklevel=1)
        except Exception:
            self._put_off(there)
            raise
        finally:
            self._looking.release()

    def _put_off(self, there: Identity | None) -> bool:
        """Lets a while pass before `there` is tried again: its last file may be on its way.

        Returns:
            Whether this is the first time.
        """
        first = there != self._failed
        self._pause = _FIRST_PAUSE if first else min(2 * self._pause, _LONGEST_PAUSE)
        self._failed, self._again = there, time.monotonic() + self._pause
        return first

    def renew(self) -> None:
        """To be called in a forked process, where the thread that had another opened is no more."""
        self._exchanging, self._looking = threading.RLock(), threading.Lock()
