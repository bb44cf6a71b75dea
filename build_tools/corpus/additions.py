"""Files that are added to a bundle, read as the recipe's corpus was.

A document is told from others by its key, so keys must be those that a build of the whole corpus would give:
a text file in the corpus' folder is known by its path from there, and records need a key of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from build_tools.corpus import delimited, jsonl, reader, text, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, Record
from build_tools.corpus.reader import SkipLog
from build_tools.corpus.records import Row, are_numbered
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec

OPTION = "--add"


def read(spec: CorpusSpec, paths: Sequence[Path], *, skipped: SkipLog) -> Iterator[Document]:
    """The documents at `paths`, in the order given.

    Args:
        spec: the recipe's corpus; its limit is that of the build and not heeded here.
        paths: of the kind that the source reads; of a text corpus, single files too.
        skipped: counts the bad records when ``spec.on_error`` is ``skip``.

    Raises:
        CorpusError: the source has no files, the folder that keys are relative to is not found, a path is
            missing or of the wrong kind or holds no document, a record is bad, or records have no key. Paths
            are checked before the first document.
    """
    if spec.source == "python":
        raise CorpusError(
            "source python reads the interpreter that runs the build, so no file can be added; "
            "use edge-build build"
        )
    specs = [_checked(replace(spec, path=str(path))) for path in paths]
    names = ", ".join(utf8.printable(one.path or "") for one in specs)

    def records() -> Iterator[Record]:
        return chain.from_iterable(_records(one, spec) for one in specs)

    return reader.sound(records, names, on_error=spec.on_error, skipped=skipped)


def _checked(spec: CorpusSpec) -> CorpusSpec:
    path = reader.checked_path(spec, given_as=OPTION, files=spec.source == "text")
    if not (path.is_dir() or path.is_file()):
        raise CorpusError(f"{utf8.printable(path)}: expected a plain file; an update reads it more than once")
    if spec.source == "text" and path.is_file() and path.suffix.lower() not in text.SUFFIXES:
        expected = ", ".join(sorted(text.SUFFIXES))
        raise CorpusError(f"{utf8.printable(path)}: source text reads {expected}; found another kind of file")
    checked = replace(spec, path=str(path))
    if spec.source in ("jsonl", "csv"):
        _check_keys(checked)
    return checked


def _check_keys(spec: CorpusSpec) -> None:
    path = Path(spec.path or "")
    try:
        first = next((row for row in _rows(path, spec) if isinstance(row, Row)), None)
    except OSError as error:
        raise CorpusError(f"{utf8.printable(path)}: cannot be read ({error.strerror or error})") from None
    if first is not None and are_numbered(first, spec.fields):
        raise CorpusError(
            f"{first.origin}: records without a key are known by their number, and would take the place of "
            "documents of the same number; give each its key in the field 'id', and build the bundle anew"
        )


def _rows(path: Path, spec: CorpusSpec) -> Iterable[Row | BadRecord]:
    return jsonl.rows(path) if spec.source == "jsonl" else delimited.rows(path, spec.delimiter, needed=())


def _records(spec: CorpusSpec, corpus: CorpusSpec) -> Iterator[Record]:
    """Those of one path, one at least."""
    path = Path(spec.path or "")
    found = text.beneath(*_placed(path, corpus)) if spec.source == "text" else reader.records(spec)
    empty = True
    for record in found:
        empty = False
        yield record
    if empty:
        raise CorpusError(f"{utf8.printable(path)}: expected at least one document; found none")


def _placed(path: Path, corpus: CorpusSpec) -> tuple[Path, Path]:
    """The path of text files, and the folder above that their keys are relative to.

    Where the corpus' folder is gone, its files are elsewhere now. A relative one may as well be looked for
    from the wrong directory.
    """
    folder = path if path.is_dir() else path.parent
    whole = Path(corpus.path or "").expanduser()
    if not (whole.is_dir() or whole.is_absolute()):
        raise CorpusError(
            f"corpus.path {utf8.printable(whole)}: no such folder, taken relative to "
            f"{utf8.printable(Path.cwd())}; text files are known by their path from there. Run the command "
            "where the bundle was built; if the folder is gone, an empty one in its place will do"
        )
    if whole.is_dir() and folder.resolve().is_relative_to(whole.resolve()):
        place = whole / folder.resolve().relative_to(whole.resolve())
        return (place if path.is_dir() else place / path.name), whole
    return path, folder
