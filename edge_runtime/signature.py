"""Who made a bundle: Ed25519 signatures of its manifest, in the files of minisign.

The manifest has the sha256 of every other file, so signing it signs the bundle. Keys and signatures are those
of the minisign program, which makes and checks them as well (https://jedisct1.github.io/minisign, "Signature
format"). Only `_verified` needs PyNaCl, the extra ``signing``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import SignatureError
from edge_runtime.schema import shown

PURE, PREHASHED = b"Ed", b"ED"
"""What is signed: the file itself (minisign before 0.10, or with ``-l``), or its BLAKE2b-512 digest."""

COMMENT, TRUSTED_COMMENT = "untrusted comment: ", "trusted comment: "

MAX_BYTES = 1 << 14
"""Of a signature's file, in which a comment of at most 8 KiB is the only long part."""

ID_BYTES, KEY_BYTES, SIGNATURE_BYTES = 8, 32, 64
MAX_KEY_CHARS = 4096


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with. `id` tells keys apart and proves nothing."""

    id: bytes
    key: bytes

    def __str__(self) -> str:
        return key_name(self.id)

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """From the second line of a minisign public key file, or from all of it.

        Raises:
            ValueError: it is not one; the message says what was expected and found.
        """
        lines = text[:MAX_KEY_CHARS].split("\n")
        if lines[0].startswith(COMMENT):
            lines = lines[1:]
        line = lines[0].strip()
        data = _decoded(line, len(PURE) + ID_BYTES + KEY_BYTES)
        if data is None or data[:2] != PURE or any(rest.strip() for rest in lines[1:]):
            raise ValueError(f"expected a public key of minisign, 56 letters and digits; found {shown(text)}")
        return cls(data[2:10], data[10:])

    def line(self) -> str:
        """As `parse` reads it."""
        return base64.b64encode(PURE + self.id + self.key).decode()


@dataclass(frozen=True, slots=True)
class Signature:
    """The content of a ``.minisig`` file.

    Attributes:
        algorithm: `PURE` or `PREHASHED`.
        comment: what the signer says of the file; signed together with `signature` by `comment_signature`.
    """

    algorithm: bytes
    key_id: bytes
    signature: bytes
    comment: str
    comment_signature: bytes

    @classmethod
    def parse(cls, data: bytes, source: str) -> Signature:
        """Reads the four lines of the file; `source` names it in errors.

        Raises:
            SignatureError: they are not such lines.
        """
        try:
            lines = data.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            lines = []
        lines = [line.removesuffix("\r") for line in lines]
        if len(lines) != 4 or not lines[0].startswith(COMMENT) or not lines[2].startswith(TRUSTED_COMMENT):
            raise _malformed(source, "four lines, the first and third of them comments")
        signature = _decoded(lines[1], len(PURE) + ID_BYTES + SIGNATURE_BYTES)
        comment_signature = _decoded(lines[3], SIGNATURE_BYTES)
        if signature is None or comment_signature is None or signature[:2] not in (PURE, PREHASHED):
            raise _malformed(source, "an Ed25519 signature in base64")
        comment = lines[2].removeprefix(TRUSTED_COMMENT)
        if not comment.replace("\t", " ").isprintable():
            raise _malformed(source, "a comment that can be printed")
        return cls(signature[:2], signature[2:10], signature[10:], comment, comment_signature)

    def dump(self) -> bytes:
        """The bytes of the file."""
        lines = (
            f"{COMMENT}signature of an edge-runtime bundle",
            base64.b64encode(self.algorithm + self.key_id + self.signature).decode(),
            f"{TRUSTED_COMMENT}{self.comment}",
            base64.b64encode(self.comment_signature).decode(),
        )
        return "".join(f"{line}\n" for line in lines).encode()


def check(
    manifest: bytes, signature: bytes | None, keys: Sequence[PublicKey], *, source: str
) -> Signature | None:
    """Lets a bundle through that one of these keys has signed; any bundle where there are no keys.

    Args:
        manifest: the bytes of manifest.yaml.
        signature: those of manifest.yaml.minisig; None where there is none.
        source: names the bundle in errors.

    Returns:
        The signature, which is right; None where there are no keys, and nothing was looked at.

    Raises:
        SignatureError: not signed, not by one of the keys, or not this manifest.
    """
    if not keys:
        return None
    trusted = ", ".join(map(str, keys))
    if signature is None:
        raise SignatureError(f"{source}: not signed; this device trusts {trusted} (device.yaml)")
    found = Signature.parse(signature, source)
    key = next((each for each in keys if each.id == found.key_id), None)
    if key is None:
        signer = key_name(found.key_id)
        raise SignatureError(f"{source}: signed by {signer}; this device trusts {trusted} (device.yaml)")
    message = _digest(manifest) if found.algorithm == PREHASHED else manifest
    if not _verified(key, message, found.signature):
        raise SignatureError(f"{source}: signed by {key}, but not this manifest; copy the bundle again")
    if not _verified(key, found.signature + found.comment.encode(), found.comment_signature):
        raise SignatureError(f"{source}: the comment of its signature was changed; copy the bundle again")
    return found


def key_name(key_id: bytes) -> str:
    """As minisign writes it: 16 hexadecimal digits, the last byte first."""
    return key_id[::-1].hex().upper()


def _digest(data: bytes) -> bytes:
    import hashlib  # brings OpenSSL, 4 MB, which a device without keys does not need

    return hashlib.blake2b(data).digest()


def _verified(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        from nacl.exceptions import BadSignatureError
        from nacl.signing import VerifyKey
    except ImportError:
        problem = "device.yaml trusts keys, and signatures cannot be checked without PyNaCl"
        raise SignatureError(f"{problem}; pip install 'edge-runtime[signing]'") from None
    try:
        VerifyKey(key.key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def _decoded(line: str, size: int) -> bytes | None:
    """Base64 of just so many bytes, written in the one way that there is."""
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == size and base64.b64encode(data).decode() == line else None


def _malformed(source: str, expected: str) -> SignatureError:
    problem = f"expected {expected}; copy the bundle again, or sign it again"
    return SignatureError(f"{source}: its signature is not a file of minisign: {problem}")
