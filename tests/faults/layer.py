"""Stands between the store and the system: lets calls through up to the one that fails, or that is the last.

Only what `edge_runtime.disk` and the locks call is wrapped, by name, in the `os` module of this process.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "mkdir", "link", "symlink", "rename", "replace", "unlink", "rmdir")
"""Every call that changes the disk, and the opening of files, which may too."""

DEAD = 77
"""The exit status of a process that a fault ended."""


@dataclass
class Change:
    """A name that came, went or moved; lost in a power cut unless one of its `folders` was flushed since."""

    folders: tuple[str, ...]
    undo: Callable[[], object]


@dataclass
class Cache:
    """What a power cut takes: names in folders that were not flushed, and contents of files that were not."""

    shadow: Path
    changes: list[Change] = field(default_factory=list)
    unflushed: dict[int, int] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def lose(self, *, names: bool) -> None:
        """Everything that was not flushed; without `names`, contents only, as ext4 may."""
        for copy in self.unflushed.values():
            os.ftruncate(copy, 0)
        for change in reversed(self.changes if names else []):
            with suppress(OSError):
                change.undo()

    def before(self, name: str, args: tuple[Any, ...], real: dict[str, Any]) -> Change | None:
        """How to take a call back; asked before it is made."""
        paths = [os.fspath(arg) for arg in args if isinstance(arg, (str, os.PathLike))]
        if name in ("mkdir", "symlink", "link"):
            new = paths[-1] if name != "mkdir" else paths[0]
            remove = real["rmdir"] if name == "mkdir" else real["unlink"]
            return Change((os.path.dirname(new),), lambda: remove(new))
        if name == "open" and args[1] & os.O_CREAT and not os.path.lexists(paths[0]):
            return Change((os.path.dirname(paths[0]),), lambda: real["unlink"](paths[0]))
        if name == "rmdir":
            return Change((os.path.dirname(paths[0]),), lambda: real["mkdir"](paths[0]))
        if name not in ("unlink", "rename", "replace"):
            return None
        folder = os.path.isdir(paths[0]) and not os.path.islink(paths[0])
        if os.path.lexists(paths[-1]) and not folder:
            return self._replaced(paths, real)
        if name == "unlink":
            return None  # of what is not there
        folders = (os.path.dirname(paths[0]), os.path.dirname(paths[1]))
        return Change(folders, lambda: real["rename"](paths[1], paths[0]))

    def _replaced(self, paths: list[str], real: dict[str, Any]) -> Change:
        kept = str(self.shadow / str(next(self._numbers)))
        real["link"](paths[-1], kept, follow_symlinks=False)

        def undo() -> None:
            if len(paths) == 2:
                real["rename"](paths[1], paths[0])
            real["rename"](kept, paths[-1])

        return Change((os.path.dirname(paths[-1]),), undo)

    def after(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """What a call that was made has flushed, or not."""
        if name == "open" and os.path.isdir(args[0]):
            self.folders[result] = os.fspath(args[0])
        elif name == "open":
            self.folders.pop(result, None)
        elif name == "write" and stat.S_ISREG(os.fstat(args[0]).st_mode):  # and not a line
            self.unflushed.setdefault(os.fstat(args[0]).st_ino, os.dup(args[0]))
        elif name == "fsync" and args[0] in self.folders:
            flushed = self.folders[args[0]]
            self.changes = [change for change in self.changes if flushed not in change.folders]
        elif name == "fsync":
            self.unflushed.pop(os.fstat(args[0]).st_ino, None)


def fail_at(number: int, fault: str, shadow: Path) -> Callable[[], int]:
    """Wraps the calls of this process; returns what counts them.

    Args:
        number: of the call at which it happens, from 1.
        fault: ``kill`` ends the process before the call, and in the middle of a write; ``cut`` takes the
            power as well, ``cut-contents`` leaves names without contents; ``EIO`` or ``ENOSPC`` fails that
            call, and with a ``+`` every later one too.
        shadow: a folder for what a power cut brings back.
    """
    real = {name: getattr(os, name) for name in CALLS}
    cache = Cache(shadow)
    made = 0

    def end() -> None:
        if fault.startswith("cut"):
            cache.lose(names=fault == "cut")
        os._exit(DEAD)

    def wrap(name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            reached = made == number or (made > number and fault.endswith("+"))
            if reached and fault.startswith("E") and not (fault.startswith("ENOSPC") and _reads(name, args)):
                code = getattr(errno, fault.rstrip("+"))
                raise OSError(code, os.strerror(code), str(args[0]))
            if reached and not fault.startswith("E"):
                if name == "write":
                    real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                    cache.after(name, args, None)
                end()
            change = cache.before(name, args, real) if fault.startswith("cut") else None
            result = real[name](*args, **options)
            if fault.startswith("cut"):
                cache.after(name, args, result)
                cache.changes += [change] if change else []
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrap(name))
    return lambda: made


def _reads(name: str, args: tuple[Any, ...]) -> bool:
    """Opening for reading, which a full disk allows."""
    return name == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
