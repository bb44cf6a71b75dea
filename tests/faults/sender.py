"""The desktop's half of a flash, rsync included, played for one device after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from edge_runtime.store.messages import PROTOCOL, Activate, Blob, Message, Offer, Tried, encode
from edge_runtime.store.sources import opened


class Sender:
    """What a transport file is made of, ready to be sent."""

    def __init__(self, source: Path) -> None:
        with opened(source) as incoming:
            self._manifest = incoming.manifest_bytes
            self._contents = {entry.sha256: b"".join(pieces or ()) for entry, pieces in incoming.files()}

    def talk(self, reading: BinaryIO, writing: BinaryIO) -> None:
        """Until the device ends, or says what it wants no more."""

        def say(message: Message, rest: bytes = b"") -> None:
            writing.write(encode(message) + rest)

        say(Offer(PROTOCOL, len(self._manifest)), self._manifest)
        wanted: list[dict[str, Any]] = []
        tried = False
        for line in reading:
            if not line.endswith(b"\n"):  # it died in the middle of a word
                return
            ((kind, said),) = json.loads(line).items()
            if kind == "wants":
                wanted = said["files"]
            if kind == "bases" and said["files"]:
                tried = True
                for sha256 in said["files"]:
                    self._rsync(Path(said["folder"], sha256))
                say(Tried())
            elif kind == "bases" or (kind == "wants" and tried):
                for each in wanted:
                    rest = self._contents[each["sha256"]][each["have"] :]
                    say(Blob(each["sha256"], each["have"]), rest)
            elif kind == "at" and said["step"] == "activate":
                say(Activate())

    def _rsync(self, base: Path) -> None:
        """Leaves what it starts from alone, and renames the new file over its name."""
        temporary = base.with_name(f".{base.name}.Ab12Cd")
        temporary.write_bytes(self._contents[base.name])
        temporary.replace(base)
