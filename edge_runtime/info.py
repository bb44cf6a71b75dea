"""What an open bundle says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Info:
    """What is open: the bundle, the encoder and the engine.

    Attributes:
        bytes: of the bundle's files.
        rerank: documents that the bundle's reranker reads when it is not told how many; None without one.
    """

    name: str
    version: str
    created: str
    documents: int
    passages: int
    ndim: int
    encoder: str
    encoders: tuple[str, ...]
    engine: str
    search: str
    bytes: int
    rerank: int | None = None


def of(manifest: Manifest, *, encoder: str, engine: str) -> Info:
    """The facts of a manifest, and what was loaded of it."""
    return Info(
        name=manifest.name,
        version=manifest.version,
        created=manifest.created,
        documents=manifest.documents.documents,
        passages=manifest.documents.passages,
        ndim=manifest.index.ndim,
        encoder=encoder,
        encoders=tuple(spec.id for spec in manifest.encoders),
        engine=engine,
        search=manifest.index.search,
        bytes=sum(entry.size for entry in manifest.files),
        rerank=manifest.reranker.depth if manifest.reranker else None,
    )
