"""Imports a library without what it imports and a device never uses.

usearch imports urllib.request, and with it http, ssl and email, and urllib.error, and with it tempfile and
compressors, to download an extension that nobody asked for, and tqdm for progress bars: more than half of its
import time, and 10 MB where nothing else has loaded them.
Stand-ins take their places during the import only; each loads the real thing when it is called.
But `sys.modules` is that of all threads: one that imports urllib.error meanwhile would get a stand-in, and
keep it. So where there are others, nothing is left out.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# One at a time, or the stand-ins of two threads would mix. A signal handler may come in between.
_IMPORTING = threading.RLock()
os.register_at_fork(after_in_child=_IMPORTING._at_fork_reinit)  # type: ignore[attr-defined]


def import_without(name: str, unused: Sequence[str]) -> ModuleType:
    """Imports the module `name`, whole; those of `unused` that are not loaded yet stay unloaded, if no other
        thread runs.

    Raises:
        ImportError: there is no such module.
    """
    with _IMPORTING:
        if name in sys.modules:  # perhaps half, where a thread imports it without us: the import system waits
            return importlib.import_module(name)
        left_out = unused if only_thread() else ()
        with _stand_ins([module for module in left_out if module not in sys.modules]):
            return importlib.import_module(name)


def only_thread() -> bool:
    """Whether no other thread runs Python."""
    return len(sys._current_frames()) == 1


@contextmanager
def _stand_ins(names: Sequence[str]) -> Iterator[None]:
    made = {name: _StandIn(name) for name in names}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            parent, _, child = name.rpartition(".")
            # The import system sets a package's attribute for real modules only.
            if parent in sys.modules and not hasattr(sys.modules[parent], child):
                setattr(sys.modules[parent], child, module)


class _StandIn(ModuleType):
    """A module all of whose names are functions that call the real module's."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return call
