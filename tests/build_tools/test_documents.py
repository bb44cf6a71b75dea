"""The documents file, written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from build_tools import documents
from build_tools.corpus.document import Passage
from build_tools.errors import BuildError

PASSAGES = [
    Passage("b", 0, "Title", "first", {"section": "x", "n": [1, None]}),
    Passage("b", 1, "Title", "second", {"section": "x", "n": [1, None]}),
    Passage("a", 0, "", "ünïcode \n 'quoted'", {}),
]


def test_passages_come_back_in_order(tmp_path: Path) -> None:
    """As they were, metadata included."""
    assert documents.write(iter(PASSAGES), tmp_path) == documents.Written(documents=2, passages=3)
    assert list(documents.read(tmp_path)) == PASSAGES
    assert documents.keys(tmp_path) == ["b", "a"]


def test_owners(tmp_path: Path) -> None:
    """The document number of each row, as int32."""
    documents.write(PASSAGES, tmp_path)
    owners = documents.owners(tmp_path)
    assert owners.tolist() == [0, 0, 1]
    assert owners.dtype == np.int32


def test_the_same_passages_give_the_same_bytes(tmp_path: Path) -> None:
    """In any folder."""
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        documents.write(PASSAGES, tmp_path / name)
        written.append(
            [(tmp_path / name / file).read_bytes() for file in (documents.FILENAME, documents.OWNERS)]
        )
    assert written[0] == written[1]


def test_an_interrupted_write_is_begun_again(tmp_path: Path) -> None:
    """What it left is thrown away."""

    def interrupted() -> object:
        yield PASSAGES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        documents.write(interrupted(), tmp_path)  # type: ignore[arg-type]
    documents.write(PASSAGES, tmp_path)
    assert list(documents.read(tmp_path)) == PASSAGES


def test_a_sample(tmp_path: Path) -> None:
    """Evenly spread, with its rows; all where there are no more."""
    many = [Passage(f"d{number}", 0, "", f"text {number}", {}) for number in range(10)]
    documents.write(many, tmp_path)
    assert documents.sample(tmp_path, 4) == {row: many[row] for row in (0, 2, 5, 7)}
    assert documents.sample(tmp_path, 99) == dict(enumerate(many))


def test_no_passages(tmp_path: Path) -> None:
    """An empty file; the reader refuses empty corpora before."""
    assert documents.write([], tmp_path) == documents.Written(0, 0)
    assert documents.owners(tmp_path).tolist() == []


def test_a_document_in_two_places(tmp_path: Path) -> None:
    """SQLite's error becomes one of ours."""
    with pytest.raises(BuildError, match=r"documents\.sqlite: cannot be written \(UNIQUE"):
        documents.write([PASSAGES[0], PASSAGES[2], PASSAGES[1]], tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The same."""
    with pytest.raises(BuildError, match=r"documents\.sqlite: cannot be written"):
        documents.write(PASSAGES, tmp_path / "missing")
