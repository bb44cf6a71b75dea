"""Text to token ids, with the tiny bundle's own tokenizer."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import BundleError
from edge_runtime.tokenizer import MAX_CHARACTERS, Tokenizer


@pytest.fixture(scope="module")
def path(bundle: Path) -> Path:
    return bundle / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.load(path, max_tokens=16)


def test_ids_are_those_of_the_vocabulary(path: Path, tokenizer: Tokenizer) -> None:
    """Special tokens around, words inside, nothing padded."""
    vocabulary = json.loads(path.read_text("utf-8"))["model"]["vocab"]
    expected = [vocabulary[token] for token in ("[CLS]", "flour", "salt", "[SEP]")]
    assert tokenizer.encode("Flour, salt") == [*expected[:2], vocabulary[","], *expected[2:]]


@pytest.mark.parametrize("text", ["", " ", "\0", "\x1b\x07", "\u200b"])
def test_nothing_to_read_is_the_special_tokens(tokenizer: Tokenizer, text: str) -> None:
    """Never an empty input for the encoder."""
    assert len(tokenizer.encode(text)) == 2


@pytest.mark.parametrize("text", ["flour " * 3, "flour " * 100, "flour " * 100_000, "f" * 1_000_000])
def test_long_text_is_cut(tokenizer: Tokenizer, text: str) -> None:
    """To the encoder's longest input, its last token still the closing one."""
    ids = tokenizer.encode(text)
    assert len(ids) <= 16
    assert ids[-1] == tokenizer.encode("")[-1]


def test_a_pasted_file_counts_by_its_beginning(tokenizer: Tokenizer) -> None:
    """What comes after `MAX_CHARACTERS` cannot matter."""
    start = "flour".ljust(MAX_CHARACTERS)
    assert tokenizer.encode(start + "salt") == tokenizer.encode("flour")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(deadline=None, max_examples=100)
def test_any_text_gives_a_few_ids(tokenizer: Tokenizer, text: str) -> None:
    """Two to `max_tokens` of them, the same each time."""
    ids = tokenizer.encode(text)
    assert 2 <= len(ids) <= 16
    assert tokenizer.encode(text) == ids


def changed(path: Path, folder: Path, **changes: Any) -> Path:
    content = json.loads(path.read_text("utf-8")) | changes
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    return folder / "tokenizer.json"


def test_padding_and_truncation_of_the_file_do_not_count(path: Path, tmp_path: Path) -> None:
    """MiniLM's published file pads every text to 128 tokens."""
    padding = {
        "strategy": {"Fixed": 128},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    truncation = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    other = changed(path, tmp_path, padding=padding, truncation=truncation)
    text = "flour and salt"
    loaded = Tokenizer.load(other, max_tokens=16)
    assert loaded.encode(text) == Tokenizer.load(path, max_tokens=16).encode(text)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"null", b"\xff\xfe", b'{"model": null}', b"[" * 100_000]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """JSON or not, what is no tokenizer is one error with the library's version."""
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"tokenizer.json: tokenizers \d.* cannot use it \("):
        Tokenizer.load(tmp_path / "tokenizer.json", max_tokens=16)
    with pytest.raises(BundleError, match="cannot use it"):
        Tokenizer.load(tmp_path / "gone.json", max_tokens=16)


def test_a_tokenizer_that_panics_is_refused_as_it_opens(path: Path, tmp_path: Path) -> None:
    """A template without its special tokens loads, then panics in Rust on the first text."""
    processor = json.loads(path.read_text("utf-8"))["post_processor"] | {"special_tokens": {}}
    with pytest.raises(BundleError, match="cannot use it"):
        Tokenizer.load(changed(path, tmp_path, post_processor=processor), max_tokens=16)


@pytest.mark.parametrize("max_tokens", [2, 3, 512, 2**62])
def test_any_room_for_the_special_tokens_will_do(path: Path, max_tokens: int) -> None:
    """From just those to more than any text has."""
    assert len(Tokenizer.load(path, max_tokens=max_tokens).encode("flour " * 40)) == min(42, max_tokens)


@pytest.mark.parametrize("max_tokens", [1, 2**64])
def test_an_impossible_length_is_refused(path: Path, max_tokens: int) -> None:
    """The library would not cut at all when the special tokens alone are too many."""
    with pytest.raises(BundleError, match=r"tokenizer\.json: "):
        Tokenizer.load(path, max_tokens=max_tokens)


def test_a_path_may_be_any_bytes(path: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """As folders made under another encoding have them."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    shutil.copy(path, folder / "tokenizer.json")
    assert Tokenizer.load(folder / "tokenizer.json", max_tokens=16).encode("flour") == tokenizer.encode(
        "flour"
    )
