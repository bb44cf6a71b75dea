"""Puts the runtime itself on a device that ssh reaches and that has no network: Python is all that it needs.

    STORE/runtime/VERSION-DIGEST12/    a virtual environment; never changed once it is whole
    STORE/runtime/current -> …         the one that ``edge-build flash`` runs; swapped by one rename

The wheels come from this computer (`wheelhouse`), as one tar stream; pip runs there from its own wheel, so
that neither pip nor ensurepip must be there. What ran before runs until the new one has started once.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from build_tools.errors import FlashError
from build_tools.flash import script, wheelhouse
from build_tools.flash.script import StatusError
from build_tools.flash.targets import SshTarget
from build_tools.flash.wheelhouse import Board
from edge_runtime import schema
from edge_runtime.schema import SchemaError, shown
from edge_runtime.terminal import printable
from edge_runtime.version import __version__

_FAILING = "the runtime cannot be installed there"

_ASK = """\
command -v python3 >/dev/null || { echo "python3 is not installed there" >&2; exit 1; }
exec python3 -c "$1"
"""

_FACTS = """\
import json, os, platform, sys
library, version = platform.libc_ver()
minor = int(version.split(".")[1]) if library == "glibc" and version.startswith("2.") else 0
print(json.dumps({"python": sys.version_info[1], "machine": platform.machine(), "glibc": minor}))
"""

_HAS = 'test -e "$root/runtime/$1/complete"'

_INSTALL = """\
set -eu
name=$1 requirement=$2 runtime=$root/runtime
here=$runtime/$name
umask 022
if [ ! -e "$here/complete" ]; then
  rm -rf "$here"
  mkdir -p "$here/wheels"
  tar -x -f - -C "$here/wheels"
  python3 -m venv --without-pip "$here"
  for pip in "$here"/wheels/pip-*.whl; do
    "$here/bin/python" "$pip/pip" install -q --no-index --no-cache-dir --disable-pip-version-check \\
      --find-links "$here/wheels" "$requirement"
  done
  rm -rf "$here/wheels"
  "$here/bin/edge-runtime" --version >/dev/null
  sync
  : > "$here/complete"
  sync
fi
before=$(readlink "$runtime/current" || true)
rm -f "$runtime/current.new"
ln -s "$name" "$runtime/current.new"
mv -T "$runtime/current.new" "$runtime/current"
sync
for old in "$runtime"/*-*/; do
  old=$(basename "$old")
  if [ "$old" != "$name" ] && [ "$old" != "$before" ]; then rm -rf "$runtime/$old"; fi
done
"""


class Bootstrap:
    """Brings this version of the runtime to devices; wheels are fetched once for those that are alike."""

    def __init__(self, extras: Sequence[str], folder: Path) -> None:
        """`extras` are those of edge-runtime; `folder` is an empty one that stays while this is used."""
        self._extras, self._folder = tuple(extras), folder
        self._guard = threading.Lock()
        self._fetched: dict[Board, Path] = {}

    def bring(self, target: SshTarget, *, unattended: bool) -> int:
        """Installs it where it is not installed, and makes it the one that runs; returns the bytes sent.

        Raises:
            FlashError: the device has no Python that fits, or a step fails; what ran before still does.
            LineError: the line broke.
        """
        board = _board(script.run(target, _ASK, _FACTS, failing=_FAILING, unattended=unattended))
        wheels = self._wheels(board)
        name = f"{__version__}-{wheelhouse.digest(wheels)}"
        sending = None if self._has(target, name, unattended) else wheels
        requirement = f"edge-runtime[{','.join(self._extras)}]" if self._extras else "edge-runtime"
        with tempfile.TemporaryFile() as stream:
            if sending:
                _pack(sending, stream)
            size = stream.tell()
            stream.seek(0)
            script.run(
                target, _INSTALL, name, requirement, failing=_FAILING, unattended=unattended, stdin=stream
            )
        return size

    def _wheels(self, board: Board) -> Path:
        with self._guard:
            if board not in self._fetched:
                folder = Path(tempfile.mkdtemp(dir=self._folder))
                wheelhouse.fetch(board, self._extras, folder)
                self._fetched[board] = folder
            return self._fetched[board]

    def _has(self, target: SshTarget, name: str, unattended: bool) -> bool:
        with suppress(StatusError):
            script.run(target, _HAS, name, failing=_FAILING, unattended=unattended)
            return True
        return False


def _board(answer: bytes) -> Board:
    try:
        return schema.decode(Board, json.loads(answer))
    except SchemaError as error:
        raise FlashError(f"the runtime cannot run there: {printable(str(error))}") from None
    except (ValueError, RecursionError):
        found = shown(answer[:200].decode("utf-8", "replace"))
        raise FlashError(f"expected what the device is, as JSON; found {printable(found)}") from None


def _pack(folder: Path, stream: IO[bytes]) -> None:
    """The wheels as a tar stream."""
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for path in sorted(folder.glob("*.whl")):
            archive.add(path, arcname=path.name)
