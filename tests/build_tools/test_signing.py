"""Keys and signatures, against the minisign program where it is installed."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from build_tools import cli, signing
from build_tools.errors import SigningError
from build_tools.signing import KeyFile, SecretKey, write_keys
from edge_runtime import signature as signatures
from edge_runtime.signature import PublicKey

MESSAGE = b"name: tiny\nversion: 1.0.0\n"

# Made by minisign 0.11 with -G -W: a key that has signed nothing but tests.
OPEN_KEY = """\
untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAzbx23l4X1oMC0g96zqU/k0Szq9+NtyfGQB3p9VlclBQ\
mNe9G82divtkjyLiVlQiaYn9uvrIkaizgXz+h2o1fhN7WlnoXI28PAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
"""
PUBLIC_KEY = "RWTNvHbeXhfWg9kjyLiVlQiaYn9uvrIkaizgXz+h2o1fhN7WlnoXI28P"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys whose passphrase takes 16 MB to try, not a gigabyte."""
    monkeypatch.setattr(signing, "OPERATIONS", 524_288)
    monkeypatch.setattr(signing, "MEMORY", 1 << 24)


@pytest.fixture
def minisign() -> str:
    """The program."""
    found = shutil.which("minisign")
    if found is None:
        pytest.skip("minisign is not installed")
    return found


def key_file(path: Path, text: str) -> Path:
    """Readable by nobody else."""
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


def test_a_key_of_minisign(tmp_path: Path) -> None:
    """Is read, with the public key that belongs to it."""
    key = KeyFile.read(key_file(tmp_path / "key", OPEN_KEY)).unlock()
    assert key.public == PublicKey.parse(PUBLIC_KEY)
    assert str(key.public) == "83D6175EDE76BCCD"
    assert key.public.line() == PUBLIC_KEY


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("passphrase", ["", "correct horse", "naïve ☂"])
def test_a_new_key(tmp_path: Path, passphrase: str) -> None:
    """Two files, the secret one for its owner alone; read again, it signs for the same public key."""
    path = tmp_path / "edge.key"
    public = write_keys(path, passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PublicKey.parse((tmp_path / "edge.pub").read_text()) == public
    file = KeyFile.read(path)
    assert file.encrypted == bool(passphrase)
    signature = file.unlock(passphrase).sign(MESSAGE, "tiny 1.0.0")
    assert signatures.check(MESSAGE, signature.dump(), [public], source="x") == signature


@pytest.mark.usefixtures("cheap")
def test_a_wrong_passphrase(tmp_path: Path) -> None:
    """Or a damaged file, which cannot be told apart."""
    write_keys(tmp_path / "edge.key", "right")
    with pytest.raises(SigningError, match=r"edge\.key: wrong passphrase, or damaged"):
        KeyFile.read(tmp_path / "edge.key").unlock("wrong")


def test_no_key_is_replaced(tmp_path: Path) -> None:
    """Neither the secret one nor the public one; and where one is in the way, the other is not made."""
    write_keys(tmp_path / "edge.key", "")
    before = (tmp_path / "edge.key").read_bytes()
    with pytest.raises(SigningError, match=r"edge\.key: there already"):
        write_keys(tmp_path / "edge.key", "")
    (tmp_path / "other.pub").write_text("mine")
    with pytest.raises(SigningError, match=r"other\.pub: there already"):
        write_keys(tmp_path / "other.key", "")
    assert (tmp_path / "edge.key").read_bytes() == before
    assert not (tmp_path / "other.key").exists()
    with pytest.raises(SigningError, match=r"my\.pub: is the public key's name"):
        write_keys(tmp_path / "my.pub", "")
    with pytest.raises(SigningError, match=r"cannot be written \(No such file"):
        write_keys(tmp_path / "gone" / "edge.key", "")


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    """Is not used."""
    path = key_file(tmp_path / "key", OPEN_KEY)
    path.chmod(0o644)
    with pytest.raises(SigningError, match="others may read this secret key; chmod 600"):
        KeyFile.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        OPEN_KEY.replace("untrusted", ""),
        OPEN_KEY[:-20],
        OPEN_KEY.replace("RWQA", "RWQB"),
        PUBLIC_KEY,
    ],
)
def test_what_is_no_key(tmp_path: Path, text: str) -> None:
    """One error that names the file."""
    with pytest.raises(SigningError, match=r"key: not a"):
        KeyFile.read(key_file(tmp_path / "key", text))


def test_a_damaged_open_key(tmp_path: Path) -> None:
    """Its halves do not belong together."""
    lines = OPEN_KEY.splitlines()
    data = bytearray(base64.b64decode(lines[1]))
    data[70] ^= 1
    path = key_file(tmp_path / "key", f"{lines[0]}\n{base64.b64encode(data).decode()}\n")
    with pytest.raises(SigningError, match="key: damaged"):
        KeyFile.read(path).unlock()


def run(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A program's end."""
    return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_minisign_signs_with_our_key(minisign: str, tmp_path: Path, passphrase: str) -> None:
    """And we check what it signed, with both of its algorithms."""
    public = write_keys(tmp_path / "edge.key", passphrase)
    (tmp_path / "file").write_bytes(MESSAGE)
    for option in ("-H", "-l"):
        done = run(
            minisign,
            "-S",
            option,
            "-s",
            tmp_path / "edge.key",
            "-m",
            tmp_path / "file",
            stdin=f"{passphrase}\n",
        )
        assert done.returncode == 0, done.stderr
        found = signatures.check(MESSAGE, (tmp_path / "file.minisig").read_bytes(), [public], source="x")
        assert found is not None
        assert "file:file" in found.comment


def test_minisign_verifies_what_we_sign(minisign: str, tmp_path: Path) -> None:
    """And shows the comment."""
    public = write_keys(tmp_path / "edge.key", "")
    (tmp_path / "file").write_bytes(MESSAGE)
    signature = KeyFile.read(tmp_path / "edge.key").unlock().sign(MESSAGE, "tiny 1.0.0")
    (tmp_path / "file.minisig").write_bytes(signature.dump())
    done = run(minisign, "-V", "-m", tmp_path / "file", "-P", public.line())
    assert done.returncode == 0, done.stderr
    assert "Trusted comment: tiny 1.0.0" in done.stdout
    (tmp_path / "file").write_bytes(MESSAGE + b"x")
    assert run(minisign, "-V", "-m", tmp_path / "file", "-P", public.line()).returncode == 1


def test_we_sign_with_a_key_of_minisign(minisign: str, tmp_path: Path) -> None:
    """One with a passphrase, as it makes them."""
    path = tmp_path / "mini.key"
    done = run(minisign, "-G", "-s", path, "-p", tmp_path / "mini.pub", stdin="pass\npass\n")
    assert done.returncode == 0, done.stderr
    signature = KeyFile.read(path).unlock("pass").sign(MESSAGE, "tiny 1.0.0")
    (tmp_path / "file").write_bytes(MESSAGE)
    (tmp_path / "file.minisig").write_bytes(signature.dump())
    assert run(minisign, "-V", "-m", tmp_path / "file", "-p", tmp_path / "mini.pub").returncode == 0


def test_the_commands(
    bundle_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """keygen says what belongs into device.yaml; a packed bundle carries the signature."""
    key = tmp_path / "edge.key"
    assert cli.main(["keygen", str(key), "--no-passphrase"]) == 0
    line = PublicKey.parse((tmp_path / "edge.pub").read_text()).line()
    assert f"trusted_keys: [{line}]" in capsys.readouterr().out
    assert cli.main(["pack", str(bundle_copy), str(tmp_path / "tiny.edge"), "--sign", str(key)]) == 0
    assert "signed by" in capsys.readouterr().out
    signature = (bundle_copy / "manifest.yaml.minisig").read_bytes()
    assert b"trusted comment: tiny 1.0.0\n" in signature
    assert signature in (tmp_path / "tiny.edge").read_bytes()
    monkeypatch.setenv("EDGE_BUILD_PASSPHRASE", "")
    assert cli.main(["keygen", str(tmp_path / "other.key")]) == 1
    assert "an empty passphrase; say --no-passphrase" in capsys.readouterr().err


@pytest.mark.usefixtures("cheap")
def test_a_passphrase_from_the_environment(
    bundle_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked; without it, that is said."""
    monkeypatch.setenv("EDGE_BUILD_PASSPHRASE", "secret")
    assert cli.main(["keygen", str(tmp_path / "edge.key")]) == 0
    command = ["pack", str(bundle_copy), str(tmp_path / "tiny.edge"), "--sign", str(tmp_path / "edge.key")]
    assert cli.main(command) == 0
    monkeypatch.delenv("EDGE_BUILD_PASSPHRASE")
    assert cli.main(command) == 1
    assert "nobody can be asked; set EDGE_BUILD_PASSPHRASE" in capsys.readouterr().err


def test_keys_differ() -> None:
    """Each is new."""
    assert SecretKey.generate().public != SecretKey.generate().public
