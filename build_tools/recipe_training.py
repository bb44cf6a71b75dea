"""The part of a recipe that says how encoders come to be: teacher, students, queries, losses.

Each field's annotation carries its documentation; docs/recipe.md is generated from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from build_tools.recipe_checks import NAME_RULE, above_zero, at_least, matches, not_empty, within_one
from edge_runtime.manifest import NAME_PATTERN
from edge_runtime.schema import SchemaError

FloatType = Literal["float32", "bfloat16"]

_ONLY_FOR = {"layers": "layers", "probe": "layers", "prune_vocabulary": "layers", "bigrams": "static"}
"""Fields of a student that one kind alone reads."""

_LABELS_ONLY_FOR = {"split": "beir", "query": "csv", "document": "csv"}
"""The same of labels, by source."""


@dataclass(frozen=True, slots=True)
class TeacherSpec:
    """The document tower, and the model whose vector space the students learn."""

    model: Annotated[
        str,
        "`packaged` (all-MiniLM-L6-v2 from its Python package), a sentence-transformers folder, or a hub "
        "name.",
    ] = "packaged"
    query_prompt: Annotated[str | None, "Text before every query; null takes the model's own, if any."] = None
    document_prompt: Annotated[
        str | None, "Text before every document; null takes the model's own, if any."
    ] = None
    batch_size: Annotated[int, "Texts encoded at once."] = 32
    precision: Annotated[
        FloatType,
        "What the transformer computes in. `bfloat16` is faster on processors with instructions for it "
        "(avx512_bf16, amx_bf16) and slower on others; vectors are float32 either way.",
    ] = "float32"
    ndim: Annotated[
        int | None, "Dimensions to keep of the teacher's vectors, in the index and in every encoder."
    ] = None
    reduction: Annotated[
        Literal["pca", "prefix"],
        "How: `pca` fitted on the document vectors, or `prefix` for a Matryoshka model (arXiv 2205.13147).",
    ] = "pca"

    def __post_init__(self) -> None:
        not_empty(self, "model")
        at_least(self, 1, "batch_size")
        at_least(self, 8, "ndim")


@dataclass(frozen=True, slots=True)
class StudentSpec:
    """A query encoder for the device, a rung of the ladder, distilled from the teacher."""

    id: Annotated[str, "Its name in the bundle, by the same rule as the bundle's."] = "layers3"
    kind: Annotated[
        Literal["layers", "static"],
        "`layers`: a transformer cut from `base`, run by an engine. `static`: a table of token vectors that "
        "are summed; needs no engine.",
    ] = "layers"
    base: Annotated[
        str,
        "Encoder that it is made from: `teacher`, `packaged`, or a transformers folder or hub name. A static "
        "one takes the tokenizer from it.",
    ] = "teacher"
    layers: Annotated[
        tuple[int, ...] | None, "Which layers of the base to keep, from 0, in order; null keeps all."
    ] = (0, 4, 5)
    probe: Annotated[
        int | None,
        "Keep this many layers instead, and find out which by short runs of a few choices.",
    ] = None
    prune_vocabulary: Annotated[
        bool, "Keep only the word pieces that documents and queries use; others are spelt in smaller pieces."
    ] = False
    bigrams: Annotated[int, "Frequent pairs of word pieces that get a vector of their own, at most."] = 30000
    max_tokens: Annotated[int, "Longest query in word pieces; longer ones are cut."] = 128
    steps: Annotated[int | None, "Optimizer steps; null takes those of `training`. 0 trains nothing."] = None
    batch_size: Annotated[
        int | None, "Texts in a step; null takes that of `training`, 256 for static encoders."
    ] = None
    learning_rate: Annotated[
        float | None, "Peak learning rate; null takes that of `training`, 2e-3 for static encoders."
    ] = None

    def __post_init__(self) -> None:
        matches(self, "id", NAME_PATTERN, NAME_RULE)
        not_empty(self, "base")
        self._check_layers()
        self._check_only_used()
        at_least(self, 1, "probe", "batch_size")
        at_least(self, 0, "steps", "bigrams")
        at_least(self, 8, "max_tokens")
        above_zero(self, "learning_rate")

    def _check_layers(self) -> None:
        layers = self.layers
        if layers is not None and (not layers or list(layers) != sorted(set(layers)) or layers[0] < 0):
            raise SchemaError(("layers",), f"expected rising numbers from 0; found {list(layers)[:12]}")
        if self.probe is not None and self.steps == 0:
            raise SchemaError(
                ("probe",), "compares short training runs, and steps is 0; remove it and give layers"
            )

    def _check_only_used(self) -> None:
        for field in dataclasses.fields(self):
            kind = _ONLY_FOR.get(field.name, self.kind)
            if kind != self.kind and getattr(self, field.name) != field.default:
                raise SchemaError((field.name,), f"only for kind {kind}, and this is {self.kind}; remove it")


@dataclass(frozen=True, slots=True)
class LabelsSpec:
    """Where labelled pairs of query and document are."""

    source: Annotated[
        Literal["beir", "csv", "titles"],
        "`beir`: qrels of a folder in BEIR layout. `csv`: a file with a query and a document in each line. "
        "`titles`: each document's title is a question that its text answers, as in a FAQ.",
    ] = "beir"
    path: Annotated[str | None, "File or folder; for `beir`, null takes the corpus' own folder."] = None
    split: Annotated[str, "Which qrels, without `.tsv`, for `beir`."] = "train"
    query: Annotated[str, "Column of the query, for `csv`."] = "query"
    document: Annotated[str, "Column of the document's key or whole text, for `csv`."] = "document"

    def __post_init__(self) -> None:
        not_empty(self, "path", "split", "query", "document")
        if self.source == "csv" and self.path is None:
            raise SchemaError(("path",), "source csv needs a file")
        if self.source == "titles" and self.path is not None:
            raise SchemaError(("path",), "source titles reads the corpus itself; remove the path")
        for field in dataclasses.fields(self):
            source = _LABELS_ONLY_FOR.get(field.name, self.source)
            if source != self.source and getattr(self, field.name) != field.default:
                problem = f"only for source {source}, and the source is {self.source}; remove it"
                raise SchemaError((field.name,), problem)


@dataclass(frozen=True, slots=True)
class QueriesSpec:
    """The queries that students learn from; what is not there is made from the documents."""

    labels: Annotated[LabelsSpec | None, "Labelled pairs, the best there is."] = None
    log: Annotated[str | None, "A file of unlabelled queries, one a line (say, a query log)."] = None
    generated: Annotated[int, "Texts drawn from the documents, at most."] = 20000
    noise: Annotated[
        float,
        "Share of the drawn texts repeated with a person's noise: case, typos, dropped words, prefixes.",
    ] = 0.1
    generator: Annotated[
        str | None,
        "A local model that writes queries for a passage (sequence to sequence, such as doc2query): folder "
        "or hub name.",
    ] = None
    generator_queries: Annotated[int, "Queries that the generator writes, at most."] = 5000
    held_out: Annotated[
        int, "Texts kept from training, for learning curve, quality card and golden queries."
    ] = 500

    def __post_init__(self) -> None:
        not_empty(self, "log", "generator")
        at_least(self, 0, "generated")
        at_least(self, 1, "generator_queries")
        at_least(self, 16, "held_out")
        within_one(self, "noise")


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The weight of each loss in the sum; 0 leaves it out."""

    cosine: Annotated[float, "1 − cosine to the teacher's vector of the same text."] = 1.0
    l2: Annotated[float, "Euclidean distance to it (LEAF, arXiv 2509.12539)."] = 0.0
    contrastive: Annotated[
        float, "InfoNCE over labelled pairs, in-batch and mined negatives (arXiv 1807.03748)."
    ] = 0.0
    triplet: Annotated[float, "Triplet loss over labelled pairs and mined negatives."] = 0.0
    margin_mse: Annotated[
        float, "Squared error of score margins to the cross-encoder's (arXiv 2010.02666)."
    ] = 0.0
    kl: Annotated[float, "KL divergence to the cross-encoder's distribution over candidates."] = 0.0
    preference: Annotated[float, "Pairwise logistic loss on the cross-encoder's preferences (RankNet)."] = 0.0
    listwise: Annotated[
        float, "KL divergence to the bi-encoder teacher's own distribution over candidates."
    ] = 0.0

    def __post_init__(self) -> None:
        names = [field.name for field in dataclasses.fields(self)]
        at_least(self, 0, *names)
        if not any(getattr(self, name) for name in names):
            raise SchemaError((), "expected at least one weight above 0")

    @property
    def needs_alignment(self) -> bool:
        """Whether a loss compares with the teacher's vectors of the training texts."""
        return self.cosine > 0 or self.l2 > 0

    @property
    def needs_pairs(self) -> bool:
        """Whether a loss learns from labelled pairs."""
        return self.contrastive > 0 or self.triplet > 0

    @property
    def needs_labels(self) -> bool:
        """Whether a loss knows which documents people said answer a query."""
        return self.needs_pairs or self.needs_cross_encoder

    @property
    def needs_cross_encoder(self) -> bool:
        """Whether a loss learns from a cross-encoder's scores."""
        return self.margin_mse > 0 or self.kl > 0 or self.preference > 0

    @property
    def needs_candidates(self) -> bool:
        """Whether a loss compares a query with documents."""
        return self.needs_pairs or self.needs_cross_encoder or self.listwise > 0


@dataclass(frozen=True, slots=True)
class CandidatesSpec:
    """The documents that a query is compared with, for every loss but cosine and l2."""

    count: Annotated[int, "Documents a query, its positive included."] = 8
    depth: Annotated[int, "They are drawn from this many best by the teacher."] = 50
    margin: Annotated[
        float,
        "A mined negative that scores above this share of the positive is left out: it may be an answer too.",
    ] = 0.95
    queries: Annotated[int, "At most this many queries; labelled ones first."] = 2000
    batch_size: Annotated[int, "Queries in a step; more than `training.batch_size` use GradCache."] = 32
    temperature: Annotated[float, "Softmax temperature of cosines."] = 0.05

    def __post_init__(self) -> None:
        at_least(self, 2, "count", "batch_size")
        at_least(self, 1, "depth", "queries")
        above_zero(self, "margin", "temperature")
        if self.depth < self.count:
            raise SchemaError(("depth",), f"expected at least count ({self.count}); found {self.depth}")


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """How students are distilled. Without labels, all is learned from the teacher."""

    losses: Annotated[LossWeights, "What is minimised."] = LossWeights()
    cross_encoder: Annotated[
        str | None,
        "A cross-encoder as second teacher: hub name or folder, such as `edge-build train-reranker` makes.",
    ] = None
    candidates: Annotated[CandidatesSpec, "Documents that queries are compared with."] = CandidatesSpec()
    steps: Annotated[int, "Optimizer steps for each student."] = 1000
    minutes: Annotated[
        float | None,
        "Stop earlier when this much training time has passed. Two builds may then differ: prefer `steps`.",
    ] = None
    patience: Annotated[
        int | None, "Stop after this many points of the learning curve (of 20) without a better one."
    ] = None
    batch_size: Annotated[int, "Texts in a step."] = 32
    learning_rate: Annotated[float, "Peak learning rate (AdamW, warm-up, cosine decay)."] = 3e-4
    train_embeddings: Annotated[bool, "Train the word table too; frozen is faster."] = False
    precision: Annotated[
        FloatType,
        "What matrix products are computed in; weights and gradients are float32. As that of `teacher`.",
    ] = "float32"
    seed: Annotated[int, "Seed of every random choice."] = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "batch_size", "patience")
        at_least(self, 0, "seed")
        if self.seed >= 1 << 32:
            raise SchemaError(("seed",), f"expected less than 2**32; found {self.seed}")
        not_empty(self, "cross_encoder")
        above_zero(self, "learning_rate", "minutes")
        if self.losses.needs_cross_encoder and self.cross_encoder is None:
            raise SchemaError(("cross_encoder",), "margin_mse, kl and preference need one; name it")
