"""Measures a drafted bundle: the rows of its quality card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import edge_runtime
from build_tools import evaluate
from build_tools.corpus.beir import read_qrels, read_queries
from build_tools.distill.static import StaticStudent
from build_tools.distill.student import Student
from build_tools.distill.trainer import encode_tokens
from build_tools.errors import DataError
from build_tools.evaluate import Questions, Ranked, VectorSpace
from build_tools.index import recall_at_10
from build_tools.quality import THROUGH_INDEX, Parity, Row
from build_tools.recipe import Recipe
from build_tools.teacher import Teacher
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.dense import DenseIndex
from edge_runtime.retriever import Retriever


@dataclass(frozen=True, slots=True)
class Reference:
    """What the desktop still has of a build, to compare the bundle with.

    Attributes:
        space: the document vectors in the index' dimensions.
        full: the same in all of the teacher's.
        students: the PyTorch students by encoder id.
        held_out: texts that no student learnt from.
    """

    teacher: Teacher
    space: VectorSpace
    full: VectorSpace
    students: Mapping[str, Student | StaticStudent]
    held_out: Sequence[str]


def labelled(folder: Path, split: str, keys: Sequence[str], limit: int | None = None) -> Questions:
    """The judged queries of a BEIR folder, in the order of its qrels.

    One that has no relevant document counts too, with zeros for every system, as trec_eval has it:
    figures stay comparable to published ones.

    Raises:
        DataError: none of the relevant documents is among `keys`.
    """
    texts = {query.id: query.text for query in read_queries(folder)}
    judgements: dict[str, dict[str, int]] = {}
    for judgement in read_qrels(folder, split):
        if judgement.query in texts:
            judgements.setdefault(judgement.query, {})[judgement.document] = judgement.relevance
    if set(keys).isdisjoint(_relevant(judgements)):
        raise DataError(f"{folder}: none of its relevant documents is in this bundle; is it another corpus?")
    chosen = list(judgements)[:limit]
    return Questions(
        "labels", {query: texts[query] for query in chosen}, {query: judgements[query] for query in chosen}
    )


def judged_folder(recipe: Recipe) -> Path | None:
    """The corpus' own folder, where it holds judged queries."""
    if recipe.corpus.source != "beir" or not recipe.corpus.path:
        return None
    folder = Path(recipe.corpus.path).expanduser()
    return folder if (folder / "qrels").is_dir() else None


def own_questions(recipe: Recipe, keys: Sequence[str]) -> Questions | None:
    """The judged queries of the recipe's evaluation, None where its corpus has none.

    Raises:
        DataError: they cannot be read, or are of other documents than `keys`.
    """
    folder, evaluation = judged_folder(recipe), recipe.evaluation
    return labelled(folder, evaluation.split, keys, evaluation.queries) if folder else None


def rows(
    directory: Path, questions: Questions, reference: Reference | None, advance: Callable[[int], None]
) -> tuple[Row, ...]:
    """Every row of the card that can be measured; without `reference`, those of the bundle alone.

    Args:
        advance: told how many more systems are measured.
    """
    meter = _Meter(questions, advance)
    with edge_runtime.open(directory, verify="size") as retriever:
        words = evaluate.bundle_rankings(retriever, meter.texts, "lexical")
        meter.add("BM25", words, size=_size(directory, "lexical/"))
        encoder_ids = retriever.info().encoders
    if reference:
        meter.add_teacher(reference)
    for encoder_id in encoder_ids:
        with edge_runtime.open(directory, encoder=encoder_id, verify="size") as retriever:
            _add_student(meter, encoder_id, retriever, reference, directory)
    _add_reranked(meter, directory)
    return tuple(meter.rows)


def parity_and_recall(
    directory: Path, reference: Reference, texts: Sequence[str]
) -> tuple[tuple[Parity, ...], float]:
    """What compiling and indexing lost, on held-out texts: one parity for each encoder, and recall@10."""
    parities = []
    for encoder_id, student in reference.students.items():
        with edge_runtime.open(directory, encoder=encoder_id, verify="size") as retriever:
            tokens = [retriever.tokenize(text) for text in texts]
            compiled = retriever.encode(texts)
        parities.append(evaluate.parity(encoder_id, compiled, encode_tokens(student, tokens)))
    bundle = Bundle.open(directory, verify="size")
    dense = DenseIndex.open(bundle, bundle.manifest.index)
    recall = recall_at_10(reference.space.vectors, reference.teacher.encode_queries(texts), dense.search)
    dense.close()
    bundle.close()
    return tuple(parities), round(recall, 4)


def size_of(directory: Path, encoder_id: str) -> int:
    """Bytes of an encoder's own files, without its tokenizer."""
    manifest = manifests.read(directory / manifests.FILENAME)
    return sum(manifest.entry(path).size for path in manifest.encoder(encoder_id).members)


def _relevant(judgements: Mapping[str, Mapping[str, int]]) -> set[str]:
    pairs = (pair for documents in judgements.values() for pair in documents.items())
    return {document for document, relevance in pairs if relevance > 0}


class _Meter:
    """Collects the rows of one set of questions."""

    def __init__(self, questions: Questions, advance: Callable[[int], None]) -> None:
        self.texts = list(questions.texts.values())
        self.rows: list[Row] = []
        self._questions, self._advance = questions, advance
        self._teacher: float | None = None

    def add(self, system: str, rankings: Sequence[Ranked], *, size: int | None = None) -> Row:
        row = evaluate.measure(system, rankings, self._questions, teacher=self._teacher, size=size)
        self.rows.append(row)
        self._advance(1)
        return row

    def add_teacher(self, reference: Reference) -> None:
        vectors = reference.teacher.tower.encode_queries(self.texts)
        self._teacher = self.add("teacher, exact float32", reference.full.rank(vectors)).ndcg_10
        if reference.teacher.reduction is not None:
            ranked = reference.space.rank(reference.teacher.reduced(vectors))
            self.add(f"teacher, {reference.teacher.ndim} dimensions", ranked)


def _add_student(
    meter: _Meter, encoder_id: str, retriever: Retriever, reference: Reference | None, directory: Path
) -> None:
    if reference and encoder_id in reference.students:
        tokens = [retriever.tokenize(text) for text in meter.texts]
        vectors = encode_tokens(reference.students[encoder_id], tokens)
        meter.add(f"{encoder_id}, exact float32", reference.space.rank(vectors))
        compiled = reference.space.rank(retriever.encode(meter.texts))
        meter.add(f"{encoder_id}, int8", compiled, size=size_of(directory, encoder_id))
    index = manifests.read(directory / manifests.FILENAME).index
    index_size = _size(directory, index.path)
    dense = evaluate.bundle_rankings(retriever, meter.texts, "dense")
    meter.add(f"{encoder_id}, {THROUGH_INDEX}", dense, size=index_size)
    meter.add(f"{encoder_id}, hybrid", evaluate.bundle_rankings(retriever, meter.texts, "hybrid"))


def _add_reranked(meter: _Meter, directory: Path) -> None:
    """The first encoder's hybrid answer again, reranked as deep as the bundle says."""
    manifest = manifests.read(directory / manifests.FILENAME)
    spec, first = manifest.reranker, manifest.encoder().id
    if spec is None:
        return
    with edge_runtime.open(directory, encoder=first, verify="size") as retriever:
        ranked = evaluate.bundle_rankings(retriever, meter.texts, "hybrid", rerank=True)
    size = _size(directory, spec.path.rpartition("/")[0] + "/")
    meter.add(f"{first}, hybrid, top {spec.depth} reranked", ranked, size=size)


def _size(directory: Path, prefix: str) -> int:
    """Bytes of the bundle's files whose path starts so."""
    files = manifests.read(directory / manifests.FILENAME).files
    return sum(entry.size for entry in files if entry.path.startswith(prefix))
