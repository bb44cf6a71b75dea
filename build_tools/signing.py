"""Keys that sign bundles, in minisign's formats: each of the two verifies what the other has signed.

A secret key is a file of two lines, its bytes covered by a stream that scrypt makes of a passphrase, or open.
Format: https://jedisct1.github.io/minisign, sections "Secret key format" and "Signature format".
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from build_tools.errors import SigningError
from build_tools.workspace import write_atomically
from edge_runtime.manifest import FILENAME, SIGNATURE
from edge_runtime.signature import COMMENT, ID_BYTES, PREHASHED, PURE, PublicKey, Signature

SCRYPT, OPEN, BLAKE2 = b"Sc", b"\0\0", b"B2"

OPERATIONS, MEMORY = 33_554_432, 1 << 30
"""Of scrypt, as minisign has them: a gigabyte, and about a second."""

_FILE = struct.Struct("<2s2s2s32sQQ104s")
_SECRET = struct.Struct("<8s64s32s")
_COMMENT = f"{COMMENT}minisign encrypted secret key"
_OPEN_COMMENT = f"{COMMENT}minisign secret key, not encrypted"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that signs. `id` tells it apart."""

    id: bytes
    signing: SigningKey

    @classmethod
    def generate(cls) -> SecretKey:
        """A new one."""
        return cls(secrets.token_bytes(ID_BYTES), SigningKey.generate())

    @property
    def public(self) -> PublicKey:
        """What devices trust."""
        return PublicKey(self.id, bytes(self.signing.verify_key))

    def sign(self, data: bytes, comment: str) -> Signature:
        """Of the BLAKE2b-512 digest of `data`, with a comment of one line that is signed too."""
        signature = self.signing.sign(hashlib.blake2b(data).digest()).signature
        of_comment = self.signing.sign(signature + comment.encode()).signature
        return Signature(PREHASHED, self.id, signature, comment, of_comment)

    def dump(self, passphrase: str) -> bytes:
        """The bytes of its file; with an empty passphrase whoever reads the file has the key."""
        pair = bytes(self.signing) + bytes(self.signing.verify_key)
        secret = _SECRET.pack(self.id, pair, _checksum(self.id, pair))
        salt, operations, memory = secrets.token_bytes(32), OPERATIONS, MEMORY
        if passphrase:
            secret = _covered(secret, passphrase, salt, operations, memory)
        else:
            salt, operations, memory = bytes(32), 0, 0
        function = SCRYPT if passphrase else OPEN
        data = _FILE.pack(PURE, function, BLAKE2, salt, operations, memory, secret)
        comment = _COMMENT if passphrase else _OPEN_COMMENT
        return f"{comment}\n{base64.b64encode(data).decode()}\n".encode()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A secret key as its file has it; `encrypted` says whether `unlock` needs a passphrase."""

    path: Path
    function: bytes
    salt: bytes
    operations: int
    memory: int
    secret: bytes

    @classmethod
    def read(cls, path: Path) -> KeyFile:
        """Reads it.

        Raises:
            SigningError: it cannot be read, is not a secret key, or others may read it.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise SigningError(f"{path}: others may read this secret key; chmod 600 {path}")
            lines = path.read_bytes()[:4096].decode("utf-8", "replace").splitlines()
        except OSError as error:
            raise SigningError(
                f"{path}: cannot be read ({error.strerror}); edge-build keygen makes one"
            ) from None
        try:
            data = base64.b64decode(lines[1], validate=True) if len(lines) == 2 else b""
        except ValueError:
            data = b""
        if len(data) != _FILE.size or not lines[0].startswith(COMMENT):
            raise SigningError(
                f"{path}: not a secret key of minisign or edge-build keygen; name another file"
            )
        kind, function, checksum, salt, operations, memory, secret = _FILE.unpack(data)
        if kind != PURE or checksum != BLAKE2 or function not in (SCRYPT, OPEN):
            raise SigningError(f"{path}: not an Ed25519 key as minisign makes them; name another file")
        return cls(path, function, salt, operations, memory, secret)

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase covers it."""
        return self.function == SCRYPT

    def unlock(self, passphrase: str = "") -> SecretKey:
        """The key.

        Raises:
            SigningError: a wrong passphrase, or a damaged file.
        """
        secret = self.secret
        if self.encrypted:
            try:
                secret = _covered(secret, passphrase, self.salt, self.operations, self.memory)
            except (CryptoError, ValueError, MemoryError):
                raise SigningError(
                    f"{self.path}: its scrypt parameters cannot be used; is it damaged?"
                ) from None
        key_id, pair, checksum = _SECRET.unpack(secret)
        key = SigningKey(pair[:32])
        # minisign gives an open key no checksum.
        proven = checksum == _checksum(key_id, pair) or not (self.encrypted or any(checksum))
        if not proven or bytes(key.verify_key) != pair[32:]:
            problem = "wrong passphrase, or damaged" if self.encrypted else "damaged"
            raise SigningError(f"{self.path}: {problem}")
        return SecretKey(key_id, key)


def write_keys(path: Path, passphrase: str) -> PublicKey:
    """Writes a new secret key, readable by its owner alone, and beside it ``.pub``, for devices.

    Raises:
        SigningError: one of the files is there already, or cannot be written.
    """
    key, public = SecretKey.generate(), path.with_suffix(".pub")
    if path == public:
        raise SigningError(f"{path}: is the public key's name; name the secret key something else")
    comment = f"{COMMENT}minisign public key {key.public}"
    contents = (
        (path, key.dump(passphrase), 0o600),
        (public, f"{comment}\n{key.public.line()}\n".encode(), 0o644),
    )
    try:
        for place, _, _ in contents:
            if place.exists() or place.is_symlink():
                raise SigningError(
                    f"{place}: there already; what it has signed needs it, so name another file"
                )
        for place, data, mode in contents:
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
    except OSError as error:
        raise SigningError(f"{error.filename or path}: cannot be written ({error.strerror})") from None
    return key.public


def sign(bundle: Path, key: SecretKey, *, name: str, version: str) -> Path:
    """Writes the signature of a bundle's manifest beside it; its comment is the name and the version.

    Raises:
        OSError: it cannot be written.
    """
    signature = key.sign((bundle / FILENAME).read_bytes(), f"{name} {version}")
    target = bundle / SIGNATURE
    write_atomically(target, lambda file: file.write(signature.dump()))
    return target


def _covered(secret: bytes, passphrase: str, salt: bytes, operations: int, memory: int) -> bytes:
    """XOR with the stream of a passphrase: what covers it uncovers it."""
    limit = min(memory, MEMORY)  # nobody's file makes this process take more
    stream = pwhash.scrypt.kdf(len(secret), passphrase.encode(), salt, opslimit=operations, memlimit=limit)
    return bytes(a ^ b for a, b in zip(secret, stream, strict=True))


def _checksum(key_id: bytes, pair: bytes) -> bytes:
    return hashlib.blake2b(PURE + key_id + pair, digest_size=32).digest()
