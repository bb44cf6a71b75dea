"""Versions of bundles: three numbers, each version of a bundle above the one before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from build_tools.errors import BuildError
from edge_runtime.manifest import VERSION_PATTERN
from edge_runtime.schema import shown


def following(version: str) -> str:
    """The next one: its last number is one more.

    Raises:
        BuildError: that number would be too long.
    """
    *front, last = _numbers(version)
    text = ".".join(map(str, (*front, last + 1)))
    if not VERSION_PATTERN.fullmatch(text):
        raise BuildError(f"version {version}: its last number cannot rise; choose the next version yourself")
    return text


def is_above(version: str, other: str) -> bool:
    """Whether `version` is later than `other`, as an install compares them."""
    return _numbers(version) > _numbers(other)


def made(home: Path, name: str) -> tuple[str, ...]:
    """Those of which a build folder has transport files, which stay there: any of them may be on a device."""
    found = (path.stem.removeprefix(f"{name}-") for path in home.glob(f"{name}-*.edge"))
    return tuple(version for version in found if VERSION_PATTERN.fullmatch(version))


def rising(asked: str | None, present: str, others: Sequence[str] = ()) -> str:
    """The version after `present`: the one that is asked for, or else the one after all.

    Args:
        others: that were made of this bundle; a build may have gone back behind them.

    Raises:
        BuildError: what is asked for is no version, not above `present`, or was made before: a device may
            have that one, and would take the new one for the same.
    """
    if asked is None:
        return following(max((present, *others), key=_numbers))
    if not VERSION_PATTERN.fullmatch(asked):
        raise BuildError(f"version {shown(asked)}: expected three numbers such as 1.0.1")
    if not is_above(asked, present):
        raise BuildError(f"version {asked}: expected more than {present}, the bundle's own")
    if asked in others:
        free = following(max(others, key=_numbers))
        raise BuildError(
            f"version {asked}: was made here before, and a device may have it; choose another, such as {free}"
        )
    return asked


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
