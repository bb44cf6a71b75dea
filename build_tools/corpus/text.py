"""A folder of .txt, .md and .html files: one document a file, its relative path the key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from build_tools.corpus import front_matter, html_text, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.markdown import ATX, without_closing
from build_tools.corpus.problems import BadRecord, Record
from build_tools.recipe import CorpusSpec

SUFFIXES = frozenset([".txt", ".md", ".html", ".htm"])

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(rf"^{ATX}|^(?! {{4}})(\S.*)\n {{0,3}}=+[ \t]*$", re.MULTILINE)


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The files under ``spec.path``, in the order of their paths.

    Hidden files and folders are passed over; links to folders are not followed, links to files are.
    """
    root = Path(spec.path or "")
    return beneath(root, root)


def beneath(path: Path, root: Path) -> Iterator[Record]:
    """The same of one file or folder, with keys relative to `root`, which it lies in."""
    for entry in _files(path) if path.is_dir() else [path]:
        yield entry if isinstance(entry, BadRecord) else _document(entry, root)


def _files(folder: Path) -> Iterator[Path | BadRecord]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield BadRecord(utf8.printable(folder), "cannot be read", error.strerror or str(error))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif Path(entry.name).suffix.lower() in SUFFIXES and (_is_file(entry) or entry.is_symlink()):
            yield Path(entry.path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    # Named pipes and devices would block or never end.
    return entry.is_file(follow_symlinks=False)


def _document(path: Path, root: Path) -> Record:
    origin = utf8.printable(path)
    key = path.relative_to(root).as_posix()
    if utf8.printable(key) != key:
        return BadRecord(origin, "file name not UTF-8", "expected a name in UTF-8; rename the file")
    try:
        if not path.is_file():
            return BadRecord(origin, "broken link", "expected a link to a file; remove or repair it")
        content = utf8.decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
        title, text = _parse(content, path.suffix.lower())
    except OSError as error:
        return BadRecord(origin, "cannot be read", error.strerror or str(error))
    except utf8.NotUtf8Error as error:
        return BadRecord(origin, "not UTF-8", f"expected UTF-8; {error}")
    except ValueError as error:
        return BadRecord(origin, "malformed HTML", str(error))
    return Document(key, title or path.stem, text, origin=origin)


def _parse(content: str, suffix: str) -> tuple[str, str]:
    if suffix == ".md":
        return _markdown(content)
    if suffix in (".html", ".htm"):
        return html_text.extract(content)
    return "", content


def _markdown(content: str) -> tuple[str, str]:
    title, body = front_matter.split(content)
    heading = _HEADING.search(_FENCED.sub("", body))
    return without_closing(heading[1] or heading[2]) if heading else title, body
