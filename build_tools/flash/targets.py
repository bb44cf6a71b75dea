"""Where a bundle can be brought to, and how that is written on the command line.

ssh://[user@]host[:port][/root]   a device that is on; /root is its store, where that is not the usual one
/media/card/rootfs                the root file system of a device, mounted here
store:/some/folder                a store (EDGE_RUNTIME_HOME) in a folder
stick:/media/stick                a folder for the transport file, which the device installs later
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from build_tools.errors import FlashError
from edge_runtime.schema import shown

STORE = "var/lib/edge-runtime"
"""In a root file system; where root's ``edge-runtime`` looks."""

_SSH = re.compile(
    r"ssh://(?:(?P<user>[^@/]*)@)?(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^:/@\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<root>/.*)?"
)
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%-]*")  # nothing that ssh takes for an option


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A device that answers ssh. `label` is how it was written; None stands for ssh's or the device's own."""

    label: str
    host: str
    user: str | None = None
    port: int | None = None
    root: str | None = None


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """A store on this computer's file systems.

    Attributes:
        other: it is another device's, on which nothing can be tried here.
    """

    label: str
    root: Path
    other: bool


@dataclass(frozen=True, slots=True)
class StickTarget:
    """A folder that gets the transport file."""

    label: str
    folder: Path


Target = SshTarget | StoreTarget | StickTarget


def parse(text: str) -> Target:
    """What a target on the command line means; see the module.

    Raises:
        FlashError: nothing that is known, or a folder that is not there.
    """
    kind, colon, rest = text.partition(":")
    if text.startswith("ssh:"):
        return _ssh(text)
    if colon and kind == "store":
        return StoreTarget(text, _folder(rest, text, missing=True), other=False)
    if colon and kind == "stick":
        return StickTarget(text, _folder(rest, text))
    if colon and "/" not in kind and not Path(text).exists():
        known = "ssh://HOST, a mounted root file system, store:FOLDER or stick:FOLDER"
        raise FlashError(f"--to: expected {known}; found {shown(text)}")
    return StoreTarget(text, _store_in(_folder(text, text), text), other=True)


def _ssh(text: str) -> SshTarget:
    found = _SSH.fullmatch(text)
    if not found or not text.isprintable():
        raise FlashError(f"--to: expected ssh://[user@]host[:port][/root]; found {shown(text)}")
    user, host, port = found["user"], found["host"], found["port"]
    if user is not None and ":" in user:
        problem = "a password does not belong in a target; give the device your key (ssh-copy-id)"
        raise FlashError(f"--to: {problem}")
    host = host.strip("[]")
    named = _WORD.fullmatch(host) or ":" in host
    if not named or (user is not None and not _WORD.fullmatch(user)) or (port and not 0 < int(port) < 65536):
        raise FlashError(f"--to: expected a user, a host and a port as ssh has them; found {shown(text)}")
    root = (found["root"] or "").rstrip("/")
    if ".." in root.split("/"):
        raise FlashError(f"--to: expected the path of a store without '..'; found {shown(root)}")
    return SshTarget(text, host, user, int(port) if port else None, root or None)


def _folder(path: str, text: str, *, missing: bool = False) -> Path:
    folder = Path(path)
    try:
        if path and (folder.is_dir() or (missing and not folder.exists())):
            return folder.absolute()
    except (OSError, ValueError):
        pass
    raise FlashError(f"--to {text}: expected a folder, such as the mount point of a card; found none")


def _store_in(card: Path, text: str) -> Path:
    """The store in a root file system: links in it lead within the card, or they lead into this computer."""
    if not all((card / name).is_dir() for name in ("etc", "usr", "var")):
        problem = "no root file system (etc, usr and var are missing)"
        other = f"for a stick write stick:{text}, for a store in a folder store:{text}"
        raise FlashError(f"--to {text}: {problem}; {other}")
    if card == Path("/"):
        raise FlashError("--to /: this is the computer that runs; use edge-runtime install")
    store = card / STORE
    if not store.resolve().is_relative_to(card.resolve()):
        problem = f"{STORE} there is a link that leads out of it, to {store.resolve()}"
        raise FlashError(f"--to {text}: {problem}; mount where it leads and write store:FOLDER")
    return store
