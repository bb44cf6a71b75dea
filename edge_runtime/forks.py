"""What a forked process must make anew.

Of all threads only the one that forked is left there, and what the others held nobody gives back.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """Something with locks."""

    def renew(self) -> None:
        """Called in the forked process, before anything else runs there."""


_KNOWN: WeakSet[Renewable] = WeakSet()


def renew_in_forks(each: Renewable) -> None:
    """Has `each` renewed in processes that are forked while it lives."""
    _KNOWN.add(each)


def _renew_all() -> None:
    for each in _KNOWN:
        each.renew()


os.register_at_fork(after_in_child=_renew_all)
