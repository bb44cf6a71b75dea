"""Versions of bundles: three numbers, each version of a bundle above the one before."""

from __future__ import annotations

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


def rising(asked: str | None, present: str) -> str:
    """The version after `present`: the one that is asked for, or else the following one.

    Raises:
        BuildError: what is asked for is no version, or not above `present`.
    """
    if asked is None:
        return following(present)
    if not VERSION_PATTERN.fullmatch(asked):
        raise BuildError(f"version {shown(asked)}: expected three numbers such as 1.0.1")
    if not is_above(asked, present):
        raise BuildError(f"version {asked}: expected more than {present}, the bundle's own")
    return asked


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
