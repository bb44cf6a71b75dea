"""The whole build of one bundle: parts, draft, measurements, gates, and the finished files.

OUT/NAME/bundle/               the bundle's directory form
OUT/NAME/NAME-VERSION.edge     its transport form
OUT/NAME/build.yaml            what it was built from, for `edge-build evaluate`
OUT/NAME/work/                 finished stages; safe to delete, slow to make again
OUT/NAME/lock                  held while a build is at work
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from build_tools import assemble, card, documents, pipeline
from build_tools.corpus import fingerprint
from build_tools.corpus.beir import read_qrels, read_queries
from build_tools.evaluate import QualityCard, Questions, VectorSpace, agreement
from build_tools.pack import pack
from build_tools.pipeline import Parts
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.workspace import Workspace, locked, write_atomically
from edge_runtime import __version__, schema
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle, sha256
from edge_runtime.errors import Error

BUNDLE, RECORD, WORK = "bundle", "build.yaml", "work"
LIBRARIES = (
    "bm25s",
    "numpy",
    "onnx",
    "onnxruntime",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "usearch",
)
"""Those whose version can change a bundle's bytes."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build leaves.

    Attributes:
        fresh: False when an earlier build already stood there, unchanged.
    """

    bundle: Path
    transport: Path
    card: QualityCard
    fresh: bool


@dataclass(frozen=True, slots=True)
class Record:
    """build.yaml: the recipe as built, the identity of its inputs, and the sha256 of the transport file."""

    inputs: str
    transport: str
    recipe: Recipe


def build(recipe: Recipe, out: Path, progress: Progress) -> Built:
    """Builds, or finds unchanged, the bundle of a recipe under ``out/NAME``.

    Raises:
        BuildError: a stage could not go on, a gate was missed, or another build is at work there; finished
            stages are kept.
    """
    _check_early(recipe)
    home = out / recipe.name
    with locked(home):
        assemble.recover(home / BUNDLE)
        inputs = _inputs(recipe)
        return _unchanged(recipe, home, inputs) or _build(recipe, home, inputs, progress)


def reference_of(bundle: Path, progress: Progress) -> card.Reference | None:
    """The teacher, exact vectors and PyTorch students behind a bundle, or None where its build folder is
    gone or its inputs have changed since: an evaluation must not turn into a build.
    """
    home = bundle.resolve().parent
    record = read_record(home)
    if record is None or record.inputs != _inputs(record.recipe) or not (home / WORK).is_dir():
        return None
    with locked(home):
        parts = pipeline.make_parts(record.recipe, Workspace(home / WORK), progress)
    dense = manifests.read(bundle / manifests.FILENAME).entry(parts.index_spec.path)
    return _reference(parts) if sha256(parts.index) == dense.sha256 else None


def read_record(home: Path) -> Record | None:
    """build.yaml of a build folder, None where there is none that this version can read."""
    try:
        return schema.decode(Record, yaml.safe_load((home / RECORD).read_text("utf-8")))
    except (OSError, yaml.YAMLError, schema.SchemaError):
        return None


def read_keys(bundle: Path) -> list[str]:
    """The key of every document in a bundle, whose bytes are checked first."""
    Bundle.open(bundle).close()
    return documents.keys(bundle)


def read_card(bundle: Path) -> QualityCard:
    """quality.yaml of a bundle."""
    return schema.decode(QualityCard, yaml.safe_load((bundle / assemble.QUALITY).read_text("utf-8")))


def _check_early(recipe: Recipe) -> None:
    """Looks at what is needed last first: hours lie between."""
    assemble.created()
    if folder := _judged(recipe):
        read_queries(folder)
        read_qrels(folder, recipe.evaluation.split)


def _build(recipe: Recipe, home: Path, inputs: str, progress: Progress) -> Built:
    parts = pipeline.make_parts(recipe, Workspace(home / WORK), progress)
    finished = home / f"{BUNDLE}.new"
    assemble.draft(parts, finished)
    measured = _measure(parts, finished, progress)
    assemble.write_card(measured, finished)
    assemble.write_manifest(parts, finished)
    assemble.check_gates(measured, recipe.gates, finished)
    (home / RECORD).unlink(missing_ok=True)  # from here on it would speak of another bundle
    assemble.swap_in(finished, home / BUNDLE)
    transport = pack(home / BUNDLE, _transport(recipe, home))
    _write_record(Record(inputs, sha256(transport), recipe), home)
    return Built(home / BUNDLE, transport, measured, fresh=True)


def _measure(parts: Parts, directory: Path, progress: Progress) -> QualityCard:
    reference = _reference(parts)
    held_out = list(parts.held_out.texts)
    card.write_golden(directory, held_out[: parts.recipe.golden])
    assemble.write_manifest(parts, directory)
    parities, recall = card.parity_and_recall(directory, reference, held_out)
    questions = _questions(parts, reference)
    with progress.task("measuring", total=None, unit="systems") as advance:
        rows = card.rows(directory, questions, reference, advance)
    return QualityCard(questions.basis, len(questions.texts), rows, parities, recall)


def _questions(parts: Parts, reference: card.Reference) -> Questions:
    """Judged queries where the corpus has them, else agreement with the teacher on held-out text."""
    evaluation = parts.recipe.evaluation
    if folder := _judged(parts.recipe):
        return card.labelled(folder, evaluation.split, reference.space.keys, evaluation.queries)
    count = evaluation.queries or len(parts.held_out.texts)
    texts = parts.held_out.texts[:count]
    return agreement(texts, reference.space.rank(parts.held_out.targets[:count]))


def _judged(recipe: Recipe) -> Path | None:
    """The corpus' own folder, where it holds judged queries."""
    if recipe.corpus.source != "beir" or not recipe.corpus.path:
        return None
    folder = Path(recipe.corpus.path).expanduser()
    return folder if (folder / "qrels").is_dir() else None


def _reference(parts: Parts) -> card.Reference:
    directory = parts.corpus.stage.directory
    space = VectorSpace(parts.vectors, documents.owners(directory), documents.keys(directory))
    students = {encoder.spec.id: encoder.distilled.student for encoder in parts.encoders}
    return card.Reference(parts.tower, space, students)


def _unchanged(recipe: Recipe, home: Path, inputs: str) -> Built | None:
    """The bundle that stands there, if the same inputs made it and its bytes are whole."""
    record, transport = read_record(home), _transport(recipe, home)
    if record is None or record.inputs != inputs:
        return None
    try:
        Bundle.open(home / BUNDLE).close()
        measured = read_card(home / BUNDLE)
    except (Error, schema.SchemaError):
        return None
    if not transport.is_file() or sha256(transport) != record.transport:
        pack(home / BUNDLE, transport)
    return Built(home / BUNDLE, transport, measured, fresh=False)


def _inputs(recipe: Recipe) -> str:
    """Identifies all that a build depends on, without loading a model or reading a document."""
    files = [fingerprint.of(recipe.corpus)]
    for path in (recipe.teacher.model, recipe.training.queries, *(s.base for s in recipe.encoders)):
        files.append(fingerprint.of_path(path) if path else "")
    versions = [__version__, platform.python_version(), *map(version, LIBRARIES)]
    return hashlib.sha256(repr((versions, recipe, files)).encode()).hexdigest()


def _transport(recipe: Recipe, home: Path) -> Path:
    return home / f"{recipe.name}-{recipe.version}.edge"


def _write_record(record: Record, home: Path) -> None:
    text = yaml.safe_dump(schema.encode(record), sort_keys=False, allow_unicode=True).encode()
    write_atomically(home / RECORD, lambda file: file.write(text))
