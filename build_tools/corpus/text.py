"""A folder of .txt, .md and .html files: one document a file, its relative path the key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from build_tools.corpus import front_matter, html_text, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.markdown import ATX, without_closing
from build_tools.corpus.problems import BadRecord, Record
from build_tools.recipe import CorpusSpec
from build_tools.workspace import LOCK, STAGES

SUFFIXES = frozenset([".txt", ".md", ".html", ".htm"])

_RECORD = "build.yaml"  # record.FILENAME, which cannot be imported here

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(rf"^{ATX}|^(?! {{4}})(\S.*)\n {{0,3}}=+[ \t]*$", re.MULTILINE)


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The files under ``spec.path``, in the order of their paths.

    Hidden files and folders are passed over, and what edge-build has built there; links to folders are not
    followed, links to files are.
    """
    root = Path(spec.path or "")
    return beneath(root, root)


def beneath(path: Path, root: Path) -> Iterator[Record]:
    """The same of one file or folder, with keys relative to `root`, which it lies in."""
    for entry in files(path) if path.is_dir() else [path]:
        yield entry if isinstance(entry, BadRecord) else _document(entry, root)


def files(folder: Path) -> Iterator[Path | BadRecord]:
    """The files under `folder` that are read, in order, and a bad record for a folder that cannot be."""
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield BadRecord(utf8.printable(path), "cannot be read", error.strerror or str(error))
            continue
        if path == folder or not is_build_folder(entry.name for entry in entries):
            waiting += reversed([*_wanted(entries)])


def is_build_folder(names: Iterable[str]) -> bool:
    """Whether a folder of such names was made by edge-build; its report, for one, is no document."""
    found = set(names)
    return LOCK in found and not found.isdisjoint((STAGES, _RECORD))


def _wanted(entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[Path, bool]]:
    """What is to be looked at, and whether it is a folder."""
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield path, True
        elif path.suffix.lower() in SUFFIXES and (_is_file(entry) or entry.is_symlink()):
            yield path, False


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
