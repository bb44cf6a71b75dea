"""Whether a bundle may be installed, decided by its manifest alone: before anything of it is written."""

from __future__ import annotations

from edge_runtime import device_config, disk, home, signature
from edge_runtime.errors import StoreError
from edge_runtime.store import layout
from edge_runtime.store.held import Held
from edge_runtime.store.sources import Incoming

RESERVE_BYTES = 32 << 20
"""Left free on the disk: logs, state and the next update need some."""

_BLOCK = 4096


def admit(incoming: Incoming, *, held: Held, allow_downgrade: bool) -> None:
    """Lets a bundle in or says why not. The manifest has been parsed, so this runtime can read the bundle.

    Args:
        held: files of installed bundles, which take no room again.

    Raises:
        SignatureError: not signed by a key that this device trusts, where it trusts any.
        ConfigError: device.yaml, which names those keys, cannot be used.
        StoreError: older than what is in use and `allow_downgrade` is False, or no room for it.
    """
    check_signer(incoming)
    if not allow_downgrade:
        _refuse_older(incoming)
    _check_room(incoming, held)


def check_signer(incoming: Incoming) -> None:
    """Who made it, before any other question. Raises as `admit` does."""
    keys = device_config.read().keys
    signature.check(incoming.manifest_bytes, incoming.signature, keys, source=incoming.source)


def _refuse_older(incoming: Incoming) -> None:
    manifest = incoming.manifest
    current = layout.usable(manifest.name, layout.CURRENT)
    if current and _numbers(manifest.version) < _numbers(layout.version(current)):
        raise StoreError(
            f"{incoming.source}: {manifest.name} {manifest.version} is older than {layout.version(current)}, "
            "which is installed; --allow-downgrade installs it all the same"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _check_room(incoming: Incoming, held: Held) -> None:
    new = [held.lacking(entry) for entry in incoming.manifest.files]
    needed = sum(-(-size // _BLOCK) * _BLOCK for size in (*new, len(incoming.manifest_bytes)))
    free = disk.free_bytes(home.root())
    if free - RESERVE_BYTES < needed:
        room = (
            f"{needed / 1e6:.1f} MB, and {RESERVE_BYTES / 1e6:.1f} MB to spare; {free / 1e6:.1f} MB are free"
        )
        raise StoreError(
            f"{home.root()}: {incoming.manifest.name} needs {room}; edge-runtime prune makes room"
        )
