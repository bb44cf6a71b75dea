"""Refuses bundles that another version of this package is needed for.

Looks at two values of the manifest before the rest is decoded: a key that only a newer runtime knows must
lead to "update", not pass for damage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_runtime.errors import CompatibilityError, ManifestError
from edge_runtime.schema import shown
from edge_runtime.version import __version__

FORMAT = 1
"""The bundle format that this version reads and writes."""

VERSION_PATTERN = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")
"""Versions of bundles and of the runtime."""


def check(manifest: object, source: str) -> None:
    """Compares ``format`` and ``compatible.runtime`` with what is running.

    Args:
        manifest: the manifest as plain values; nothing of it has been checked.
        source: names it in errors.

    Raises:
        ManifestError: it does not even have a format number.
        CompatibilityError: another format, or made for a newer runtime.
    """
    found = manifest.get("format") if isinstance(manifest, Mapping) else None
    if not isinstance(manifest, Mapping) or type(found) is not int:
        raise ManifestError(f"{source}: no 'format' number; this is not a bundle's manifest")
    if found != FORMAT:
        raise CompatibilityError(
            f"{source}: bundle format {shown(found)}, this runtime reads {FORMAT}; "
            "update edge-runtime or rebuild the bundle"
        )
    oldest = _oldest_runtime(manifest)
    if oldest is not None and _numbers(oldest) > _numbers(__version__):
        raise CompatibilityError(
            f"{source}: made for edge-runtime {oldest} or newer, this is {__version__}; "
            "update edge-runtime or rebuild the bundle"
        )


def _oldest_runtime(manifest: Mapping[object, object]) -> str | None:
    """None where it is malformed: decoding will say so."""
    compatible = manifest.get("compatible")
    oldest = compatible.get("runtime") if isinstance(compatible, Mapping) else None
    return oldest if isinstance(oldest, str) and VERSION_PATTERN.fullmatch(oldest) else None


def _numbers(version: str) -> tuple[int, ...]:
    """``"0.10.0"`` as (0, 10, 0), without what may follow in a pre-release."""
    return tuple(int(number) for number in re.findall("[0-9]+", version)[:3])
