"""What a bundle is made of: the typed form of a recipe in bundles/*.yaml.

Each field's annotation carries its documentation; docs/recipe.md is generated from it. Loading, with
line numbers in errors and ``--set`` overrides, is in `recipe_yaml`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from build_tools.recipe_checks import (
    NAME_RULE,
    above_zero,
    at_least,
    different_names,
    matches,
    not_empty,
    within_one,
)
from build_tools.recipe_compile import CompileSpec, Form
from build_tools.recipe_reranker import RerankingSpec
from build_tools.recipe_training import LabelsSpec, QueriesSpec, StudentSpec, TeacherSpec, TrainingSpec
from edge_runtime.languages import Stemmer
from edge_runtime.manifest import NAME_PATTERN, VERSION_PATTERN
from edge_runtime.schema import SchemaError, shown

OnError = Literal["fail", "skip"]

_SECTION = re.compile(r"[0-9a-zA-Z]+")
_SPLIT = re.compile(r"[0-9a-zA-Z_][0-9a-zA-Z._-]*")
_ONLY_FOR = {"fields": ("jsonl", "csv"), "delimiter": ("csv",), "sections": ("man",)}


@dataclass(frozen=True, slots=True)
class Fields:
    """Which columns (`csv`) or keys (`jsonl`) hold what."""

    id: Annotated[str | None, "The document's unique key. Without it, records are numbered from 1."] = "id"
    title: Annotated[str | None, "The title; null when there is none."] = "title"
    text: Annotated[str, "The text; the only field that every record must have."] = "text"
    metadata: Annotated[tuple[str, ...], "Further fields to keep with each hit."] = ()

    def __post_init__(self) -> None:
        not_empty(self, "id", "title", "text")
        different_names(self, "metadata")


@dataclass(frozen=True, slots=True)
class CorpusSpec:
    """Where the documents come from."""

    source: Annotated[
        Literal["python", "jsonl", "csv", "text", "man", "beir"],
        "`python`: docstrings of the standard library. `jsonl`, `csv`: a file of records. `text`: a folder "
        "of .txt, .md and .html files. `man`: manual pages. `beir`: a folder in BEIR layout.",
    ]
    path: Annotated[
        str | None,
        "File or folder, relative to the current directory. `python` takes none; `man` takes the "
        "machine's own pages without one.",
    ] = None
    fields: Annotated[Fields, "Field names, for `jsonl` and `csv`."] = Fields()
    delimiter: Annotated[str, "Column separator, for `csv`. A first line `sep=;` goes before it."] = ","
    sections: Annotated[tuple[str, ...], "Manual sections to read, for `man`."] = ("1", "5", "8")
    on_error: Annotated[
        OnError,
        "What to do with a record that cannot be read: stop with file and line, or skip and count it.",
    ] = "fail"
    limit: Annotated[int | None, "Read at most this many documents; null reads all."] = None

    def __post_init__(self) -> None:
        self._check_path()
        self._check_only_used()
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"':
            problem = f'expected one character such as "," or "\\t"; found {shown(self.delimiter)}'
            raise SchemaError(("delimiter",), problem)
        if not self.sections:
            raise SchemaError(("sections",), "expected at least one section; found none")
        for i, section in enumerate(self.sections):
            if not _SECTION.fullmatch(section):
                problem = f"expected letters and digits such as 3 or 3pm; found {shown(section)}"
                raise SchemaError(("sections", i), problem)
        at_least(self, 1, "limit")

    def _check_path(self) -> None:
        if self.source in ("jsonl", "csv", "text", "beir") and not self.path:
            kind = "file" if self.source in ("jsonl", "csv") else "folder"
            problem = f"source {self.source} needs a {kind}; write it here, or add --set corpus.path=PATH"
            raise SchemaError(("path",), problem)
        if self.source == "python" and self.path is not None:
            raise SchemaError(("path",), "source python reads the running interpreter; remove the path")
        not_empty(self, "path")

    def _check_only_used(self) -> None:
        for field in dataclasses.fields(self):
            sources = _ONLY_FOR.get(field.name, (self.source,))
            if self.source not in sources and getattr(self, field.name) != field.default:
                problem = (
                    f"only for source {' or '.join(sources)}, and the source is {self.source}; remove it"
                )
                raise SchemaError((field.name,), problem)


@dataclass(frozen=True, slots=True)
class FiltersSpec:
    """What searches may be filtered by fast."""

    indexed: Annotated[
        tuple[str, ...],
        "Metadata fields to index for `where`; some document must have each. Filters on other fields work "
        "too, by reading every document's metadata.",
    ] = ()

    def __post_init__(self) -> None:
        different_names(self, "indexed")


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """How documents are cut into passages, at sentence ends."""

    max_tokens: Annotated[
        int | None,
        "Longest passage in the teacher's word pieces, title included; null keeps documents whole.",
    ] = 200
    overlap_tokens: Annotated[int, "Sentences repeated from the passage before, up to this many tokens."] = 32

    def __post_init__(self) -> None:
        at_least(self, 16, "max_tokens")
        at_least(self, 0, "overlap_tokens")
        if self.max_tokens is not None and self.overlap_tokens * 2 > self.max_tokens:
            raise SchemaError(
                ("overlap_tokens",),
                f"expected at most half of max_tokens ({self.max_tokens // 2}); found {self.overlap_tokens}",
            )


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """The dense index over the document vectors."""

    strategy: Annotated[
        Literal["auto", "exact", "hnsw", "two-stage", "pq"],
        "`exact`: every passage is compared. `hnsw`: a graph is walked. `two-stage`: a graph of the "
        "principal dimensions is walked, and what it finds is compared by all. `pq`: product codes "
        "of all passages are looked at, and the best compared; least has to be in memory, and the device "
        "needs `edge-runtime[faiss]`. "
        "`auto`: by size, see `exact_below` and `memory_mb`.",
    ] = "auto"
    exact_below: Annotated[int, "`auto` searches exactly up to this many passages."] = 30000
    memory_mb: Annotated[
        int,
        "Above `exact_below`, `auto` takes `hnsw` where that is at most so many megabytes, else `pq`.",
    ] = 128
    connectivity: Annotated[int, "HNSW edges a node (M)."] = 16
    expansion_add: Annotated[int, "HNSW candidates while building (efConstruction)."] = 256
    expansion_search: Annotated[
        int | None,
        "HNSW candidates while searching (ef); with `two-stage` and `pq`, passages compared by all of their "
        "components. "
        "null: as few as meet `gates.index_recall` on held-out queries.",
    ] = None
    axes: Annotated[int | None, "Principal dimensions of `two-stage`. null: a third of the dimensions."] = (
        None
    )
    code_bytes: Annotated[
        int | None, "Of each passage's code with `pq`. null: a sixth of the dimensions."
    ] = None

    def __post_init__(self) -> None:
        at_least(self, 0, "exact_below", "memory_mb")
        at_least(self, 2, "connectivity", "expansion_add")
        for name in ("expansion_search", "axes", "code_bytes"):
            if getattr(self, name) is not None:
                at_least(self, 1, name)


@dataclass(frozen=True, slots=True)
class LexicalSpec:
    """The word index: BM25 as Lucene computes it."""

    stemmer: Annotated[
        Stemmer,
        "The texts' language: how words are cut, which are left out. `folded`: words without accents, for "
        "other languages and several. `none`: words as typed.",
    ] = "english"
    k1: Annotated[float, "How soon repeated words stop counting."] = 0.9
    b: Annotated[float, "How much long passages are held back, 0 to 1."] = 0.4

    def __post_init__(self) -> None:
        at_least(self, 0, "k1", "b")
        if self.b > 1:
            raise SchemaError(("b",), f"expected at most 1; found {self.b}")


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """How the two rankings are joined."""

    method: Annotated[
        Literal["weighted", "rrf"],
        "`weighted`: by scores; words count more or less from query to query. `rrf`: reciprocal rank fusion.",
    ] = "weighted"
    balance: Annotated[
        float,
        "For `weighted`: log odds of meaning against words, -20 to 20. More where people do not ask in the "
        "documents' words, less where names and numbers are what they ask for.",
    ] = 1.6
    labels: Annotated[
        LabelsSpec | None,
        "For `weighted`: labelled pairs of 100 queries or more that the balance is learnt from. Not those "
        "that students learn from.",
    ] = None
    k: Annotated[int, "For `rrf`: rank constant; larger flattens the weight of first places."] = 60
    depth: Annotated[int, "Documents taken from each ranking."] = 100

    def __post_init__(self) -> None:
        at_least(self, 1, "k", "depth")
        if not -20 <= self.balance <= 20:
            raise SchemaError(("balance",), f"expected -20 to 20; found {self.balance}")
        if self.labels is not None and self.method != "weighted":
            raise SchemaError(("labels",), f"only for weighted; found method {self.method}; remove them")


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """What the quality card is measured on."""

    split: Annotated[str, "Which qrels of a BEIR folder to use, without `.tsv`."] = "test"
    queries: Annotated[int | None, "At most this many queries; null takes all."] = None

    def __post_init__(self) -> None:
        matches(self, "split", _SPLIT, "the name of a file in qrels/, without .tsv")
        at_least(self, 1, "queries")


@dataclass(frozen=True, slots=True)
class GatesSpec:
    """Figures that a build must reach; one that falls short fails and keeps its work for inspection.

    Those of an encoder are asked of every encoder of the recipe.
    """

    cosine_mean: Annotated[float, "int8 against PyTorch on held-out text, mean cosine, at least."] = 0.993
    cosine_min: Annotated[float, "The same, worst text."] = 0.98
    blockwise_cosine_mean: Annotated[float, "The mean again, of encoders in blockwise precision."] = 0.999
    index_recall: Annotated[float, "Index recall@10 against exact float32 search, at least."] = 0.985
    retention: Annotated[
        float | None, "Share of the teacher's nDCG@10 kept by each encoder through the index, at least."
    ] = None
    ndcg_10: Annotated[float | None, "nDCG@10 of each encoder through the index, at least."] = None
    bytes: Annotated[int | None, "Bytes of the whole bundle, at most."] = None
    latency_ratio: Annotated[
        float | None,
        "Median time to encode a query on this machine, as a share of the teacher's in PyTorch, at most.",
    ] = None

    def __post_init__(self) -> None:
        within_one(self, "cosine_mean", "cosine_min", "blockwise_cosine_mean", "index_recall", "ndcg_10")
        above_zero(self, "retention", "latency_ratio")
        at_least(self, 1, "bytes")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole recipe."""

    name: Annotated[str, "The bundle's name: 1 to 64 lower-case letters, digits, `.`, `_` and `-`."]
    corpus: Annotated[CorpusSpec, "Where the documents come from."]
    version: Annotated[str, "The bundle's version: three numbers."] = "1.0.0"
    licence: Annotated[str, "What the documents may be used for (an SPDX name where there is one)."] = (
        "unknown"
    )
    filters: Annotated[FiltersSpec, "What searches may be filtered by fast."] = FiltersSpec()
    chunk: Annotated[ChunkSpec, "How documents are cut into passages."] = ChunkSpec()
    teacher: Annotated[TeacherSpec, "The document tower."] = TeacherSpec()
    executor: Annotated[
        Literal["local", "processes", "ray"],
        "What computes the document vectors: this process, several, or a Ray cluster (the one that "
        "RAY_ADDRESS names, or one on this machine). The vectors are the same.",
    ] = "local"
    workers: Annotated[
        int | None, "Processes, or Ray workers; as many as there are processors when null."
    ] = None
    encoders: Annotated[tuple[StudentSpec, ...], "The query encoders; the first is the default."] = (
        StudentSpec(),
    )
    queries: Annotated[QueriesSpec, "The queries that they learn from."] = QueriesSpec()
    training: Annotated[TrainingSpec, "How they are distilled."] = TrainingSpec()
    compile: Annotated[CompileSpec, "What they are compiled to."] = CompileSpec()
    index: Annotated[IndexSpec, "The dense index."] = IndexSpec()
    lexical: Annotated[LexicalSpec, "The word index."] = LexicalSpec()
    fusion: Annotated[FusionSpec, "How dense and lexical rankings are joined."] = FusionSpec()
    reranker: Annotated[
        RerankingSpec | None, "A cross-encoder that searches may ask for; without it there is none."
    ] = None
    evaluation: Annotated[EvaluationSpec, "What the quality card is measured on."] = EvaluationSpec()
    golden: Annotated[int, "Queries with known answers kept in the bundle for self-tests."] = 16
    gates: Annotated[GatesSpec, "Figures that the build must reach."] = GatesSpec()

    def __post_init__(self) -> None:
        matches(self, "name", NAME_PATTERN, NAME_RULE)
        matches(self, "version", VERSION_PATTERN, "three numbers such as 1.0.0")
        not_empty(self, "licence")
        if not self.encoders:
            raise SchemaError(("encoders",), "expected at least one encoder; found none")
        if self.training.losses.needs_pairs and self.queries.labels is None:
            problem = (
                "contrastive and triplet learn from labelled pairs; say where they are in queries.labels"
            )
            raise SchemaError(("training", "losses"), problem)
        losses, labels = self.training.losses, self.fusion.labels
        if labels is not None and labels == self.queries.labels and losses.needs_labels:
            problem = "the students learn from these pairs, which flatters them; name another split or file"
            raise SchemaError(("fusion", "labels"), problem)
        ids = [form.id for form in self.forms()]
        if len(set(ids)) != len(ids):
            raise SchemaError(("encoders",), f"the same id twice: {', '.join(ids)}")
        at_least(self, 1, "golden", "workers")

    def forms(self) -> tuple[Form, ...]:
        """The compiled encoders of the bundle, in order."""
        return tuple(form for student in self.encoders for form in self.compile.forms(student))
