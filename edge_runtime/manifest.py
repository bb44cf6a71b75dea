"""The bundle's manifest: what is in it, who wrote it, and the sha256 of every byte.

``manifest.yaml`` is the only file that is read before anything is hashed, so it is parsed with a size
bound, decoded into frozen dataclasses, and every path in it is checked. docs/bundle-format.md is the
specification; this module is its reader and writer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from edge_runtime import compatibility, schema, strict_yaml
from edge_runtime.compatibility import FORMAT as FORMAT
from edge_runtime.compatibility import VERSION_PATTERN as VERSION_PATTERN
from edge_runtime.encoder_spec import NAME_PATTERN as NAME_PATTERN
from edge_runtime.encoder_spec import EncoderCost as EncoderCost
from edge_runtime.encoder_spec import EncoderQuality as EncoderQuality
from edge_runtime.encoder_spec import EncoderSpec as EncoderSpec
from edge_runtime.errors import ManifestError, QueryError
from edge_runtime.languages import Stemmer
from edge_runtime.reranker_spec import RerankerSpec as RerankerSpec
from edge_runtime.schema import require, require_match, require_positive, shown

FILENAME = "manifest.yaml"
SIGNATURE = "manifest.yaml.minisig"
MAX_BYTES = 1 << 20

_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle. `path` is relative, with forward slashes; `size` is in bytes."""

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        check_member_path(self.path)
        require(self.size >= 0, "size", f"expected 0 or more; found {self.size}")
        require_match(SHA256_PATTERN, self.sha256, "sha256", "64 lower-case hexadecimal digits")


_PLACES = ("rows.npy", "places.npy")

GRAPH_FILES = ("graph.usearch", *_PLACES)
"""What a graph consists of whose vectors lie in an order of their own (see `places`)."""

TWO_STAGE_FILES = (*GRAPH_FILES, "axes.npy", "vectors.npy")
"""What an index of two stages consists of (see `two_stage`)."""

PQ_FILES = ("codes.faiss", *_PLACES, "vectors.npy")
"""What an index of product codes consists of (see `product_codes`)."""

_FILES = {"exact": GRAPH_FILES, "hnsw": GRAPH_FILES, "two-stage": TWO_STAGE_FILES, "pq": PQ_FILES}


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """The dense index: one int8 vector a passage, its key the passage's row.

    A component is stored as ``clip(round(x * scale), -127, 127)``; queries are scaled alike.

    Attributes:
        path: the usearch file, whose vectors are in the order of the rows; or, with another ending, the
            folder of an index that has them in an order of its own.
        expansion: candidates of a graph's search; for "two-stage" and "pq", how many are compared by their
            int8 vectors.
    """

    path: str
    search: Literal["exact", "hnsw", "two-stage", "pq"]
    metric: Literal["cos"]
    dtype: Literal["i8"]
    ndim: int
    count: int
    scale: float
    expansion: int
    writer: Mapping[str, str]

    def __post_init__(self) -> None:
        require_positive(self, "ndim", "count", "scale", "expansion")
        in_folder = self.has_places or self.search in ("exact", "hnsw")
        require(in_folder, "path", f"expected a folder for {self.search}; found {shown(self.path)}")

    @property
    def members(self) -> tuple[str, ...]:
        """The paths of its files."""
        if not self.has_places:
            return (self.path,)
        return tuple(f"{self.path}/{name}" for name in _FILES[self.search])

    @property
    def has_places(self) -> bool:
        """Whether the vectors lie in an order of their own."""
        return not self.path.endswith(".usearch")


@dataclass(frozen=True, slots=True)
class LexicalSpec:
    """The word index: precomputed BM25 scores, one postings list a stem (see `lexical`)."""

    path: str
    variant: Literal["lucene"]
    k1: float
    b: float
    stemmer: Stemmer
    count: int
    terms: int
    writer: Mapping[str, str]

    def __post_init__(self) -> None:
        require_positive(self, "count")
        require(self.terms >= 0, "terms", f"expected 0 or more; found {self.terms}")


@dataclass(frozen=True, slots=True)
class FieldsSpec:
    """An SQLite file with an index of the metadata fields `names`, for filters (see `selection`)."""

    path: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        require(len(self.names) > 0, "names", "expected at least one name; found none")
        require(len(set(self.names)) == len(self.names), "names", "the same name twice")


@dataclass(frozen=True, slots=True)
class DocumentsSpec:
    """The texts: an SQLite file of `passages` rows that belong to `documents` documents.

    `owners` is an .npy file, int32 (passages,): the document number of each row. `fields` is None where
    filters have no index; they work by a scan then.
    """

    path: str
    owners: str
    passages: int
    documents: int
    writer: Mapping[str, str]
    fields: FieldsSpec | None = None

    def __post_init__(self) -> None:
        require_positive(self, "passages", "documents")
        fits = self.documents <= self.passages
        require(
            fits, "documents", f"{self.documents} in {self.passages} passages; expected one each at least"
        )


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """How the two rankings are joined: the first `depth` documents of each, by rank or by score.

    Attributes:
        method: ``rrf``, reciprocal rank fusion; ``weighted``, by scores (see `fusion`).
        k: for ``rrf``; what follows is for ``weighted``.
        balance: log odds of meaning against words, before the query is looked at.
        cosine_mean: of queries to passages in general; `cosine_spread` is the standard deviation.
    """

    method: Literal["rrf", "weighted"] = "rrf"
    k: int = 60
    depth: int = 100
    balance: float = 1.6
    cosine_mean: float = 0.0
    cosine_spread: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "k", "depth", "cosine_spread")
        bounds = {"balance": 20, "cosine_mean": 1}  # finite, and sums of them too
        for field, most in bounds.items():
            value = getattr(self, field)
            require(-most <= value <= most, field, f"expected -{most} to {most}; found {value}")


@dataclass(frozen=True, slots=True)
class Licence:
    """What a part of the bundle may be used for."""

    part: str
    licence: str


@dataclass(frozen=True, slots=True)
class Compatible:
    """The oldest runtime that reads this bundle."""

    runtime: str

    def __post_init__(self) -> None:
        require_match(VERSION_PATTERN, self.runtime, "runtime", "a version such as 0.1.0")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole of manifest.yaml; `reranker` is None in a bundle that has none."""

    format: int
    name: str
    version: str
    created: str
    compatible: Compatible
    encoders: tuple[EncoderSpec, ...]
    index: IndexSpec
    lexical: LexicalSpec
    documents: DocumentsSpec
    fusion: FusionSpec
    golden: str
    quality: str
    licences: tuple[Licence, ...]
    files: tuple[FileEntry, ...]
    reranker: RerankerSpec | None = None

    def __post_init__(self) -> None:
        require_match(NAME_PATTERN, self.name, "name", "lower-case letters, digits, '.', '_' and '-'")
        require_match(VERSION_PATTERN, self.version, "version", "three numbers such as 1.0.0")
        require_match(_CREATED, self.created, "created", "a UTC time such as 2026-01-31T12:00:00Z")
        require(len(self.encoders) > 0, "encoders", "expected at least one encoder; found none")
        self._check_files()
        self._check_counts()

    def entry(self, path: str) -> FileEntry:
        """The size and sha256 of one file.

        Raises:
            ManifestError: the manifest does not list `path`.
        """
        for entry in self.files:
            if entry.path == path:
                return entry
        raise ManifestError(f"{FILENAME} does not list {path}; rebuild the bundle")

    def encoder(self, encoder_id: str | None = None) -> EncoderSpec:
        """The encoder called `encoder_id`; the first one when it is None.

        Raises:
            QueryError: no encoder has that id.
        """
        for spec in self.encoders:
            if encoder_id in (None, spec.id):
                return spec
        known = ", ".join(spec.id for spec in self.encoders)
        raise QueryError(f"encoder: bundle {self.name} has {known}; found {schema.shown(encoder_id)}")

    def _check_files(self) -> None:
        paths = Counter(entry.path for entry in self.files)
        twice = [path for path, times in paths.items() if times > 1]
        require(not twice, "files", f"listed more than once: {', '.join(twice)}")
        needed = [*self.index.members, self.documents.path, self.documents.owners, self.golden, self.quality]
        if self.documents.fields:
            needed.append(self.documents.fields.path)
        for spec in self.encoders:
            needed += [*spec.members, spec.tokenizer]
        needed += self.reranker.members if self.reranker else ()
        missing = [path for path in needed if path not in paths]
        require(not missing, "files", f"not listed although used: {', '.join(map(schema.shown, missing))}")
        inside = any(path.startswith(f"{self.lexical.path}/") for path in paths)
        require(inside, "files", f"nothing listed under {schema.shown(self.lexical.path)}")

    def _check_counts(self) -> None:
        ids = [spec.id for spec in self.encoders]
        require(len(ids) == len(set(ids)), "encoders", f"the same id twice: {', '.join(ids)}")
        for spec in self.encoders:
            same = spec.ndim == self.index.ndim
            require(same, "encoders", f"{spec.id}: {spec.ndim} dimensions; index has {self.index.ndim}")
        counts = {self.index.count, self.lexical.count, self.documents.passages}
        require(
            len(counts) == 1, "index", f"index, lexical and documents differ in passages: {sorted(counts)}"
        )


def check_member_path(path: str) -> None:
    """Refuses any path that could leave the bundle's directory.

    Raises:
        schema.SchemaError: absolute, empty, with ``..``, a backslash or a control character, or the name of
            the manifest or its signature, which nothing can list.
    """
    parts = path.split("/")
    safe = all(part not in ("", ".", "..") for part in parts)
    plain = path.isprintable() and "\\" not in path and ":" not in path
    if not (safe and plain and len(path) <= 255 and path not in (FILENAME, SIGNATURE)):
        raise schema.SchemaError(("path",), f"expected a plain relative path; found {schema.shown(path)}")


def read(path: Path) -> Manifest:
    """Reads and validates a manifest file of at most `MAX_BYTES`.

    Raises:
        ManifestError: absent, too large, not YAML, or not a manifest of this format.
        CompatibilityError: another bundle format, or made for a newer runtime.
    """
    try:
        if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
            raise ManifestError(f"{path}: not a plain file; copy the bundle again")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); is this a bundle?") from None
    return parse(data, str(path))


def parse(data: bytes, source: str = FILENAME) -> Manifest:
    """Parses the bytes of a manifest. `source` names them in errors. Raises as `read` does."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{source}: larger than {MAX_BYTES} bytes; this is not a manifest")
    try:
        value = strict_yaml.load(data)
    except strict_yaml.StrictYamlError as error:
        raise ManifestError(f"{source}: {error}; copy the bundle again") from None
    compatibility.check(value, source)
    try:
        return schema.decode(Manifest, value)
    except schema.SchemaError as error:
        raise ManifestError(f"{source}: {error}; copy or build the bundle again") from None


def dump(manifest: Manifest) -> bytes:
    """The bytes of manifest.yaml: keys in the order of the specification, escapes for what is not ASCII."""
    # Not allow_unicode: U+0085 and its like would be written as line breaks and read back as blanks.
    return yaml.safe_dump(schema.encode(manifest), sort_keys=False, width=100).encode()
