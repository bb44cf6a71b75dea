"""Text to token ids, with the bundle's tokenizer.json and nothing else."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer

from edge_runtime.errors import BundleError

MAX_CHARACTERS = 20_000
"""Longer text is cut before tokenizing: no encoder reads that far, and a pasted file must not stall."""


class Tokenizer:
    """A tokenizer that truncates to an encoder's longest input and never pads. Thread-safe."""

    def __init__(self, tokenizer: FastTokenizer, *, max_tokens: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: Path, *, max_tokens: int) -> Tokenizer:
        """Reads a tokenizer.json; inputs are cut to `max_tokens`, special tokens included.

        Raises:
            BundleError: the file is not one that this version of tokenizers reads.
        """
        try:
            return cls(FastTokenizer.from_file(str(path)), max_tokens=max_tokens)
        except Exception as error:  # tokenizers raises bare Exception
            raise BundleError(f"{path}: not readable by this version of tokenizers ({error})") from None

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, special tokens included, at most `max_tokens`."""
        ids: list[int] = self._tokenizer.encode(text[:MAX_CHARACTERS]).ids
        return ids
