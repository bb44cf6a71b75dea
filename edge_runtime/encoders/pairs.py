"""A cross-encoder run by ONNX Runtime (see `session`): token ids of a query and a passage to one score.

Pairs go one by one, as queries do. Dynamic int8 takes its scale from the whole input, so in a batch a score
would depend on its neighbours; and batches are no faster, for a single passage keeps the matrices busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.device_config import Provider
from edge_runtime.encoders.base import first_line
from edge_runtime.encoders.session import open_session
from edge_runtime.errors import EngineError, of_library

_INPUTS = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), "tensor(int64)")
_OUTPUT = "score"


class PairScorer:
    """A session of a cross-encoder.

    Attributes:
        engine: as in `encoders.base.Encoder`.
    """

    def __init__(self, session: Any, *, engine: str) -> None:
        self.engine = engine
        self._session = session

    @classmethod
    def load(cls, path: Path, *, threads: int = 1, providers: Sequence[Provider] = ()) -> PairScorer:
        """Loads the model at `path`; `threads` and `providers` as for `open_session`.

        Raises:
            EngineError: onnxruntime is not installed or refuses the file, or it is no cross-encoder.
        """
        session, engine = open_session(path, "the reranker", threads=threads, providers=providers)
        inputs = {node.name: node.type for node in session.get_inputs()}
        outputs = {node.name: (node.type, len(node.shape)) for node in session.get_outputs()}
        if inputs != _INPUTS or outputs.get(_OUTPUT) != ("tensor(float)", 1):
            raise EngineError(
                f"{path}: takes {', '.join(inputs)} and gives {', '.join(outputs)}; expected "
                f"{', '.join(_INPUTS)} of int64 and {_OUTPUT} of float, (n,); rebuild the bundle"
            )
        return cls(session, engine=engine)

    def score(self, token_ids: Sequence[int], token_types: Sequence[int]) -> float:
        """The score of one pair, any finite number, higher is more relevant. Thread-safe.

        Args:
            token_ids: of query and passage, special tokens included.
            token_types: 0 for the query's, 1 for the passage's, as many.

        Raises:
            EngineError: the engine failed, or gave something else.
        """
        ids = np.array([token_ids], dtype=np.int64)
        types = np.array([token_types], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        try:
            (scores,) = self._session.run([_OUTPUT], inputs)
        except Exception as error:
            if not of_library(error):
                raise
            raise EngineError(
                f"reranker: {self.engine} failed on {ids.size} tokens ({first_line(error)})"
            ) from None
        if scores.shape != (1,) or not np.isfinite(scores[0]):
            raise EngineError(f"reranker gave {scores.ravel()[:3]}; expected one number; rebuild the bundle")
        return float(scores[0])

    def close(self) -> None:
        """Drops the session."""
        self._session = None
