"""Manual pages from a small folder of real ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.corpus import man, man_render
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, SkipLog
from build_tools.corpus.reader import read
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec

PAGE = r""".TH {upper} {section} "2024-01-01" "tools 1.0" "User Commands"
.SH NAME
{name} \- {summary}
.SH SYNOPSIS
.B {name}
[\fB\-v\fR] \fIFILE\fR
.SH DESCRIPTION
This is a rather long paragraph that would be broken over several lines, and hyphenated, if the page
were as narrow as a terminal usually is; here it stays on one line.
"""

needs_renderer = pytest.mark.skipif(
    not (man_render.shutil.which("groff") or man_render.shutil.which("mandoc")),
    reason="needs groff or mandoc",
)


def page(name: str, section: str = "1", summary: str = "do a thing") -> bytes:
    return PAGE.format(name=name, upper=name.upper(), section=section, summary=summary).encode()


def documents(root: Path, *sections: str) -> list[Document | BadRecord]:
    return list(man.documents(CorpusSpec("man", path=str(root), sections=sections or ("1", "5", "8"))))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A manual with the folders of two sections."""
    (tmp_path / "man1").mkdir()
    (tmp_path / "man8").mkdir()
    return tmp_path


@needs_renderer
def test_page_becomes_a_document(root: Path) -> None:
    """Title from the NAME section, options with plain hyphens, no header, no footer, no line breaks."""
    (root / "man1" / "frob.1.gz").write_bytes(gzip.compress(page("frob")))
    (document,) = documents(root)
    assert isinstance(document, Document)
    assert (document.key, document.title) == ("frob.1", "frob(1) - do a thing")
    assert document.metadata == {"section": "1"}
    lines = document.text.split("\n")
    assert lines[:5] == ["NAME", "frob - do a thing", "", "SYNOPSIS", "frob [-v] FILE"]
    assert lines[-1].startswith("This is a rather long paragraph")
    assert lines[-1].endswith("it stays on one line.")


@needs_renderer
@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_compressions(root: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    """Plain and compressed pages read the same."""
    (root / "man1" / f"frob.1{suffix}").write_bytes(compress(page("frob")))
    assert [d.key for d in documents(root) if isinstance(d, Document)] == ["frob.1"]


@needs_renderer
def test_aliases_count_once(root: Path) -> None:
    """Links and redirects to a page that is read are no documents of their own."""
    (root / "man8" / "frob.8").write_bytes(page("frob", "8"))
    (root / "man1" / "link.1").symlink_to(root / "man8" / "frob.8")
    (root / "man8" / "redirect.8").write_text('.\\" a comment\n.so man8/frob.8\n')
    assert [d.key for d in documents(root) if isinstance(d, Document)] == ["frob.8"]


@needs_renderer
def test_redirect_out_of_the_sections_is_followed(root: Path) -> None:
    """The page behind it is read once, under the name that is in the sections."""
    (root / "man8" / "frob.8.gz").write_bytes(gzip.compress(page("frob", "8")))
    (root / "man1" / "a.1").write_text(".so man8/frob.8\n")
    (root / "man1" / "b.1").write_text(".so man8/frob.8\n")
    assert [d.title for d in documents(root, "1") if isinstance(d, Document)] == ["a(1) - do a thing"]


@needs_renderer
def test_sections_and_translations(root: Path) -> None:
    """Only the sections asked for, by folder or by suffix; no translated pages."""
    (root / "de" / "man1").mkdir(parents=True)
    for name in ("man1/a.1", "man1/b.1ssl", "man8/c.8", "de/man1/d.1"):
        (root / name).write_bytes(page("x"))
    assert [d.key for d in documents(root, "1") if isinstance(d, Document)] == ["a.1", "b.1ssl"]
    assert [d.key for d in documents(root, "1ssl") if isinstance(d, Document)] == ["b.1ssl"]


@needs_renderer
def test_many_pages_stay_in_order(root: Path) -> None:
    """Pages are rendered side by side and come in the order of their names."""
    for number in range(30):
        (root / "man1" / f"p{number:02}.1").write_bytes(page(f"p{number:02}"))
    expected = [f"p{number:02}.1" for number in range(30)]
    assert [d.key for d in documents(root) if isinstance(d, Document)] == expected


@needs_renderer
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.1.gz", b"not gzip"),
        ("a.1.gz", gzip.compress(b"x" * 1000, mtime=0)[:-20]),
        ("a.1.xz", b"\xfd7zXZ\0broken"),
        ("a.1", b".so man1/gone.1\n"),
        ("a.1", b".so man1/a.1\n"),
        ("a.1", b""),
    ],
)
def test_bad_page_does_not_end_the_stream(root: Path, name: str, content: bytes) -> None:
    """A damaged page, a redirect to nowhere or an empty page is skipped; the next one is read."""
    (root / "man1" / name).write_bytes(content)
    (root / "man1" / "b.1").write_bytes(page("b"))
    log = SkipLog()
    spec = CorpusSpec("man", path=str(root), on_error="skip")
    assert [d.key for d in read(spec, skipped=log)] == ["b.1"]
    assert log.total == (0 if content == b".so man1/a.1\n" else 1)


@needs_renderer
def test_latin1_page(root: Path) -> None:
    """Old pages in Latin-1 are read as such."""
    (root / "man1" / "a.1").write_bytes(page("a", summary="caf\u00e9").decode().encode("latin-1"))
    assert [d.title for d in documents(root) if isinstance(d, Document)] == ["a(1) - caf\u00e9"]


def test_no_renderer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without groff and mandoc the error names the package to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match="apt-get install groff-base"):
        documents(root)


@needs_renderer
def test_folder_without_pages(tmp_path: Path) -> None:
    """The error says what was looked for."""
    with pytest.raises(
        CorpusError, match=r"no manual pages; expected files such as NAME\.1\.gz in man1/, man5/"
    ):
        documents(tmp_path)


@needs_renderer
def test_stopping_early(root: Path) -> None:
    """A limit ends the work; nothing is left running."""
    for number in range(20):
        (root / "man1" / f"p{number:02}.1").write_bytes(page("p"))
    spec = CorpusSpec("man", path=str(root), limit=2)
    assert [d.key for d in read(spec, skipped=SkipLog())] == ["p00.1", "p01.1"]
