"""Any corpus as a stream of sound documents: picks the reader, and checks what every source must keep to.

A document that leaves here has a unique printable key, a text that is not blank, and nothing that cannot
be stored as UTF-8 and JSON. Memory holds one document and a 16-byte digest for each key seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

from build_tools.corpus import beir, chosen, delimited, jsonl, man, python_library, text, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, Record, SkipLog
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, OnError

__all__ = ["READERS", "SkipLog", "checked_path", "read", "records", "sound"]

READERS: dict[str, Callable[[CorpusSpec], Iterator[Record]]] = {
    "python": python_library.documents,
    "jsonl": jsonl.documents,
    "csv": delimited.documents,
    "text": text.documents,
    "man": man.documents,
    "beir": beir.documents,
}
"""A reader for each ``corpus.source``; a new source is a file here and a line in this table."""

_FILE_SOURCES = frozenset(["jsonl", "csv"])


def read(spec: CorpusSpec, *, skipped: SkipLog) -> Iterator[Document]:
    r"""The corpus' documents, at most ``spec.limit``, in an order that is the same each time.

    Line ends become ``\n``, NUL characters are removed, titles are put on one line.

    Args:
        spec: where the documents come from.
        skipped: counts the bad records when ``spec.on_error`` is ``skip``.

    Raises:
        CorpusError: the path is missing or of the wrong kind, no document is found, or, unless
            ``spec.on_error`` is ``skip``, a record is bad. The path is checked before the first document.
            After the last of them: a field that the recipe chose is in no record.
    """
    if spec.path is not None:
        spec = replace(spec, path=str(checked_path(spec)))
    found = sound(lambda: records(spec), _named(spec), on_error=spec.on_error, skipped=skipped)
    return islice(chosen.checked(found, spec), spec.limit)


def records(spec: CorpusSpec) -> Iterator[Record]:
    """What the source holds, sound or not.

    Raises:
        CorpusError: it cannot be read.
    """
    try:
        yield from READERS[spec.source](spec)
    except OSError as error:
        raise CorpusError(f"{_named(spec)}: cannot be read ({error.strerror or error})") from None


def sound(
    source: Callable[[], Iterable[Record]], name: str, *, on_error: OnError, skipped: SkipLog
) -> Iterator[Document]:
    """The documents among the records, each tidied and checked.

    Args:
        source: gives the records; called again to say where a repeated key was first.
        name: of the source, for errors.
        on_error: as in the recipe.
        skipped: counts the bad records where `on_error` is ``skip``.

    Raises:
        CorpusError: no document is found, or a record is bad and `on_error` is ``fail``.
    """
    seen: set[bytes] = set()
    empty = True
    for record in source():
        checked = _checked(record, seen)
        if isinstance(checked, Document):
            empty = False
            yield checked
        elif on_error == "skip":
            skipped.add(checked)
        else:
            raise CorpusError(_failure(checked, record, source))
    if empty:
        why = f": skipped {skipped.summary()}" if skipped.total else ""
        raise CorpusError(f"{name}: expected at least one document; found none{why}")


def _checked(record: Record, seen: set[bytes]) -> Record:
    if isinstance(record, BadRecord):
        return record
    document = _tidied(record)
    problem = _problem(document)
    if problem:
        return BadRecord(record.origin, *problem)
    digest = blake2b(document.key.encode(), digest_size=16).digest()
    if digest in seen:
        return BadRecord(
            record.origin, "duplicate key", f"expected each key once; found {document.key!r} again"
        )
    seen.add(digest)
    return document


def _tidied(document: Document) -> Document:
    if not isinstance(document.text, str) or not isinstance(document.title, str):
        return document
    try:
        metadata = _without_nul(document.metadata)
    except RecursionError:  # for `_problem` to judge
        metadata = document.metadata
    body = document.text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    title = " ".join(document.title.replace("\0", "").split())
    if body == document.text and title == document.title and metadata == document.metadata:
        return document
    return replace(document, text=body, title=title, metadata=metadata)


def _without_nul(value: Any) -> Any:
    """Metadata without the character that ends a text for SQLite, which would take it for a shorter one."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, (list, tuple)):
        return [_without_nul(each) for each in value]
    if isinstance(value, Mapping):
        return {_without_nul(key): _without_nul(each) for key, each in value.items()}
    return value


def _problem(document: Document) -> tuple[str, str] | None:
    """Reason and detail of what is wrong with a document, if anything is."""
    if not all(isinstance(part, str) for part in (document.key, document.title, document.text)):
        return "not text", "expected text as key, title and text"
    if not document.key.strip():
        return "empty key", "expected a key; found an empty one"
    if any(character < " " or character == "\x7f" for character in document.key):
        return "control character in key", f"expected printable text; found {document.key!r}"
    if not document.text.strip():
        return "no text", f"expected some text; document {document.key!r} is blank"
    return _storage_problem(document)


def _storage_problem(document: Document) -> tuple[str, str] | None:
    parts = [document.key, document.title, document.text, dict(document.metadata)]
    try:
        json.dumps(parts, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "not Unicode text", "expected Unicode text; found half of a surrogate pair"
    except (TypeError, ValueError, RecursionError):
        return "metadata not JSON", "expected finite numbers, text, lists and objects of moderate depth"
    return None


def _failure(bad: BadRecord, record: Record, source: Callable[[], Iterable[Record]]) -> str:
    first = ""
    if bad.reason == "duplicate key" and isinstance(record, Document):
        first = f" (first at {_first_origin(record.key, source)})"
    return f"{bad}{first}; correct it, or set corpus.on_error: skip to leave out such records"


def _first_origin(key: str, source: Callable[[], Iterable[Record]]) -> str:
    # Read again up to there: only a failing build pays, and no origins need be kept in memory.
    documents = (record for record in source() if isinstance(record, Document))
    return next(document.origin for document in documents if document.key == key)


def checked_path(spec: CorpusSpec, *, given_as: str = "corpus.path", files: bool = False) -> Path:
    """The path of `spec`, which must have one, with ``~`` expanded.

    Args:
        given_as: what the person who gave it calls it, for errors.
        files: whether a file will do where the source is a folder.

    Raises:
        CorpusError: nothing is there, or a file where the source is a folder, or the other way round.
    """
    path = Path(spec.path or "").expanduser()
    wants_file = spec.source in _FILE_SOURCES
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise CorpusError(f"{given_as} {utf8.printable(path)!r}: cannot be read ({error})") from None
    if not exists:
        here = f"it is taken relative to {utf8.printable(Path.cwd())}; correct {given_as}"
        raise CorpusError(f"{utf8.printable(path)}: no such file or folder; {here}")
    if wants_file == is_folder and not (files and not is_folder):
        expected, found = ("a file", "a folder") if wants_file else ("a folder", "a file")
        problem = f"source {spec.source} expects {expected}; found {found}; correct {given_as}"
        raise CorpusError(f"{utf8.printable(path)}: {problem}")
    return path


def _named(spec: CorpusSpec) -> str:
    return utf8.printable(spec.path) if spec.path else f"corpus.source {spec.source}"
