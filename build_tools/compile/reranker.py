"""A cross-encoder to the fused int8 ONNX model that a device scores (query, passage) pairs with.

Its encoder goes the way of a student (`onnx`): all layers, the first token's state. What a pair has more is
the token types, which tell query from passage, and the head, which makes one number of that state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from build_tools.compile.onnx import compile_module
from build_tools.distill.student import Student, bert_problem, cut
from build_tools.errors import ModelError

INPUTS, OUTPUT = ("input_ids", "attention_mask", "token_type_ids"), "score"


class PairScorer(nn.Module):
    """Token ids of pairs, mask and token types, int64 (n, t) each, to scores, float32 (n,)."""

    def __init__(self, encoder: Student, types: Tensor, pooler: nn.Linear, head: nn.Linear) -> None:
        """`types`, (2, hidden): the embeddings of query and passage."""
        super().__init__()
        self.encoder, self.pooler, self.head = encoder, pooler, head
        # The encoder's positions hold the first type's already, see `cut`.
        self.types = nn.Embedding(len(types), types.shape[1], _weight=types - types[0])

    @classmethod
    def of(cls, model: CrossEncoder) -> PairScorer:
        """The same function as the logits of `model`.

        Raises:
            ModelError: it is not a BERT encoder with BERT's head, or gives more than one score.
        """
        network: Any = model.model
        check(network)
        bert = network.bert
        encoder = cut(bert, None, network.config.hidden_size, "cls")
        types = bert.embeddings.token_type_embeddings.weight.detach()[:2]
        return cls(encoder, types.clone(), bert.pooler.dense, network.classifier).eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Scores, higher is more relevant; any real number."""
        first = self.encoder.pooled(input_ids, attention_mask, self.types(token_type_ids))
        scores: Tensor = self.head(torch.tanh(self.pooler(first)))
        return scores[:, 0]


def check(network: Any) -> None:
    """Refuses what `PairScorer` cannot be made of.

    Raises:
        ModelError: says what was found.
    """
    if problem := bert_problem(network.config):
        raise ModelError(
            f"reranker.model: {problem} Name a BERT cross-encoder, such as train-reranker makes."
        )
    found = type(network).__name__
    if found != "BertForSequenceClassification" or network.config.num_labels != 1:
        labels = network.config.num_labels
        raise ModelError(
            f"reranker.model: found {found} with {labels} labels; expected BertForSequenceClassification "
            "with one, such as edge-build train-reranker makes"
        )
    if network.config.type_vocab_size < len(("query", "passage")):
        raise ModelError(
            "reranker.model: has one token type; expected two, one for query and one for passage"
        )


def compile_reranker(scorer: PairScorer, path: Path) -> None:
    """Writes the int8 form of `scorer`, model and weights, into the new directory `path`.

    Inputs ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 (n, t), both axes dynamic; output
    ``score``, float32 (n,).

    Raises:
        BuildError: the exporter made a graph of another form.
    """
    compile_module(scorer, path, shape=scorer.encoder.shape, inputs=INPUTS, output=OUTPUT)
