"""Text to token ids, with the bundle's tokenizer.json and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tokenizers

from edge_runtime.errors import BundleError

MAX_CHARACTERS = 20_000
"""Longer text is cut before tokenizing: no encoder reads that far, and a pasted file must not stall."""


@dataclass(frozen=True, slots=True)
class PairTokens:
    """Two texts in one sequence, special tokens included.

    Attributes:
        types: of each token, 0 in the first text and 1 in the second.
    """

    ids: list[int]
    types: list[int]


class Tokenizer:
    """A tokenizer that truncates to an encoder's longest input and never pads. Thread-safe."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, max_tokens: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: Path, *, max_tokens: int) -> Tokenizer:
        """Reads a tokenizer.json; inputs are cut to `max_tokens`, special tokens included.

        Raises:
            BundleError: the file is not one that this version of tokenizers reads and can use.
        """
        try:
            read = tokenizers.Tokenizer.from_buffer(path.read_bytes())  # `from_file` takes paths in UTF-8
            tokenizer = cls(read, max_tokens=max_tokens)
            length = len(tokenizer.encode("a " * min(max_tokens, 64)))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # bare Exception; PanicException, which is none, from faulty templates
            problem = str(error)[:200]
            raise BundleError(
                f"{path}: tokenizers {tokenizers.__version__} cannot use it ({problem})"
            ) from None
        if length > max_tokens:  # the library does not truncate when the special tokens alone are too many
            raise BundleError(
                f"{path}: {length} tokens where the encoder takes {max_tokens}; rebuild the bundle"
            )
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, special tokens included, at most `max_tokens`."""
        ids: list[int] = self._tokenizer.encode(text[:MAX_CHARACTERS]).ids
        return ids

    def encode_pair(self, first: str, second: str) -> PairTokens:
        """Both texts together, at most `max_tokens`: the longer one is cut until they fit."""
        encoded = self._tokenizer.encode(first[:MAX_CHARACTERS], second[:MAX_CHARACTERS])
        return PairTokens(encoded.ids, encoded.type_ids)
