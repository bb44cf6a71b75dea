"""Where the installed bundles are, by name; nothing is changed here."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from edge_runtime import bundle as bundles
from edge_runtime import home
from edge_runtime import manifest as manifests
from edge_runtime.encoder_spec import NAME_PATTERN
from edge_runtime.errors import IntegrityError, StoreError
from edge_runtime.schema import shown

CURRENT, PREVIOUS = "current", "previous"

_BUNDLE = re.compile(r"([0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9})-[0-9a-f]{12}")


def lock() -> Path:
    """The file that a writer holds locked. Raises as `home.root` does."""
    return home.root() / "lock"


def staging() -> Path:
    """Where bundles are before they are whole and after they are given up."""
    return home.root() / "staging"


def incoming() -> Path:
    """Where the files are that come over a line, one by one; see `arrivals`."""
    return home.root() / "incoming"


def folder(name: str) -> Path:
    """Of all the bundles called `name`.

    Raises:
        StoreError: no bundle can be called that.
    """
    if not NAME_PATTERN.fullmatch(name):
        expected = "expected the name of an installed bundle (lower-case letters, digits, '.', '_' and '-')"
        raise StoreError(f"{expected}; found {shown(name)}")
    return home.root() / "bundles" / name


def bundle_name(version: str, digest: str) -> str:
    """The directory of a bundle in its `folder`; `digest` is the sha256 of its manifest."""
    return f"{version}-{digest[:12]}"


def version(bundle: str) -> str:
    """The version in a `bundle_name`."""
    return bundle.rpartition("-")[0]


def target(name: str, link: str) -> str | None:
    """The directory name that `CURRENT` or `PREVIOUS` points at; None where there is no such link.

    Raises:
        StoreError: it is not a link of ours, or cannot be read.
    """
    found = _target(name, link)
    if found is None or _BUNDLE.fullmatch(found):
        return found
    what = f"it leads to {shown(found)}" if found else "it is none"
    problem = f"expected a link to an installed bundle; {what}; install the bundle again"
    raise StoreError(f"{folder(name) / link}: {problem}")


def usable(name: str, link: str) -> str | None:
    """As `target`, but None for what is not a link of ours: an install puts one in its place.

    Raises:
        StoreError: it cannot be read.
    """
    found = _target(name, link)
    return found if found and _BUNDLE.fullmatch(found) else None


def _target(name: str, link: str) -> str | None:
    """Empty for what is no link."""
    path = folder(name) / link
    try:
        return str(path.readlink())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return ""
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None


def current(name: str) -> Path | None:
    """The directory of the bundle called `name` that is in use; None where none is. Raises like `target`."""
    found = target(name, CURRENT)
    return folder(name) / found if found else None


def installed(name: str) -> tuple[str, ...]:
    """The directory names of all the bundles called `name`, in no particular order. A link is none."""
    try:
        children = list(folder(name).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StoreError(f"{folder(name)}: cannot be read ({error.strerror})") from None
    found = (child for child in children if _BUNDLE.fullmatch(child.name) and not child.is_symlink())
    return tuple(child.name for child in found if child.is_dir())


def check_manifest(directory: Path) -> None:
    """Compares the manifest of an installed bundle with the name that it was installed under.

    Nothing else can tell that a byte of it has changed, for it lists the sha256 of every file but its own. A
    directory outside of the store has no such name, and is not looked at.

    Raises:
        IntegrityError: it is another one.
        BundleError: it cannot be read.
    """
    directory = directory.absolute()
    if not _BUNDLE.fullmatch(directory.name) or directory.parent.parent != home.root().absolute() / "bundles":
        return
    found, expected = bundles.digest(directory)[:12], directory.name.rpartition("-")[2]
    if found != expected:
        problem = f"sha256 {found}…; it was installed with {expected}…; edge-runtime repair puts it right"
        raise IntegrityError(f"{directory / manifests.FILENAME}: {problem}")


def names() -> tuple[str, ...]:
    """Of all bundles that are installed, sorted."""
    folder = home.root() / "bundles"
    try:
        found = sorted(child.name for child in folder.iterdir() if NAME_PATTERN.fullmatch(child.name))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror})") from None
    return tuple(name for name in found if installed(name))


def is_name(bundle: object) -> bool:
    """Whether a bundle is asked for by its installed name: not where there is a directory of that name.

    But a folder that is no bundle, such as the documents that it was made from, hides none that is installed.
    """
    if not isinstance(bundle, str) or not NAME_PATTERN.fullmatch(bundle):
        return False
    if not os.path.isdir(bundle):  # noqa: PTH112 (Path.is_dir raises where this user may not look)
        return True
    return not os.path.lexists(f"{bundle}/{manifests.FILENAME}") and os.path.lexists(folder(bundle) / CURRENT)


def located(bundle: str) -> str:
    """The directory of an installed bundle, where `bundle` is the name of one; else `bundle` as it is.

    Raises:
        StoreError: the store cannot be read.
    """
    directory = current(bundle) if is_name(bundle) else None
    return str(directory) if directory else bundle
