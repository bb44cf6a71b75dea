"""Query encoders run by ONNX Runtime (see `session`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.device_config import Provider
from edge_runtime.encoders.base import Encoder, checked_vector, first_line
from edge_runtime.encoders.session import open_session
from edge_runtime.errors import EngineError, of_library
from edge_runtime.manifest import EncoderSpec

_IDS, _MASK = "input_ids", "attention_mask"
_KIND = "tensor(int64)"
_OUTPUT = "sentence_embedding"


class OnnxEncoder(Encoder):
    """An ONNX Runtime session tuned for one short query at a time.

    Older models take a mask as well, which is all ones.
    """

    def __init__(self, session: Any, *, engine: str, ndim: int) -> None:
        self.engine = engine
        self._session = session
        self._ndim = ndim
        self._masked = any(node.name == _MASK for node in session.get_inputs())

    @classmethod
    def load(
        cls, path: Path, spec: EncoderSpec, *, threads: int = 1, providers: Sequence[Provider] = ()
    ) -> OnnxEncoder:
        """Loads the file at `path`.

        Args:
            path: the model.
            spec: the manifest's entry for it.
            threads: compute threads a query; like `providers` as for `open_session`.

        Raises:
            EngineError: onnxruntime is not installed or refuses the file.
        """
        session, engine = open_session(path, f"encoder {spec.id}", threads=threads, providers=providers)
        _check_signature(session, spec, path)
        return cls(session, engine=engine, ndim=spec.ndim)

    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """One run of the session; see `Encoder.encode`."""
        ids = np.array([token_ids], dtype=np.int64)
        inputs = {_IDS: ids}
        if self._masked:
            inputs[_MASK] = np.ones_like(ids)
        try:
            (vectors,) = self._session.run([_OUTPUT], inputs)
        except Exception as error:
            if not of_library(error):
                raise
            raise EngineError(f"{self.engine} failed on {ids.size} tokens ({first_line(error)})") from None
        return checked_vector(vectors, self._ndim)

    def close(self) -> None:
        """Drops the session."""
        self._session = None


def _check_signature(session: Any, spec: EncoderSpec, path: Path) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: (node.type, node.shape) for node in session.get_outputs()}
    kind, shape = outputs.get(_OUTPUT, ("", []))
    known = inputs in ({_IDS: _KIND}, {_IDS: _KIND, _MASK: _KIND})
    if not known or kind != "tensor(float)":
        raise EngineError(
            f"{path}: takes {', '.join(inputs)} and gives {', '.join(outputs)}; expected {_IDS} "
            f"of int64, {_MASK} if anything beside it, and {_OUTPUT} of float; rebuild the bundle"
        )
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != spec.ndim):
        raise EngineError(
            f"{path}: {_OUTPUT} has shape {shape}; expected (n, {spec.ndim}); rebuild the bundle"
        )
