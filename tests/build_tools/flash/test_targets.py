"""What targets mean, and which are refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.errors import FlashError
from build_tools.flash.targets import SshTarget, StickTarget, StoreTarget, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://pi", ("pi", None, None, None)),
        ("ssh://pi.local/", ("pi.local", None, None, None)),
        ("ssh://me@192.0.2.7:2222", ("192.0.2.7", "me", 2222, None)),
        ("ssh://me@[fe80::1%eth0]:22/srv/edge store/", ("fe80::1%eth0", "me", 22, "/srv/edge store")),
        ("ssh://My_Alias/data", ("My_Alias", None, None, "/data")),
    ],
)
def test_ssh(text: str, expected: tuple[str, str | None, int | None, str | None]) -> None:
    """Aliases keep their case, for ssh's configuration knows them so."""
    assert parse(text) == SshTarget(text, *expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ssh://", "expected ssh://"),
        ("ssh:pi", "expected ssh://"),
        ("ssh://-oProxyCommand=touch x", "expected a user, a host and a port"),
        ("ssh://-l@pi", "expected a user, a host"),
        ("ssh://@pi", "expected a user, a host"),
        ("ssh://pi me", "expected a user, a host"),
        ("ssh://pi:0", "expected a user, a host and a port"),
        ("ssh://pi:99999", "expected a user, a host and a port"),
        ("ssh://pi:22x", "expected ssh://"),
        ("ssh://me:secret@pi", "a password does not belong in a target"),
        ("ssh://pi/a/../b", r"without '\.\.'"),
        ("ssh://pi/a\nb", "expected ssh://"),
        ("ftp://pi", "expected ssh://HOST, a mounted root file system"),
        ("/gone", "expected a folder"),
        ("stick:", "expected a folder"),
        ("stick:/gone", "expected a folder"),
        ("a\0b", "expected a folder"),
        ("", "expected a folder"),
        ("/", "this is the computer that runs"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    """With what was expected; nothing becomes an option of ssh, and no password is shown."""
    with pytest.raises(FlashError, match=problem) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_folders(tmp_path: Path) -> None:
    """A root file system is told by what it holds; a store may be new."""
    for name in ("etc", "usr", "var"):
        (tmp_path / "card" / name).mkdir(parents=True)
    card = str(tmp_path / "card")
    assert parse(card) == StoreTarget(card, tmp_path / "card/var/lib/edge-runtime", other=True)
    new = f"store:{tmp_path}/new"
    assert parse(new) == StoreTarget(new, tmp_path / "new", other=False)
    stick = f"stick:{tmp_path}"
    assert parse(stick) == StickTarget(stick, tmp_path)
    with pytest.raises(FlashError, match=r"no root file system .*; for a stick write stick:"):
        parse(str(tmp_path))


def test_a_card_whose_links_lead_here(tmp_path: Path) -> None:
    """An absolute link on a card would lead into this computer's own files."""
    for name in ("etc", "usr"):
        (tmp_path / "card" / name).mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "card/var").symlink_to(tmp_path / "data")
    with pytest.raises(FlashError, match="a link that leads out of it"):
        parse(str(tmp_path / "card"))
