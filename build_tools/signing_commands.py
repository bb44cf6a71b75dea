"""edge-build keygen, and pack with a signature."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_tools.errors import SigningError

if TYPE_CHECKING:
    from build_tools.signing import SecretKey

PASSPHRASE = "EDGE_BUILD_PASSPHRASE"
"""The environment variable that is read where nobody can be asked."""


def add(commands: Any) -> None:
    """Adds them to the command line."""
    keygen = commands.add_parser("keygen", help="make a key to sign bundles with")
    keygen.add_argument(
        "file", type=Path, metavar="FILE", help="the secret key; the public one is beside it, .pub"
    )
    keygen.add_argument(
        "--no-passphrase",
        action="store_true",
        help="whoever has the file can sign; else a passphrase is asked for",
    )
    keygen.set_defaults(run=_keygen)
    pack = commands.add_parser("pack", help="write a bundle's transport file")
    pack.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    pack.add_argument("file", type=Path, metavar="FILE", help="the .edge file to write")
    pack.add_argument("--sign", type=Path, metavar="KEY", help="sign the bundle first, with this secret key")
    pack.set_defaults(run=_pack)


def _keygen(options: argparse.Namespace) -> None:
    from build_tools.signing import write_keys

    passphrase = "" if options.no_passphrase else _new_passphrase()
    key = write_keys(options.file, passphrase)
    print(f"{options.file}: the secret key; keep it off the devices, and keep a copy")
    print(f"{options.file.with_suffix('.pub')}: the public key {key}; in a device's device.yaml:")
    print(f"trusted_keys: [{key.line()}]")


def _pack(options: argparse.Namespace) -> None:
    from build_tools.pack import pack

    if options.sign is not None:
        from build_tools.signing import sign
        from edge_runtime.bundle import Bundle

        key = _unlocked(options.sign)
        bundle = Bundle.open(options.bundle)
        manifest = bundle.manifest
        bundle.close()
        sign(options.bundle, key, name=manifest.name, version=manifest.version)
        print(f"signed by {key.public}: {manifest.name} {manifest.version}")
    print(pack(options.bundle, options.file))


def _unlocked(path: Path) -> SecretKey:
    from build_tools.signing import KeyFile

    file = KeyFile.read(path)
    return file.unlock(_passphrase(f"passphrase of {path}: ") if file.encrypted else "")


def _new_passphrase() -> str:
    given = _passphrase("passphrase for the new key: ")
    if not given:
        raise SigningError("an empty passphrase; say --no-passphrase if that is meant")
    if PASSPHRASE not in os.environ and _passphrase("once more: ") != given:
        raise SigningError("the two differ; no key was made")
    return given


def _passphrase(prompt: str) -> str:
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return given
    if not sys.stdin.isatty():
        raise SigningError(f"a passphrase is needed and nobody can be asked; set {PASSPHRASE}")
    from getpass import getpass

    return getpass(prompt)
