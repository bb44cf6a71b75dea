r"""What ``edge-build flash`` and a device say to each other: one JSON object a line, with bytes behind some.

    desktop                                 device
    Offer, the manifest, the signature
                                            Wants: files that it lacks, and what it has of each
                                            Bases: where rsync finds older editions of some; with --delta
    Still, as long as rsync runs; Tried
                                            Wants: what is lacking yet
    Blob and the rest of the file, for each of them, in that order
                                            At: the step that the install has come to
    Activate, when it is at "activate"
                                            Done

Bases, Still, Tried and the second Wants are for ``edge-runtime receive --delta`` alone; where Bases is empty,
it is the last of them. So a device and a desktop of which one does not know them understand each other.

Instead of anything the device may say Failed, and end. Where the desktop goes away, nothing is activated,
and what came stays for the next attempt. Both sides read strictly: an unknown message or field, a line
too long or a number out of bounds ends the conversation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeVar

from edge_runtime import schema
from edge_runtime.manifest import SHA256_PATTERN
from edge_runtime.schema import SchemaError, require, require_match, shown

PROTOCOL = 1
"""Raised when one side could not understand the other any more."""

MAX_LINE = 1 << 21
"""Bytes of a line: enough for the wants of the largest manifest."""


STILL_SECONDS = 15.0
"""Between two Stills: a device waits a minute for the next word."""

MAX_STILLS = 1440
"""As many, six hours of them, are as long as rsync may take."""


class MessageError(ValueError):
    """A line is no message that could come here; says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A bundle; `manifest` bytes of its manifest follow, then `signature` bytes of its signature, if any."""

    protocol: int
    manifest: int
    signature: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the manifest that the device lacks; it has `have` bytes from its beginning."""

    sha256: str
    have: int

    def __post_init__(self) -> None:
        require_match(SHA256_PATTERN, self.sha256, "sha256", "64 lower-case hexadecimal digits")
        require(self.have >= 0, "have", f"expected 0 or more; found {self.have}")


@dataclass(frozen=True, slots=True)
class Wants:
    """What the device lacks, in the manifest's order and each content once; `runtime` is its version."""

    runtime: str
    files: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Bases:
    """The wanted files of which older editions lie in `folder`, each under the sha256 that is wanted."""

    folder: str
    files: tuple[str, ...]

    def __post_init__(self) -> None:
        for sha256 in self.files:
            require_match(SHA256_PATTERN, sha256, "files", "64 lower-case hexadecimal digits")


@dataclass(frozen=True, slots=True)
class Still:
    """rsync is not done yet."""


@dataclass(frozen=True, slots=True)
class Tried:
    """rsync has ended, or never began: what it has made of the older editions may be looked at."""


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of a wanted file from `start` on follow."""

    sha256: str
    start: int


@dataclass(frozen=True, slots=True)
class At:
    """The install has come to this step."""

    step: str


@dataclass(frozen=True, slots=True)
class Activate:
    """The bundle, which has proven itself, is to become the current one."""


@dataclass(frozen=True, slots=True)
class Done:
    """What the install did: `installed`, or `nothing` for a bundle that was current and sound.

    Attributes:
        bundle: the directory's name; `previous` is that of the bundle before, None for the first.
    """

    done: Literal["installed", "nothing"]
    bundle: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was changed in what answers; `error` is one line for people."""

    error: str


Message = Offer | Wants | Bases | Still | Tried | Blob | At | Activate | Done | Failed
M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """A line, its end included."""
    fields = {type(message).__name__.lower(): schema.encode_fields(message)}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, *kinds: type[M]) -> M:
    """The message of one of these kinds in a line.

    Raises:
        MessageError: there is none.
    """
    names = {kind.__name__.lower(): kind for kind in kinds}
    try:
        found = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or len(found) != 1 or next(iter(found)) not in names:
        raise MessageError(
            f"expected {' or '.join(names)}; found {shown(line[:200].decode('utf-8', 'replace'))}"
        )
    ((name, fields),) = found.items()
    try:
        return schema.decode(names[name], fields)
    except SchemaError as error:
        raise MessageError(f"{name}: {error}") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
