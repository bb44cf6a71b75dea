"""The compiled cross-encoder: the same function as the model, its graph, and what it is not made of."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification

from build_tools.compile.onnx import MODEL
from build_tools.compile.reranker import PairScorer, check, compile_reranker
from build_tools.distill.tokens import plain_json
from build_tools.errors import ModelError
from edge_runtime.encoders import pairs
from edge_runtime.reranker import Reranker
from edge_runtime.tokenizer import Tokenizer

MAX_TOKENS = 64
PAIRS = [
    ("yeast and dough", "Bread flour. How to use flour with water and salt."),
    ("Error E-102", "bicycle"),
    ("brake " * 50, "pedal and chain " * 60),
    ("  héllo\twörld \n", "🙂 knot\x07 rope " * 30),
    ("a", "wheel " * 200),
    ("wheel " * 200, "a"),
]


@pytest.fixture(scope="module")
def model(cross_encoder_folder: Path) -> CrossEncoder:
    return CrossEncoder(str(cross_encoder_folder), device="cpu")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, model: CrossEncoder) -> Path:
    path = tmp_path_factory.mktemp("reranker") / "model"
    compile_reranker(PairScorer.of(model), path)
    return path / MODEL


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, model: CrossEncoder) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(plain_json(model.tokenizer), "utf-8")
    return Tokenizer.load(path, max_tokens=MAX_TOKENS)


def predicted(model: CrossEncoder) -> list[float]:
    """Each pair alone, so that no padding takes part."""
    logits = [
        model.predict([pair], activation_fn=torch.nn.Identity(), show_progress_bar=False) for pair in PAIRS
    ]
    return [float(logit[0]) for logit in logits]


def test_reads_what_the_model_reads(model: CrossEncoder, tokenizer: Tokenizer) -> None:
    """Token ids and types of short, long, empty-looking and odd pairs, cut as sentence-transformers cuts."""
    for query, passage in PAIRS:
        theirs = model.tokenizer(query, passage, truncation=True, max_length=MAX_TOKENS)
        ours = tokenizer.encode_pair(query, passage)
        assert ours.ids == theirs["input_ids"]
        assert ours.types == theirs["token_type_ids"]
        assert len(ours.ids) <= MAX_TOKENS


def test_is_the_same_function(model: CrossEncoder, tokenizer: Tokenizer) -> None:
    """In float32: the logits that `CrossEncoder.predict` gives, token types and all."""
    scorer = PairScorer.of(model)
    for (query, passage), expected in zip(PAIRS, predicted(model), strict=True):
        tokens = tokenizer.encode_pair(query, passage)
        ids, types = torch.tensor([tokens.ids]), torch.tensor([tokens.types])
        with torch.no_grad():
            assert scorer(ids, torch.ones_like(ids), types).item() == pytest.approx(expected, abs=1e-5)
            assert scorer(ids, torch.ones_like(ids), 1 - types).item() != pytest.approx(expected, abs=1e-3)


def test_int8_ranks_as_the_model(model: CrossEncoder, tokenizer: Tokenizer, compiled: Path) -> None:
    """Close to its logits, in their order, through the device's own code."""
    reranker = Reranker(tokenizer, pairs.PairScorer.load(compiled))
    scores = np.array([reranker.score(reranker.tokenize(*pair)) for pair in PAIRS])
    expected = np.array(predicted(model))
    assert np.ptp(expected) > 1
    assert np.abs(scores - expected).max() < 0.1 * np.ptp(expected)
    assert np.argsort(scores).tolist() == np.argsort(expected).tolist()
    reranker.close()


def test_the_graph_is_fused_and_quantized(compiled: Path) -> None:
    """One attention a layer, and no plain matrix product is left."""
    kinds = Counter(node.op_type for node in onnx.load(str(compiled)).graph.node)
    assert kinds["QAttention"] == 2
    assert kinds["Gelu"] == 2
    assert not kinds.keys() & {"MatMul", "Gemm", "Softmax", "Erf", "Attention"}


def test_other_families_are_refused() -> None:
    """By what the configuration says."""
    network = SimpleNamespace(config=SimpleNamespace(model_type="roberta"))
    with pytest.raises(
        ModelError, match=r"^reranker.model: model_type is 'roberta'; .* Name a BERT cross-enc"
    ):
        check(network)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_labels": 3}, "found BertForSequenceClassification with 3 labels; expected"),
        ({"num_labels": 1, "type_vocab_size": 1}, "has one token type; expected two"),
    ],
)
def test_other_heads_are_refused(changes: dict[str, int], problem: str) -> None:
    """Several labels, or no way to tell query from passage."""
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, **changes)
    with pytest.raises(ModelError, match=f"^reranker.model: {problem}"):
        check(BertForSequenceClassification(config))
