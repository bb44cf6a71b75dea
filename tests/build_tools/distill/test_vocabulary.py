"""Pruned vocabularies: spelling, ids, and the word table that goes with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from build_tools.distill.encoder import encode_tokens
from build_tools.distill.student import Student, StudentShape
from build_tools.distill.vocabulary import Pruned, Vocabulary, measure, prune, slice_words
from build_tools.errors import ModelError

LETTERS = "abcdefg"
SPECIALS = ("[PAD]", "dab", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("abc", "bad", "cafe", "face", "##ad", "##ce", "##bc", "##ga", "fad", "gaff")
BERT = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
TEMPLATE = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 3), ("[SEP]", 4)])


def wordpiece(pieces: tuple[str, ...] = (), processor: Any = BERT, letters: str = LETTERS) -> str:
    """A tokenizer.json of single letters and `pieces`, in that order."""
    entries = dict.fromkeys([*SPECIALS, *letters, *(f"##{letter}" for letter in letters), *pieces])
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(entries)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processor
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    text: str = tokenizer.to_str()
    return text


def pieces_of(tokenizer: str, text: str) -> list[str]:
    """How a text is spelt, special tokens included."""
    tokens: list[str] = Tokenizer.from_str(tokenizer).encode(text).tokens
    return tokens


texts = st.lists(st.text(LETTERS, min_size=1, max_size=9), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(
    pieces=st.lists(
        st.builds(str.__add__, st.sampled_from(["", "##"]), st.text(LETTERS, min_size=2, max_size=4)),
        unique=True,
        max_size=25,
    ),
    used=st.lists(texts, min_size=1, max_size=4),
    other=texts,
)
def test_used_text_is_spelt_as_before_and_no_word_is_unknown(
    pieces: list[str], used: list[str], other: str
) -> None:
    """For any vocabulary: the same pieces, the same text back, and every other word still spelt."""
    before = wordpiece(tuple(pieces))
    after = prune(before, used)
    old, new = Tokenizer.from_str(before), Tokenizer.from_str(after.tokenizer)
    for text in used:
        ids = new.encode(text).ids
        assert after.kept[ids].tolist() == old.encode(text).ids
        assert new.decode(ids) == old.decode(old.encode(text).ids)
    assert "[UNK]" not in new.encode(other).tokens
    assert new.decode(new.encode(other).ids) == other


@pytest.mark.parametrize("processor", [BERT, TEMPLATE, processors.Sequence([TEMPLATE]), None])
def test_what_stays(processor: Any) -> None:
    """Used pieces, specials and letters; the rest is renumbered without a gap, in the old order."""
    before = wordpiece(WORDS, processor)
    after = prune(before, ["Cafe bad", "face off"])
    document = json.loads(after.tokenizer)
    vocabulary = document["model"]["vocab"]
    assert list(vocabulary.values()) == list(range(len(vocabulary))) == list(range(len(after.kept)))
    specials = [special for special in SPECIALS if special != "dab"]
    letters = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]
    assert list(vocabulary) == [*specials, *letters, "bad", "cafe", "face"]
    assert [token["id"] for token in document["added_tokens"]] == [0, 1, 2, 3, 4]
    ends = ([], []) if processor is None else (["[CLS]"], ["[SEP]"])
    assert pieces_of(after.tokenizer, "bad gaff") == [*ends[0], "bad", "g", "##a", "##f", "##f", *ends[1]]
    ids = Tokenizer.from_str(after.tokenizer).encode("bad").ids
    assert after.kept[ids].tolist() == Tokenizer.from_str(before).encode("bad").ids


def test_an_added_token_beyond_the_vocabulary() -> None:
    """Is kept, and moves down with the rest."""
    tokenizer = Tokenizer.from_str(wordpiece(WORDS))
    tokenizer.add_tokens(["<part>"])
    before = tokenizer.to_str()
    after = prune(before, ["bad"])
    assert after.kept[-1] == len(SPECIALS) + 2 * len(LETTERS) + len(WORDS)
    assert pieces_of(after.tokenizer, "bad <part>") == ["[CLS]", "bad", "<part>", "[SEP]"]


def test_characters_without_a_single_form() -> None:
    """Pieces that alone can spell them stay, used or not."""
    after = prune(wordpiece(("xa", "##bx", "bad")), ["a"])
    assert pieces_of(after.tokenizer, "xa abx bad") == [
        "[CLS]", "xa", "a", "##bx", "b", "##a", "##d", "[SEP]"
    ]  # fmt: skip


def test_characters_that_were_unknown_stay_unknown() -> None:
    """Pruning does not teach letters."""
    after = prune(wordpiece(WORDS), ["a"])
    assert pieces_of(after.tokenizer, "bad zoo") == ["[CLS]", "b", "##a", "##d", "[UNK]", "[SEP]"]


def test_length_limits_of_the_tokenizer() -> None:
    """Neither hide the later pieces of a long text nor stay behind."""
    tokenizer = Tokenizer.from_str(wordpiece(WORDS))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    after = prune(tokenizer.to_str(), ["a a a a a a a gaff"])
    settings = json.loads(after.tokenizer)
    assert settings["truncation"] is settings["padding"] is None
    assert "gaff" in settings["model"]["vocab"]


def test_nothing_is_used() -> None:
    """Letters and specials are enough to go on with."""
    assert len(prune(wordpiece(WORDS), []).kept) == len(SPECIALS) - 1 + 2 * len(LETTERS)


@pytest.mark.parametrize(
    "model",
    [
        models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0),
        models.BPE({"a": 0}, []),
        models.WordLevel({"a": 0}),
    ],
    ids=["Unigram", "BPE", "WordLevel"],
)
def test_other_tokenizers(model: Any, request: pytest.FixtureRequest) -> None:
    """Are refused by name."""
    name = request.node.callspec.id
    with pytest.raises(ModelError, match=rf"prune_vocabulary: only for WordPiece; this tokenizer is {name}"):
        prune(Tokenizer(model).to_str(), ["a"])


def test_a_processor_of_another_kind() -> None:
    """Its ids would go wrong in silence; an error instead."""
    document = json.loads(wordpiece(WORDS))
    document["post_processor"] = {"type": "Novel", "ids": [3, 4]}
    # The library would not even read it, so the check is on the JSON.
    from build_tools.distill import vocabulary

    with pytest.raises(ModelError, match="cannot renumber the ids of a Novel post-processor"):
        vocabulary._renumbered_processor(document["post_processor"], int)


def _student(vocabulary: int, random: Callable[[int], Any] = torch.manual_seed) -> Student:
    random(0)
    return Student(StudentShape(vocabulary, 16, 8, 16, 2, 1, 4, 1e-12, "mean")).eval()


def test_the_student_is_the_same_on_used_text() -> None:
    """Its vectors of text whose pieces are kept do not move by a bit."""
    before = wordpiece(WORDS)
    after = prune(before, ["cafe bad"])
    student = _student(len(SPECIALS) + 2 * len(LETTERS) + len(WORDS))
    smaller = slice_words(student, after.kept)
    assert smaller.shape.vocabulary == len(after.kept)
    assert not smaller.training
    ids = [Tokenizer.from_str(text).encode("cafe bad").ids for text in (before, after.tokenizer)]
    assert ids[0] != ids[1]
    assert np.array_equal(encode_tokens(student, ids[:1]), encode_tokens(smaller, ids[1:]))


def test_a_word_table_that_is_too_short() -> None:
    """The error names both sizes."""
    with pytest.raises(ModelError, match="has token 9; the word table has only 9 rows"):
        slice_words(_student(9), np.array([0, 9]))


def test_what_it_saved_and_cost() -> None:
    """Rows of int8 and a scale each, the shorter file, and the held-out texts that are spelt anew."""
    before = wordpiece(WORDS)
    after = prune(before, ["cafe bad"])
    found = measure(before, after, ["bad cafe", "gaff", "dad", "bad fad"], hidden=8)
    removed = 1 + len(WORDS) - 2
    size = len(SPECIALS) + 2 * len(LETTERS) + len(WORDS)
    shorter = len(before.encode()) - len(after.tokenizer.encode())
    assert found == Pruned(size, size - removed, removed * 12 + shorter, respelt=0.75)
    assert measure(before, after, [], hidden=8).respelt == 0


def test_the_tiny_teacher(teacher_folder: Path) -> None:
    """A tokenizer as transformers saves it."""
    before = (teacher_folder / "tokenizer.json").read_text("utf-8")
    after = prune(before, ["Repair of signal: remove antenna"])
    assert isinstance(after, Vocabulary)
    assert pieces_of(after.tokenizer, "signal antenna") == ["[CLS]", "signal", "antenna", "[SEP]"]
    assert pieces_of(after.tokenizer, "oven") == ["[CLS]", "o", "##v", "##e", "##n", "[SEP]"]
