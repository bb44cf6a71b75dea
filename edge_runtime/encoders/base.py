"""The shape that every query encoder has, whatever engine runs it."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EngineError

_UNIT_TOLERANCE = 1e-3


class Encoder(ABC):
    """One token sequence to one unit vector.

    Sequences go one by one on purpose: dynamic int8 takes its scale from the whole input, so in a batch a
    query's vector would depend on its neighbours.

    Attributes:
        engine: name and version of what runs it, such as ``onnxruntime 1.23.2``; and behind it in brackets
            what it runs on, where that is not the CPU.
    """

    engine: str

    @abstractmethod
    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """The vector, float32 (ndim,), of a non-empty token sequence. Thread-safe.

        Raises:
            EngineError: the engine failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees what the engine holds."""


def check_path(path: Path) -> None:
    """Refuses what no engine can be told to read: they take text in UTF-8 for a path.

    Raises:
        EngineError: the path is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise EngineError(
            f"{path}: no engine reads it, for its path is not UTF-8; put the bundle into another folder, "
            "or open it with a static encoder"
        ) from None


def checked_vector(output: NDArray[Any], ndim: int) -> NDArray[np.float32]:
    """The only row of an engine's output (1, ndim).

    Raises:
        EngineError: it has another shape, or a row not of unit length would be ranked, silently, by nonsense.
    """
    if output.shape != (1, ndim):
        raise EngineError(f"encoder gave shape {output.shape}; expected (1, {ndim}); rebuild the bundle")
    vector: NDArray[np.float32] = output[0]
    length = float(vector @ vector)
    if not abs(length - 1) < _UNIT_TOLERANCE:  # true for NaN as well
        raise EngineError(f"encoder gave a vector of squared length {length}; expected 1; rebuild the bundle")
    return vector


def package_version(module: str) -> str | None:
    """Version of the package that `module` comes from, "" where it does not tell; None when not installed.

    Read from the folder of the package's metadata: importing the engine, or importlib.metadata with its
    parsers of mail, would cost more than a short search.
    """
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a finder that refuses it, or a module put in by hand
        return None
    if found is None or found.origin is None:
        return None
    # onnxruntime-1.23.2.dist-info, but also onnxruntime_gpu-1.23.2.dist-info and more than one of them.
    folders = sorted(Path(found.origin).parents[1].glob(f"{module}*.dist-info"))
    return " ".join(folder.stem.rpartition("-")[2] for folder in folders)


def first_line(error: Exception) -> str:
    """What an engine's exception says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
