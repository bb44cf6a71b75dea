"""Where installed bundles lie on a device, and which of them answers to a name.

    ROOT/lock                                   held by whoever changes anything below
    ROOT/staging/                               what is being installed; emptied by the next change
    ROOT/bundles/NAME/VERSION-DIGEST12/         a bundle's directory, never changed
    ROOT/bundles/NAME/current -> VERSION-…      the one that answers; replaced by a rename
    ROOT/bundles/NAME/previous -> VERSION-…     the one before, for `edge-runtime rollback`

ROOT is that of `home`. Reading needs no lock: `current` always leads to a whole bundle, and whoever has one
open keeps its files, whatever becomes of their names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import home
from edge_runtime.errors import BundleError, StateError, StoreError
from edge_runtime.manifest import NAME_PATTERN, VERSION_PATTERN
from edge_runtime.schema import shown

CURRENT, PREVIOUS = "current", "previous"
DIGEST_LENGTH = 12

_DIRECTORY = re.compile(rf"(?P<version>{VERSION_PATTERN.pattern})-[0-9a-f]{{{DIGEST_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed bundle.

    Attributes:
        directory: its own, not one of the links.
        role: ``"current"``, ``"previous"``, or empty for one that is only kept.
    """

    name: str
    version: str
    directory: Path
    role: str


def bundles(name: str) -> Path:
    """The folder of all bundles of one name.

    Raises:
        StoreError: no bundle can have this name.
        StateError: no home directory.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise StoreError(f"{shown(name)}: not a bundle's name; edge-runtime status lists what is installed")
    return home.root() / "bundles" / name


def directory_name(version: str, digest: str) -> str:
    """A bundle's folder in that; `digest` is the sha256 of its manifest.yaml."""
    return f"{version}-{digest[:DIGEST_LENGTH]}"


def target(name: str, link: str) -> Path | None:
    """The directory behind ``current`` or ``previous``; None where there is none.

    Both links are one for as long as a change is under way, and stay so when it dies there: the previous
    bundle is the newest older one then, else the newest.
    """
    found = _behind(name, link)
    if link == CURRENT or found is None or found != _behind(name, CURRENT):
        return found
    others = [each for each in _all(name) if each[1] != found]
    version = numbers(found.name.partition("-")[0])
    older = [each for each in others if numbers(each[0]) < version]
    return max(older or others, key=lambda each: numbers(each[0]), default=(None, None))[1]


def _behind(name: str, link: str) -> Path | None:
    folder = bundles(name)
    try:
        found = str((folder / link).readlink())
    except OSError:
        return None
    whole = _DIRECTORY.fullmatch(found) is not None and (folder / found).is_dir()
    return folder / found if whole else None


def locate(bundle: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The directory of the bundle that is installed under this name; what is a path already is given back.

    A name is a text without a slash that is no directory here: ``./NAME`` always means a directory.

    Raises:
        BundleError: no such bundle is installed.
        StateError: no home directory to look in.
    """
    if not is_name(bundle):
        return bundle
    name = str(bundle)
    found = target(name, CURRENT)
    if found is None:
        known = ", ".join(names()) or "none is"
        raise BundleError(
            f"{name}: no such directory, and no bundle of this name is installed ({known}); build one with "
            "edge-build build, or install one with edge-runtime install"
        )
    return found


def is_name(bundle: str | os.PathLike[str]) -> bool:
    """Whether `bundle` names an installed bundle rather than a directory."""
    return isinstance(bundle, str) and bool(NAME_PATTERN.fullmatch(bundle)) and not Path(bundle).exists()


def names() -> list[str]:
    """Of everything installed, in order. Empty where nothing can be looked at."""
    try:
        folders = sorted((home.root() / "bundles").iterdir())
    except (OSError, StateError):
        return []
    known = [folder.name for folder in folders if NAME_PATTERN.fullmatch(folder.name)]
    return [name for name in known if any(of(name))]


def of(name: str) -> Iterator[Installed]:
    """Every installed bundle of a name, by version."""
    roles = {target(name, link): link for link in (PREVIOUS, CURRENT)}
    for version, path in sorted(_all(name), key=lambda each: (numbers(each[0]), each[1].name)):
        yield Installed(name, version, path, roles.get(path, ""))


def _all(name: str) -> list[tuple[str, Path]]:
    try:
        folders = [path for path in bundles(name).iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
    return [(match["version"], path) for path in folders if (match := _DIRECTORY.fullmatch(path.name))]


def numbers(version: str) -> tuple[int, ...]:
    """For comparing: ``"0.10.0"`` is newer than ``"0.9.0"``."""
    return tuple(int(number) for number in version.split("."))
