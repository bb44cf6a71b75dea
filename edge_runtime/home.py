"""Where a device keeps what is its own and no bundle's: its state, and its configuration.

ROOT is ``$EDGE_RUNTIME_HOME``, else ``/var/lib/edge-runtime`` for root, else ``$XDG_DATA_HOME/edge-runtime``
or ``~/.local/share/edge-runtime``.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.errors import StateError


def root() -> Path:
    """ROOT; see the module. It need not exist.

    Raises:
        StateError: no home directory.
    """
    if home := os.environ.get("EDGE_RUNTIME_HOME"):
        return Path(home)
    if os.geteuid() == 0:
        return Path("/var/lib/edge-runtime")
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if data.is_absolute():  # the specification wants others ignored
        return data / "edge-runtime"
    try:
        return Path.home() / ".local/share/edge-runtime"
    except RuntimeError:
        raise StateError("this user has no home directory; set EDGE_RUNTIME_HOME to a folder") from None
