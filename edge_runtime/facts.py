"""What a bundle holds, in lines for people: the text of `edge-runtime info`."""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.choice import Choice
from edge_runtime.manifest import EncoderSpec, Manifest


def of(manifest: Manifest, chosen: Choice) -> Iterator[tuple[str, str]]:
    """Names and values, in order.

    Args:
        chosen: the encoder that opening the bundle would take.
    """
    yield "bundle", f"{manifest.name} {manifest.version}, made {manifest.created}"
    yield "documents", f"{manifest.documents.documents:,} in {manifest.documents.passages:,} passages"
    for spec in manifest.encoders:
        yield "encoder", "; ".join([f"{spec.id}: {_shape(spec)}", *_worth(spec)])
    yield "auto", f"{chosen.encoder}: {chosen.reason}"
    index = manifest.index
    yield "index", f"{index.search}, {index.dtype}, {index.count:,} vectors"
    yield "words", f"BM25, {manifest.lexical.terms:,} terms, stemmer {manifest.lexical.stemmer}"
    if reranker := manifest.reranker:
        shape = f"{reranker.kind}, {reranker.layers} layers, {reranker.max_tokens} tokens a pair"
        yield "reranker", f"{shape}; reads the first {reranker.depth} unless a search says otherwise"
    if manifest.documents.fields:
        yield "filters", f"fast on {', '.join(manifest.documents.fields.names)}"
    for licence in manifest.licences:
        yield "licence", f"{licence.licence} ({licence.part})"
    total = sum(entry.size for entry in manifest.files)
    yield "size", f"{total / 1e6:.1f} MB in {len(manifest.files)} files"
    yield "hashes", "not checked; edge-runtime verify checks them"


def _shape(spec: EncoderSpec) -> str:
    layers = f", {spec.layers} layers" if spec.layers else ""
    needs = ", needs int8 dot product" if "dot_product" in spec.requires else ""
    return f"{spec.kind}{layers}, {spec.ndim} dimensions{needs}"


def _worth(spec: EncoderSpec) -> Iterator[str]:
    quality, cost = spec.quality, spec.cost
    if quality:
        kept = "" if quality.retention is None else f", {quality.retention:.1%} of the teacher's"
        basis = "judged queries" if quality.basis == "labels" else "agreement with the teacher"
        earlier = "" if quality.version is None else f", with the documents of {quality.version}"
        yield f"nDCG@10 {quality.ndcg_10:.4f}{kept} ({basis}{earlier})"
    if cost:
        yield f"{cost.bytes / 1e6:.1f} MB, {cost.macs / 1e6:,.2f} million multiply-adds for 16 tokens"
