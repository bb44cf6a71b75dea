"""The marks of words are those of the Unicode database."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest

from edge_runtime.marks import MARKS, UNICODE

NO_PARTS_OF_WORDS = {
    *range(0x20D0, 0x2100),  # around symbols
    *(*range(0x302A, 0x3030), 0x3099, 0x309A),  # tones of Chinese; voiced kana, which NFKC puts together
    *range(0xFE00, 0xFE10),  # which glyph of several
    0x101FD,  # the disc of Phaistos
    *range(0x1CF00, 0x1D250),  # music
    *range(0x1DA00, 0x1DAB0),  # SignWriting
    *range(0xE0100, 0xE01F0),  # which glyph of several
}


@pytest.mark.skipif(
    tuple(map(int, unicodedata.unidata_version.split("."))) > UNICODE, reason="characters have been added"
)
def test_all_marks_and_besides_only_letters() -> None:
    """Letters and digits do not matter, for they are parts of words anyway."""
    mark = re.compile(f"[{MARKS}]")
    wrong = []
    for code in range(sys.maxunicode + 1):
        letter, category = chr(code), unicodedata.category(chr(code))
        if category != "Cn" and not letter.isalnum():
            expected = category[0] == "M" and code not in NO_PARTS_OF_WORDS
            if bool(mark.match(letter)) != expected:
                wrong.append(f"{code:x}")
    assert not wrong
