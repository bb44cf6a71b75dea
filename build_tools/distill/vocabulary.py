"""A smaller word-piece vocabulary: the pieces that a corpus and its queries use, and all single characters.

The word table is half of a small encoder, and most of its rows are words that one corpus never meets.
WordPiece spells by the longest piece that fits, so text whose pieces are all kept is spelt as before, and a
word that lost its piece is spelt in smaller ones, down to characters: it never becomes unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from build_tools.distill.student import Student
from build_tools.errors import ModelError

BATCH = 1024
"""Texts tokenized at once."""

ROW_OVERHEAD = 4
"""Bytes of a row's scale beside its int8 components, as `compile.onnx` stores it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What pruning saved and cost.

    Attributes:
        entries_before, entries_after: of the vocabulary.
        bytes_saved: of the int8 word table and of tokenizer.json together.
        respelt: share of held-out texts that are spelt in other pieces than before.
    """

    entries_before: int
    entries_after: int
    bytes_saved: int
    respelt: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A pruned vocabulary.

    Attributes:
        tokenizer: the text of its tokenizer.json.
        kept: int64 (entries,), rising: the old id of each new one.
    """

    tokenizer: str
    kept: NDArray[np.int64]


def prune(tokenizer: str, texts: Iterable[str]) -> Vocabulary:
    """The vocabulary without the pieces that `texts` do not use.

    Special and added tokens stay, and so does every single character, with and without the prefix of a
    continued word. A piece with a character that has no such single form is kept too.

    Args:
        tokenizer: the text of a tokenizer.json.
        texts: documents and training queries; read once.

    Raises:
        ModelError: the tokenizer is no WordPiece.
    """
    document = json.loads(tokenizer)
    model = document["model"]
    if model.get("type") != "WordPiece":
        raise ModelError(
            f"encoders.prune_vocabulary: only for WordPiece; this tokenizer is {model.get('type')}. "
            "Remove it, or name another encoders.base, such as `packaged`."
        )
    used = _used(_plain(tokenizer), texts, size=_size(document))
    always = _indispensable(document)
    kept = {piece: old for piece, old in model["vocab"].items() if used[old] or piece in always}
    added = {token["id"] for token in document["added_tokens"]}
    ids = np.array(sorted(added | set(kept.values())), np.int64)
    return Vocabulary(_renumbered(document, kept, ids), ids)


def slice_words(student: Student, kept: NDArray[np.int64]) -> Student:
    """The same student with only the `kept` rows of its word table, in that order.

    Raises:
        ModelError: an id has no row.
    """
    if kept[-1] >= student.shape.vocabulary:
        raise ModelError(
            f"encoders.prune_vocabulary: the tokenizer has token {kept[-1]}; the word table has only "
            f"{student.shape.vocabulary} rows. Name another encoders.base."
        )
    state = student.state_dict()
    state["words.weight"] = state["words.weight"][torch.from_numpy(kept)]
    smaller = Student(replace(student.shape, vocabulary=len(kept)))
    smaller.load_state_dict(state)
    return smaller.train(student.training)


def measure(before: str, after: Vocabulary, held_out: Sequence[str], *, hidden: int) -> Pruned:
    """What pruning saved and cost.

    Args:
        before: the text of the tokenizer.json that `after` was pruned from.
        held_out: texts that were not among those whose pieces were kept.
        hidden: columns of the word table.
    """
    size = _size(json.loads(before))
    old, new = _plain(before), _plain(after.tokenizer)
    spelt = zip(_encoded(old, held_out), _encoded(new, held_out), strict=True)
    respelt = sum(not np.array_equal(ids, after.kept[new_ids]) for ids, new_ids in spelt)
    rows = (size - len(after.kept)) * (hidden + ROW_OVERHEAD)
    return Pruned(
        entries_before=size,
        entries_after=len(after.kept),
        bytes_saved=rows + len(before.encode()) - len(after.tokenizer.encode()),
        respelt=round(respelt / max(1, len(held_out)), 4),
    )


def _plain(tokenizer: str) -> Tokenizer:
    plain = Tokenizer.from_str(tokenizer)
    plain.no_truncation()
    plain.no_padding()
    return plain


def _size(document: dict[str, Any]) -> int:
    ids = [*document["model"]["vocab"].values(), *(token["id"] for token in document["added_tokens"])]
    return 1 + int(max(ids))


def _used(tokenizer: Tokenizer, texts: Iterable[str], *, size: int) -> NDArray[np.bool_]:
    used = np.zeros(size, np.bool_)
    for ids in _encoded(tokenizer, texts):
        used[ids] = True
    return used


def _encoded(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[NDArray[np.int64]]:
    """Ids of each text, without special tokens."""
    for batch in _batches(texts, BATCH):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield np.array(encoding.ids, np.int64)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _indispensable(document: dict[str, Any]) -> set[str]:
    """The pieces that stay whether they are used or not."""
    vocabulary, prefix = document["model"]["vocab"], document["model"]["continuing_subword_prefix"]
    specials = {token["content"] for token in document["added_tokens"]} | {document["model"]["unk_token"]}
    return specials | {piece for piece in vocabulary if not _is_spelt(piece, vocabulary, prefix)}


def _is_spelt(piece: str, vocabulary: dict[str, int], prefix: str) -> bool:
    """Whether a piece of several characters could be spelt in single ones."""
    continued = piece.startswith(prefix)
    characters = piece.removeprefix(prefix)
    if len(characters) < 2:
        return False
    first = prefix + characters[0] if continued else characters[0]
    return first in vocabulary and all(prefix + character in vocabulary for character in characters[1:])


def _renumbered(document: dict[str, Any], pieces: dict[str, int], kept: NDArray[np.int64]) -> str:
    """tokenizer.json with the vocabulary `pieces`, whose old ids become places in `kept`."""
    new = {int(old): number for number, old in enumerate(kept)}
    vocabulary = {piece: new[old] for piece, old in sorted(pieces.items(), key=lambda item: item[1])}
    smaller = document | {
        "truncation": None,
        "padding": None,
        "added_tokens": [token | {"id": new[token["id"]]} for token in document["added_tokens"]],
        "model": document["model"] | {"vocab": vocabulary},
        "post_processor": _renumbered_processor(document.get("post_processor"), new.__getitem__),
    }
    return json.dumps(smaller, ensure_ascii=False, separators=(",", ":"))


def _renumbered_processor(processor: dict[str, Any] | None, new: Callable[[int], int]) -> Any:
    """A post-processor with the new ids of its special tokens.

    Raises:
        ModelError: it is of a kind that may hold ids in places unknown here.
    """
    kind = processor["type"] if processor else None
    if not processor or kind in ("ByteLevel",):
        return processor
    if kind == "Sequence":
        return processor | {
            "processors": [_renumbered_processor(part, new) for part in processor["processors"]]
        }
    if kind in ("BertProcessing", "RobertaProcessing"):
        return processor | {end: [processor[end][0], new(processor[end][1])] for end in ("sep", "cls")}
    if kind == "TemplateProcessing":
        specials = processor["special_tokens"].items()
        changed = {name: token | {"ids": [new(old) for old in token["ids"]]} for name, token in specials}
        return processor | {"special_tokens": changed}
    raise ModelError(
        f"encoders.prune_vocabulary: cannot renumber the ids of a {kind} post-processor; remove it"
    )
