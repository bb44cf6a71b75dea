"""Signatures, and devices that trust keys: what nobody trusted has signed is neither installed nor opened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge_runtime
from build_tools import signing
from build_tools.pack import pack
from build_tools.signing import SecretKey
from edge_runtime import device_config
from edge_runtime import signature as signatures
from edge_runtime.cli import main
from edge_runtime.errors import ConfigError, SignatureError
from edge_runtime.signature import PublicKey, Signature
from edge_runtime.store.install import install
from edge_runtime.store.mend import repair
from edge_runtime.store.status import status

KEY, OTHER = SecretKey.generate(), SecretKey.generate()
MANIFEST = b"name: tiny\nversion: 1.0.0\n"
SIGNATURE = KEY.sign(MANIFEST, "tiny 1.0.0").dump()


def check(manifest: bytes = MANIFEST, signature: bytes | None = SIGNATURE) -> Signature | None:
    """Against one trusted key."""
    return signatures.check(manifest, signature, [OTHER.public, KEY.public], source="x")


def test_a_sound_signature() -> None:
    """Gives the comment, which is signed too; without keys nothing is looked at."""
    found = check()
    assert found is not None
    assert found.comment == "tiny 1.0.0"
    assert signatures.check(MANIFEST, b"nonsense", [], source="x") is None


def test_every_byte_counts() -> None:
    """Of the manifest, and of the signature but for its untrusted comment and what ends a line."""
    for place in range(len(MANIFEST)):
        with pytest.raises(SignatureError, match="but not this manifest"):
            check(MANIFEST[:place] + bytes([MANIFEST[place] ^ 1]) + MANIFEST[place + 1 :])
    begin = SIGNATURE.index(b"\n") + 1
    for place in range(begin, len(SIGNATURE) - 1):
        with pytest.raises(SignatureError):
            check(signature=SIGNATURE[:place] + bytes([SIGNATURE[place] ^ 1]) + SIGNATURE[place + 1 :])


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """One error of ours."""
    with pytest.raises(SignatureError):
        check(signature=data)


@given(st.text(max_size=100))
def test_any_text_as_a_key(text: str) -> None:
    """Is none."""
    with pytest.raises(ValueError, match="expected a public key of minisign"):
        PublicKey.parse(text)


def test_who_did_not_sign() -> None:
    """The error names the key, and those that are trusted."""
    with pytest.raises(SignatureError, match=f"x: not signed; this device trusts {KEY.public}"):
        signatures.check(MANIFEST, None, [KEY.public], source="x")
    with pytest.raises(SignatureError, match=f"x: signed by {KEY.public}; this device trusts {OTHER.public}"):
        signatures.check(MANIFEST, SIGNATURE, [OTHER.public], source="x")


def test_the_same_id_is_not_the_same_key() -> None:
    """An id is chosen by whoever makes the key."""
    forged = SecretKey(KEY.id, OTHER.signing).sign(MANIFEST, "tiny 1.0.0").dump()
    with pytest.raises(SignatureError, match="but not this manifest"):
        check(signature=forged)


def test_another_comment() -> None:
    """Somebody else's words under the signer's name."""
    with pytest.raises(SignatureError, match="the comment of its signature was changed"):
        check(signature=SIGNATURE.replace(b"comment: tiny 1.0.0", b"comment: tiny 9.9.9"))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "nacl.signing", None)
    with pytest.raises(SignatureError, match=r"pip install 'edge-runtime\[signing\]'"):
        check()


def trust(home: Path, *keys: PublicKey) -> None:
    """Writes them into device.yaml."""
    home.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"  - {key.line()}\n" for key in keys)
    (home / device_config.FILENAME).write_text(f"trusted_keys:\n{lines}" if keys else "")


@pytest.fixture
def signed(bundle_copy: Path, tmp_path: Path) -> Callable[[SecretKey], Path]:
    """The tiny bundle's transport file, signed by a key."""

    def packed(key: SecretKey) -> Path:
        signing.sign(bundle_copy, key, name="tiny", version="1.0.0")
        return pack(bundle_copy, tmp_path / "signed.edge")

    return packed


def test_a_device_that_trusts_a_key(home: Path, bundle: Path, signed: Callable[[SecretKey], Path]) -> None:
    """Takes what that key signed, and nothing else; what it refuses leaves no trace."""
    trust(home, KEY.public)
    for source, problem in ((bundle, "not signed"), (signed(OTHER), f"signed by {OTHER.public}")):
        with pytest.raises(SignatureError, match=problem):
            install(source, self_test=None)
        with pytest.raises(SignatureError, match=problem):
            install(source, self_test=None, dry_run=True)
    assert status() == ()
    file = signed(KEY)
    install(file, self_test=None)
    assert (next(home.glob("bundles/tiny/1.0.0-*")) / "manifest.yaml.minisig").is_file()
    with edge_runtime.open("tiny") as retriever:
        assert retriever.search("yeast and dough")
    assert repair(file).files == ()
    with pytest.raises(SignatureError, match="not signed"):
        repair(bundle)
    with pytest.raises(SignatureError, match="not signed"):
        edge_runtime.open(bundle)


def test_a_key_that_is_trusted_no_more(home: Path, signed: Callable[[SecretKey], Path]) -> None:
    """What it signed does not open any more, though it is installed."""
    trust(home, KEY.public)
    install(signed(KEY), self_test=None)
    trust(home, OTHER.public)
    with pytest.raises(SignatureError, match=f"signed by {KEY.public}; this device trusts {OTHER.public}"):
        edge_runtime.open("tiny")
    trust(home)
    edge_runtime.open("tiny").close()


def test_verify_says_who(
    home: Path, bundle: Path, signed: Callable[[SecretKey], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Or that nobody asked; with a trusted key, what is not signed fails."""
    assert main(["verify", str(bundle), "--files-only"]) == 0
    assert "not checked: who made it" in capsys.readouterr().out
    trust(home, KEY.public)
    install(signed(KEY), self_test=None)
    assert main(["verify", "tiny", "--files-only"]) == 0
    assert f"signed by {KEY.public}: tiny 1.0.0" in capsys.readouterr().out
    assert main(["verify", str(bundle), "--files-only"]) == 1
    assert "not signed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "keys", ["abc", "[abc]", "[1]", pytest.param(f"[{KEY.public.line()[:-4]}]", id="cut short")]
)
def test_what_is_no_key(home: Path, bundle: Path, keys: str) -> None:
    """Then nothing is taken at all: a mistake must not let everything in."""
    home.mkdir()
    (home / device_config.FILENAME).write_text(f"trusted_keys: {keys}\n")
    for call in (lambda: install(bundle, self_test=None), lambda: edge_runtime.open(bundle)):
        with pytest.raises(ConfigError, match="trusted_keys"):
            call()
