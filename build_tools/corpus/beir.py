"""A folder in BEIR layout (arXiv 2104.08663): corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tools.corpus import jsonl, utf8
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord, Record
from build_tools.corpus.records import FieldError, Row, key_of, optional_text_of, text_of
from build_tools.errors import CorpusError, DataError
from build_tools.recipe import CorpusSpec
from edge_runtime.schema import shown

LAYOUT = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv"

_MOST = 10_000
"""A score beyond it, up or down, is another kind of number; the evaluator takes memory for each one below."""

_SCORE_HEADERS = frozenset(["score", "relevance", "rel", "label"])


@dataclass(frozen=True, slots=True)
class Query:
    """A test query."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """How relevant a document is to a query: 0 is not relevant, higher is better."""

    query: str
    document: str
    relevance: int


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """The documents of ``spec.path``/corpus.jsonl.

    A document whose text is empty but that has a title, as some BEIR sets have, takes the title as
    its text and has no title, so that the words are read once.

    Raises:
        CorpusError: the folder has no corpus.jsonl.
    """
    path = Path(spec.path or "") / "corpus.jsonl"
    if not path.is_file():
        raise CorpusError(f"{utf8.printable(path)}: no such file; {LAYOUT}")
    return (row if isinstance(row, BadRecord) else _document(row) for row in jsonl.rows(path))


def read_queries(folder: str | Path, split: str | None = None) -> tuple[Query, ...]:
    """The queries of `folder`/queries.jsonl, or of queries-`split`.jsonl where there is one, in file order.

    Raises:
        DataError: the file is missing or empty, a line is malformed, a text blank or an id repeated.
    """
    path = Path(folder) / f"queries-{split}.jsonl"
    if split is None or not path.is_file():
        path = Path(folder) / "queries.jsonl"
    if not path.is_file():
        raise DataError(f"{utf8.printable(path)}: no such file; {LAYOUT}")
    queries: dict[str, Query] = {}
    for row in _rows(path):
        query = _query(row)
        if query.id in queries:
            raise DataError(f"{row.origin}: expected each _id once; found {query.id!r} again")
        queries[query.id] = query
    if not queries:
        raise DataError(f"{utf8.printable(path)}: expected at least one query; found none")
    return tuple(queries.values())


def read_qrels(folder: str | Path, split: str) -> tuple[Judgement, ...]:
    """The judgements of `folder`/qrels/`split`.tsv, in file order; a header row is optional.

    Raises:
        DataError: there is no such split, a line is malformed, a score is beyond all reason, or two lines
            contradict each other.
    """
    path = _split_path(Path(folder), split)
    judgements: dict[tuple[str, str], Judgement] = {}
    for number, line in enumerate(_tsv_lines(path), 1):
        columns = [column.strip() for column in line.split("\t")]
        is_header = number == 1 and columns[-1].lower() in _SCORE_HEADERS
        if is_header or columns == [""]:
            continue
        origin = f"{utf8.printable(path)}:{number}"
        found = _judgement(columns, origin)
        known = judgements.setdefault((found.query, found.document), found)
        if known != found:
            before = f"query {found.query!r} and document {found.document!r} had {known.relevance} before"
            raise DataError(f"{origin}: expected one score a pair; found {found.relevance}, but {before}")
    if not judgements:
        raise DataError(f"{utf8.printable(path)}: expected at least one judgement; found none")
    return tuple(judgements.values())


def _document(row: Row) -> Record:
    try:
        key = key_of(row, "_id")
        title = optional_text_of(row, "title")
        text = optional_text_of(row, "text") if title.strip() else text_of(row, "text")
        metadata = row.values.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise FieldError("wrong type in field 'metadata'", "expected an object")
    except FieldError as error:
        return BadRecord(row.origin, error.reason, error.detail)
    if not text.strip():
        title, text = "", title
    return Document(key, title, text, metadata, row.origin)


def _rows(path: Path) -> Iterator[Row]:
    try:
        for row in jsonl.rows(path):
            if isinstance(row, BadRecord):
                raise DataError(str(row))
            yield row
    except OSError as error:
        raise DataError(f"{utf8.printable(path)}: cannot be read ({error.strerror})") from None


def _query(row: Row) -> Query:
    try:
        query = Query(key_of(row, "_id"), text_of(row, "text"))
        f"{query.id}{query.text}".encode()
    except FieldError as error:
        raise DataError(f"{row.origin}: {error}") from None
    except UnicodeEncodeError:
        raise DataError(f"{row.origin}: expected Unicode text; found half of a surrogate pair") from None
    if not query.id.strip() or not query.text.strip():
        raise DataError(f"{row.origin}: expected an _id and a text; found a blank one")
    return query


def _split_path(folder: Path, split: str) -> Path:
    available = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
    if not available:
        raise DataError(f"{utf8.printable(folder / 'qrels')}: no .tsv file there; {LAYOUT}")
    if split not in available:
        listed = ", ".join(available)
        raise DataError(f"{utf8.printable(folder / 'qrels')}: no split {split!r}; it has {listed}")
    return folder / "qrels" / f"{split}.tsv"


def _tsv_lines(path: Path) -> list[str]:
    try:
        return utf8.decode(path.read_bytes()).split("\n")
    except utf8.NotUtf8Error as error:
        raise DataError(f"{utf8.printable(path)}: expected UTF-8; {error}") from None
    except OSError as error:
        raise DataError(f"{utf8.printable(path)}: cannot be read ({error.strerror})") from None


def _judgement(columns: list[str], origin: str) -> Judgement:
    if len(columns) != 3 or not columns[0] or not columns[1]:
        expected = "expected query-id, corpus-id and score, separated by tabs"
        raise DataError(f"{origin}: {expected}; found {len([c for c in columns if c])} columns")
    try:
        relevance = int(columns[2])
    except ValueError:
        raise DataError(f"{origin}: expected a whole number as score; found {shown(columns[2])}") from None
    if abs(relevance) > _MOST:
        found = shown(relevance)
        raise DataError(f"{origin}: expected a score within ±{_MOST:,}; found {found}; is that its column?")
    return Judgement(columns[0], columns[1], relevance)
