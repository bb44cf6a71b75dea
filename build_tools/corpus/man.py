"""Manual pages, the machine's own or a folder of them, rendered to text.

Pages are found as man(1) finds them: the first root of the search path wins, and a page under several
names (a link, or a ``.so`` redirect) is one document. Translated pages (man/de/...) are left out.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import subprocess
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from build_tools.corpus import man_render, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, Record
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec

MAX_PAGE_BYTES = 16 << 20
"""A larger page, decompressed, is a bad record."""

_USUAL_ROOTS = ("/usr/local/share/man", "/usr/share/man")
_FOLDER = re.compile(r"man([0-9nl]\w*)")
_FILE = re.compile(r"(?P<name>.+)\.(?P<section>[0-9nl][^.]*)(?:\.(?:gz|bz2|xz|lzma))?")
_REDIRECT = re.compile(r"(?:[.'][ \t]*\\[\"#].*\n|[ \t]*\n)*[.'][ \t]*so[ \t]+(\S+)")
_MAX_REDIRECTS = 5
_OPENERS: dict[str, Callable[[Path, str], IO[bytes]]] = {
    ".gz": gzip.open,  # type: ignore[dict-item]
    ".bz2": bz2.open,  # type: ignore[dict-item]
    ".xz": lzma.open,  # type: ignore[dict-item]
    ".lzma": lzma.open,  # type: ignore[dict-item]
}


@dataclass(frozen=True, slots=True)
class _Page:
    """A file in ``root/manN/``."""

    root: Path
    path: Path
    name: str
    section: str

    @property
    def key(self) -> str:
        return f"{self.name}.{self.section}"


@dataclass(frozen=True, slots=True)
class _Source:
    """A page with what is to be rendered."""

    page: _Page
    text: str


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The pages of ``spec.sections`` under ``spec.path``, or under the machine's own manual path.

    Raises:
        CorpusError: no renderer is installed, or there is no page in these sections.
    """
    command = man_render.find_renderer()
    roots = roots_of(spec)
    pages = _pages(roots, spec.sections)
    if not pages:
        looked = ", ".join(utf8.printable(root) for root in roots) or "the machine's manual path"
        wanted = ", ".join(f"man{section}/" for section in spec.sections)
        raise CorpusError(f"{looked}: no manual pages; expected files such as NAME.1.gz in {wanted}")
    yield from _in_parallel(partial(_document, command=command), _sources(pages))


def roots_of(spec: CorpusSpec) -> list[Path]:
    """The folders that hold ``man1`` and so on: ``spec.path``, or those of the machine's own manual path."""
    return [Path(spec.path).expanduser()] if spec.path else _machine_roots()


def _machine_roots() -> list[Path]:
    found = ""
    if manpath := shutil.which("manpath"):
        done = subprocess.run([manpath, "-q"], capture_output=True, text=True, errors="replace", check=False)
        found = done.stdout.strip()
    roots = [Path(root) for root in (found.split(":") if found else _USUAL_ROOTS) if root]
    return [root for root in roots if root.is_dir()]


def _pages(roots: Iterable[Path], sections: Sequence[str]) -> list[_Page]:
    """Every page once by its key, in the order of roots, folders and names."""
    pages: dict[str, _Page] = {}
    for root in roots:
        for folder in sorted(root.iterdir()):
            in_folder = _FOLDER.fullmatch(folder.name)
            if in_folder and folder.is_dir():
                for page in _folder_pages(root, folder, in_folder[1], sections):
                    pages.setdefault(page.key, page)
    return list(pages.values())


def _folder_pages(root: Path, folder: Path, section: str, sections: Sequence[str]) -> Iterator[_Page]:
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match and (section in sections or match["section"] in sections):
            yield _Page(root, path, match["name"], match["section"])


def _sources(pages: Sequence[_Page]) -> Iterator[_Source | BadRecord]:
    """The pages to render: aliases of a page that is in the list, or came before, are left out."""
    seen = {os.path.realpath(page.path) for page in pages if not page.path.is_symlink()}
    for page in pages:
        real = os.path.realpath(page.path)
        if page.path.is_symlink() and real in seen:
            continue
        seen.add(real)
        try:
            source = _source(page, seen)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            yield BadRecord(utf8.printable(page.path), "unreadable manual page", str(error))
            continue
        if source is not None:
            yield source


def _source(page: _Page, seen: set[str]) -> _Source | None:
    """What to render for `page`; None when it redirects to a page that is read anyway."""
    text = _load(page.path)
    for _ in range(_MAX_REDIRECTS):
        if not text.strip():
            raise ValueError("expected a page; found an empty file")
        redirect = _REDIRECT.match(text)
        if redirect is None:
            return _Source(page, text)
        target = _redirect_target(page, redirect[1])
        real = os.path.realpath(target)
        if real in seen:
            return None
        seen.add(real)
        text = _load(target)
    raise ValueError(f"expected a page; found more than {_MAX_REDIRECTS} redirects")


def _redirect_target(page: _Page, name: str) -> Path:
    for folder in (page.root, page.path.parent):
        for suffix in ("", ".gz", ".bz2", ".xz"):
            candidate = folder / f"{name}{suffix}"
            if candidate.is_file():
                return candidate
    raise ValueError(f"it redirects to {name}, which is not there")


def _load(path: Path) -> str:
    opener = _OPENERS.get(path.suffix)
    with opener(path, "rb") if opener else path.open("rb") as file:
        raw = file.read(MAX_PAGE_BYTES + 1)
    if len(raw) > MAX_PAGE_BYTES:
        raise ValueError(f"expected at most {MAX_PAGE_BYTES >> 20} MiB; found more")
    try:
        return utf8.decode(raw)
    except utf8.NotUtf8Error:
        return raw.decode("latin-1")  # what manual pages were written in before UTF-8


def _document(source: _Source | BadRecord, *, command: Sequence[str]) -> Record:
    if isinstance(source, BadRecord):
        return source
    page = source.page
    origin = utf8.printable(page.path)
    try:
        rendered = man_render.render(source.text, command, root=page.root)
    except man_render.RenderError as error:
        return BadRecord(origin, "manual page not rendered", str(error))
    title = f"{page.name}({page.section})"
    if rendered.summary:
        title = f"{title} - {rendered.summary}"
    return Document(page.key, title, rendered.text, {"section": page.section}, origin)


def _in_parallel(
    work: Callable[[_Source | BadRecord], Record], sources: Iterable[_Source | BadRecord]
) -> Iterator[Record]:
    """`work` on each source, in order, a few at once: a page takes tens of milliseconds of a subprocess."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[Record]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for source in sources:
                waiting.append(pool.submit(work, source))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
