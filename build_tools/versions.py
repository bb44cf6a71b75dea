"""Versions of bundles: three numbers, each version of a bundle above the one before."""

from __future__ import annotations

from edge_runtime.manifest import VERSION_PATTERN


def is_version(text: str) -> bool:
    """Whether it is one."""
    return VERSION_PATTERN.fullmatch(text) is not None


def is_above(version: str, other: str) -> bool:
    """Whether `version` is later than `other`."""
    return _numbers(version) > _numbers(other)


def following(version: str) -> str:
    """The next one: its last number is one more."""
    *front, last = _numbers(version)
    return ".".join(map(str, (*front, last + 1)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
