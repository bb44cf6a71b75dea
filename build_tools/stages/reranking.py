"""The stage that makes the bundle's reranker: a cross-encoder, compiled for the device."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentence_transformers import CrossEncoder

from build_tools.compile import WRITERS
from build_tools.compile.onnx import MODEL, WEIGHTS
from build_tools.compile.reranker import PairScorer, compile_reranker
from build_tools.distill.cross_encoder import Scorer
from build_tools.distill.tokens import plain_json
from build_tools.errors import ModelError
from build_tools.progress import Progress
from build_tools.recipe_reranker import RerankingSpec
from build_tools.workspace import Workspace
from edge_runtime import __version__

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class CompiledReranker:
    """A cross-encoder as the device runs it.

    Attributes:
        name: its hub name, or its folder's.
        path: the directory of the model and its weights.
        tokenizer: a file.
        max_tokens: of query and passage together.
    """

    name: str
    licence: str
    path: Path
    tokenizer: Path
    max_tokens: int
    depth: int
    layers: int


def make_reranker(spec: RerankingSpec, workspace: Workspace, progress: Progress) -> CompiledReranker:
    """Compiles the cross-encoder that a recipe names.

    Raises:
        ModelError: it cannot be loaded, is no BERT cross-encoder of one score, or reads less than
            `max_tokens`.
        BuildError: it cannot be compiled.
    """
    scorer = Scorer.load(spec.model)
    max_tokens = _max_tokens(scorer.model, spec)
    writers = tuple(version(name) for name in WRITERS["onnx"])
    stage = workspace.stage("reranker", __version__, scorer.digest, writers)
    network = PairScorer.of(scorer.model)
    if not stage.done:
        tokenizer = plain_json(scorer.model.tokenizer)
        (stage.directory / TOKENIZER).write_text(tokenizer, "utf-8")
        compile_reranker(network, stage.directory / "model")
        stage.finish()
    path = stage.directory / "model"
    size = sum((path / name).stat().st_size for name in (MODEL, WEIGHTS))
    progress.say(f"reranker   {scorer.name}: {size / 1e6:.1f} MB of int8 ONNX")
    return CompiledReranker(
        name=scorer.name,
        licence=_licence(scorer.model),
        path=path,
        tokenizer=stage.directory / TOKENIZER,
        max_tokens=max_tokens,
        depth=spec.depth,
        layers=network.encoder.shape.layers,
    )


def _max_tokens(model: CrossEncoder, spec: RerankingSpec) -> int:
    config: Any = getattr(model.model, "config", None)
    positions = int(getattr(config, "max_position_embeddings", 0))
    own = min(int(model.max_seq_length or positions), positions)
    if spec.max_tokens is not None and spec.max_tokens > positions:
        raise ModelError(
            f"reranker.max_tokens {spec.max_tokens}: the model has {positions} positions; ask for no more"
        )
    return spec.max_tokens or own


def _licence(model: CrossEncoder) -> str:
    found = getattr(model.model_card_data, "license", None)
    return found if isinstance(found, str) and found else "unknown"
