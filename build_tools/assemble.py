"""Finished parts to a bundle directory: a draft to measure, and its manifest.

The draft is a whole bundle but for its golden queries and quality card, so what is measured is exactly
what ships. No wall-clock figure enters a bundle: the same inputs give the same bytes, on the same kind of
processor with as many threads (with others, sums round otherwise, and training makes that show).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from build_tools import documents, fields, quality, stamp
from build_tools.compile import WRITERS
from build_tools.compile.onnx import MODEL, WEIGHTS
from build_tools.documents import Written
from build_tools.golden import FILENAME as GOLDEN
from build_tools.pipeline import Parts
from build_tools.quality import QualityCard
from build_tools.stages.reranking import CompiledReranker
from build_tools.stages.rungs import Encoder
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import (
    Compatible,
    EncoderCost,
    EncoderQuality,
    EncoderSpec,
    Licence,
    Manifest,
    RerankerSpec,
)

TOKENIZER = "tokenizer.json"
RERANKER = "reranker"
GOLDEN_PAIRS = f"{RERANKER}/golden.jsonl"


def draft(parts: Parts, directory: Path) -> None:
    """Writes a complete bundle whose golden queries and quality card are still empty."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "encoders").mkdir(parents=True)
    (directory / "lexical").mkdir()
    for encoder in parts.encoders:
        copy = shutil.copytree if encoder.path.is_dir() else shutil.copyfile
        copy(encoder.path, directory / _place(encoder))
        shutil.copyfile(encoder.distilled.tokenizer, directory / _tokenizer_path(parts, encoder))
    if parts.reranker:
        shutil.copytree(parts.reranker.path, directory / RERANKER)
        shutil.copyfile(parts.reranker.tokenizer, directory / _reranker_tokenizer(parts, parts.reranker))
        (directory / GOLDEN_PAIRS).write_bytes(b"")
    copy = shutil.copytree if parts.index.is_dir() else shutil.copyfile
    copy(parts.index, directory / parts.index_spec.path)
    for name in (documents.FILENAME, documents.OWNERS):
        shutil.copyfile(parts.corpus.stage.directory / name, directory / name)
    if parts.recipe.filters.indexed:
        fields.write(directory, parts.recipe.filters.indexed)
    for file in sorted(parts.lexical.iterdir()):
        shutil.copyfile(file, directory / "lexical" / file.name)
    (directory / GOLDEN).write_bytes(b"")
    (directory / quality.FILENAME).write_bytes(b"")
    write_manifest(parts, directory)


def write_manifest(parts: Parts, directory: Path, card: QualityCard | None = None) -> None:
    """Hashes every file of the directory and writes the manifest that lists them.

    Args:
        card: what was measured, from which each encoder's quality is taken.
    """
    manifest = Manifest(
        format=manifests.FORMAT,
        name=parts.recipe.name,
        version=parts.recipe.version,
        created=stamp.created(),
        compatible=Compatible(runtime=stamp.OLDEST_RUNTIME),
        encoders=tuple(_encoder_spec(parts, encoder, card) for encoder in parts.encoders),
        index=parts.index_spec,
        lexical=parts.lexical_spec,
        documents=documents.spec_of(
            Written(parts.corpus.documents, parts.corpus.passages),
            fields.spec_of(parts.recipe.filters.indexed),
        ),
        fusion=parts.fusion,
        golden=GOLDEN,
        quality=quality.FILENAME,
        licences=tuple(_licences(parts)),
        files=stamp.files_of(directory),
        reranker=_reranker_spec(parts, parts.reranker) if parts.reranker else None,
    )
    (directory / manifests.FILENAME).write_bytes(manifests.dump(manifest))


def _place(encoder: Encoder) -> str:
    """Of the encoder's file or directory in the bundle."""
    return f"encoders/{encoder.id}{'.tflite' if encoder.kind == 'tflite' else ''}"


def _tokenizer_path(parts: Parts, encoder: Encoder) -> str:
    """One shared file where all students read alike, else one each."""
    digests = {sha256(other.distilled.tokenizer) for other in parts.encoders}
    return TOKENIZER if len(digests) == 1 else f"encoders/{encoder.id}.tokenizer.json"


def _encoder_spec(parts: Parts, encoder: Encoder, card: QualityCard | None) -> EncoderSpec:
    place, onnx = _place(encoder), encoder.kind == "onnx"
    return EncoderSpec(
        id=encoder.id,
        kind=encoder.kind,
        path=f"{place}/{MODEL}" if onnx else place,
        tokenizer=_tokenizer_path(parts, encoder),
        ndim=parts.teacher.ndim,
        max_tokens=encoder.max_tokens,
        prompt="",
        layers=len(encoder.distilled.layers),
        writer=_versions(*WRITERS[encoder.kind], "tokenizers"),
        quality=_quality(card, encoder.id),
        cost=EncoderCost(_size(encoder.path), encoder.distilled.macs),
        lengths=encoder.lengths,
        requires=("dot_product",) if encoder.precision == "blockwise" else (),
        weights=f"{place}/{WEIGHTS}" if onnx else None,
    )


def _reranker_spec(parts: Parts, reranker: CompiledReranker) -> RerankerSpec:
    return RerankerSpec(
        kind="onnx",
        path=f"{RERANKER}/{MODEL}",
        weights=f"{RERANKER}/{WEIGHTS}",
        tokenizer=_reranker_tokenizer(parts, reranker),
        golden=GOLDEN_PAIRS,
        max_tokens=reranker.max_tokens,
        depth=reranker.depth,
        layers=reranker.layers,
        writer=_versions(*WRITERS["onnx"], "tokenizers"),
    )


def _reranker_tokenizer(parts: Parts, reranker: CompiledReranker) -> str:
    """The file of the encoders where they share one and the reranker reads alike, else its own."""
    digests = {sha256(encoder.distilled.tokenizer) for encoder in parts.encoders}
    return TOKENIZER if digests == {sha256(reranker.tokenizer)} else f"{RERANKER}/{TOKENIZER}"


def _licences(parts: Parts) -> Iterator[Licence]:
    yield Licence("documents", parts.recipe.licence)
    yield Licence(f"encoders, distilled from {parts.teacher.name}", parts.teacher.tower.licence)
    if parts.reranker:
        yield Licence(f"reranker, {parts.reranker.name}", parts.reranker.licence)


def _quality(card: QualityCard | None, encoder: str) -> EncoderQuality | None:
    row = card.through_index(encoder) if card else None
    return None if card is None or row is None else EncoderQuality(row.ndcg_10, row.retention, card.basis)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size


def _versions(*names: str) -> Mapping[str, str]:
    return {name: version(name) for name in names}
