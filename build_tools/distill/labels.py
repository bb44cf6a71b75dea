"""Labelled pairs: which documents answer a query, as people said. Queries of the evaluation are kept out.

They come from the qrels of a folder in BEIR layout, from a csv file of query and document, or from the
corpus itself where titles are questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from build_tools import documents as store
from build_tools.corpus import beir, delimited, utf8
from build_tools.corpus.document import Passage
from build_tools.corpus.problems import BadRecord
from build_tools.distill.words import fold
from build_tools.errors import CorpusError, DataError
from build_tools.recipe import CorpusSpec, EvaluationSpec
from build_tools.recipe_training import LabelsSpec

_TAB_SUFFIXES = frozenset([".tsv", ".tab"])
_LONG_START, _SHORT_START = 16, 4


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A query and the key of a document that answers it; `relevance` is 1 or more, higher is better."""

    query: str
    document: str
    relevance: int


@dataclass(frozen=True, slots=True)
class Labels:
    """The labelled pairs of a recipe.

    Attributes:
        pairs: none of them twice.
        barred: queries left out because they are queries of the evaluation.
        unknown: pairs left out because their document is not in the corpus, or their query has no text.
    """

    pairs: tuple[LabelledPair, ...]
    barred: int
    unknown: int

    @property
    def answers(self) -> dict[str, dict[str, int]]:
        """Relevance by query, then by document."""
        answers: dict[str, dict[str, int]] = {}
        for pair in self.pairs:
            answers.setdefault(pair.query, {})[pair.document] = pair.relevance
        return answers

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of all pairs, each once."""
        return tuple(dict.fromkeys(pair.query for pair in self.pairs))


def read_labels(
    spec: LabelsSpec,
    corpus: CorpusSpec,
    documents: Path,
    *,
    evaluation: EvaluationSpec,
    setting: str = "queries.labels",
    updated: bool = False,
) -> Labels:
    """The labelled pairs that `spec` names.

    Args:
        documents: the directory of the built documents (`build_tools.documents`).
        evaluation: what the bundle is measured on, when the corpus is a BEIR folder.
        setting: where the recipe has `spec`, for messages.
        updated: whether documents may have been taken out since the labels were written.

    Raises:
        DataError: the labels cannot be read, share queries with the evaluation, or fit no document.
    """
    if spec.source == "beir":
        pairs, unknown = _from_qrels(spec, corpus, documents, evaluation, setting)
    elif spec.source == "csv":
        pairs, unknown = _from_csv(spec, corpus, documents, setting, updated)
    else:
        pairs, unknown = _from_titles(documents, setting), 0
    tests = {fold(text) for text in evaluation_queries(corpus, evaluation)}
    kept = tuple(dict.fromkeys(pair for pair in pairs if fold(pair.query) not in tests))
    barred = {pair.query for pair in pairs if fold(pair.query) in tests}
    if not kept:
        why = f"all {len(barred)} queries are queries of the evaluation" if barred else "found none"
        raise DataError(f"{setting}: expected at least one labelled pair; {why}")
    return Labels(kept, len(barred), unknown)


def evaluation_queries(corpus: CorpusSpec, evaluation: EvaluationSpec) -> tuple[str, ...]:
    """The queries that the bundle is measured on: of a BEIR folder with qrels those of the split, else none.

    Raises:
        DataError: the queries or qrels cannot be read.
    """
    folder = Path(corpus.path or "").expanduser()
    if corpus.source != "beir" or not (folder / "qrels").is_dir():
        return ()
    judged = {judgement.query for judgement in beir.read_qrels(folder, evaluation.split)}
    return tuple(query.text for query in beir.read_queries(folder) if query.id in judged)


def _from_qrels(
    spec: LabelsSpec, corpus: CorpusSpec, documents: Path, evaluation: EvaluationSpec, setting: str
) -> tuple[list[LabelledPair], int]:
    folder = _folder(spec, corpus, setting)
    _check_splits(folder, spec, corpus, evaluation, setting)
    judged = [judgement for judgement in beir.read_qrels(folder, spec.split) if judgement.relevance > 0]
    texts = {query.id: query.text for query in beir.read_queries(folder, spec.split)}
    keys = set(store.keys(documents))
    pairs = [
        LabelledPair(texts[found.query], found.document, found.relevance)
        for found in judged
        if found.query in texts and found.document in keys
    ]
    if judged and not pairs:
        missing = (
            "query has a text" if not any(found.query in texts for found in judged) else "document is known"
        )
        raise DataError(
            f"{utf8.printable(folder / 'qrels' / spec.split)}.tsv: of none of its {len(judged)} relevant "
            f"pairs the {missing}; is it of another corpus?"
        )
    return pairs, len(judged) - len(pairs)


def _folder(spec: LabelsSpec, corpus: CorpusSpec, setting: str) -> Path:
    if spec.path is None and corpus.source != "beir":
        raise DataError(
            f"{setting}.path: source beir needs a folder, as the corpus is {corpus.source} and not beir"
        )
    folder = Path(spec.path or corpus.path or "").expanduser()
    if not folder.is_dir():
        raise DataError(f"{setting}.path {utf8.printable(folder)}: no such folder; {beir.LAYOUT}")
    return folder


def _check_splits(
    folder: Path, spec: LabelsSpec, corpus: CorpusSpec, evaluation: EvaluationSpec, setting: str
) -> None:
    """Ids of another folder are another numbering; its texts are compared all the same."""
    if corpus.source != "beir" or folder.resolve() != Path(corpus.path or "").expanduser().resolve():
        return
    name = f"{setting}.split {spec.split}"
    if spec.split == evaluation.split:
        raise DataError(
            f"{name}: the bundle is measured on this split (evaluation.split), so nothing may be trained on "
            "it; name another one"
        )
    tests = {judgement.query for judgement in beir.read_qrels(folder, evaluation.split)}
    shared = [found.query for found in beir.read_qrels(folder, spec.split) if found.query in tests]
    if shared:
        raise DataError(
            f"{name}: expected no query of the split that the bundle is measured on ({evaluation.split}); "
            f"found {len(set(shared))}, the first is {shared[0]!r}; remove them from "
            f"{utf8.printable(folder / 'qrels' / spec.split)}.tsv"
        )


def _from_titles(documents: Path, setting: str) -> list[LabelledPair]:
    opening = (passage for passage in store.read(documents) if passage.ordinal == 0)
    pairs = [LabelledPair(passage.title, passage.document, 1) for passage in opening if passage.title.strip()]
    if not pairs:
        raise DataError(f"{setting}.source titles: expected documents with titles; none has one")
    return pairs


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of a csv file: a query, and the key or the whole text of its document."""

    origin: str
    query: str
    document: str


def _from_csv(
    spec: LabelsSpec, corpus: CorpusSpec, documents: Path, setting: str, updated: bool
) -> tuple[list[LabelledPair], int]:
    lines = list(_lines(spec, setting))
    keys = set(store.keys(documents))
    texts = {line.document for line in lines if line.document not in keys}
    known = _keys_of_texts(texts, store.read(documents)) if texts else {}
    known.update({line.document: line.document for line in lines if line.document in keys})
    lost = [line for line in lines if line.document not in known]
    # Documents are missing on purpose only where the recipe says so, or somebody has taken them out.
    if lost and not updated and corpus.limit is None and corpus.on_error == "fail":
        raise DataError(
            f"{lost[0].origin}: expected the key or the whole text of a document in column "
            f"{spec.document!r}; found {_shortened(lost[0].document)!r}, which is neither"
        )
    pairs = [LabelledPair(line.query, known[line.document], 1) for line in lines if line.document in known]
    return pairs, len(lost)


def _lines(spec: LabelsSpec, setting: str) -> Iterator[_Line]:
    path = Path(spec.path or "").expanduser()
    delimiter = "\t" if path.suffix.lower() in _TAB_SUFFIXES else ","
    needed = (spec.query, spec.document)
    try:
        for row in delimited.rows(path, delimiter, needed=needed, settings=setting):
            if isinstance(row, BadRecord):
                raise DataError(str(row))
            yield _line(row.origin, *(str(row.values[name]).strip() for name in needed), columns=needed)
    except CorpusError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(f"{setting}.path {utf8.printable(path)}: cannot be read ({error.strerror})") from None


def _line(origin: str, query: str, document: str, *, columns: Sequence[str]) -> _Line:
    for name, value in zip(columns, (query, document), strict=True):
        if not value:
            raise DataError(f"{origin}: expected some text in column {name!r}; found none")
    return _Line(origin, query, document)


def _keys_of_texts(texts: Iterable[str], passages: Iterable[Passage]) -> dict[str, str]:
    """The key of the document that each text is the whole text of, where there is one."""
    squeezed = {text: _squeezed(text) for text in texts}
    starts: dict[str, set[str]] = {}
    for text in squeezed.values():
        for length in (_SHORT_START, _LONG_START):
            starts.setdefault(text[:length], set()).add(text)
    found: dict[str, str] = {}
    for key, group in groupby(passages, attrgetter("document")):
        parts = list(group)
        for text in _texts_of(_squeezed(parts[0].title), [_squeezed(part.text) for part in parts], starts):
            found.setdefault(text, key)
    return {text: found[tight] for text, tight in squeezed.items() if tight in found}


def _texts_of(title: str, parts: Sequence[str], starts: dict[str, set[str]]) -> Iterator[str]:
    """Which of the texts in `starts` are the whole of a document, with its title before it or without."""
    for head in dict.fromkeys(("", title)):
        opening = head + parts[0]
        length = _LONG_START if len(opening) >= _LONG_START else _SHORT_START
        for text in starts.get(opening[:length], ()):
            # Passages overlap and leave out the space between them, so they cannot simply be joined.
            covered = all(part in text for part in parts)
            if covered and text.startswith(opening) and text.endswith(parts[-1]):
                yield text


def _squeezed(text: str) -> str:
    return "".join(text.replace("\0", "").split())


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
