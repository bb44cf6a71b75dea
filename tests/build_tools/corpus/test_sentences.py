"""Sentence ends in prose, lists, headings and several scripts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.corpus.sentences import sentences, spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Pi is 3.14 or so. Use os.path now.", ["Pi is 3.14 or so.", "Use os.path now."]),
        ("Dr. Smith met J. R. Jones, e.g. Monday.", ["Dr. Smith met J. R. Jones, e.g. Monday."]),
        ("See Fig. 2 and cf. Eq. 3. Done.", ["See Fig. 2 and cf. Eq. 3.", "Done."]),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("今日は晴れ。明日は雨？はい！", ["今日は晴れ。", "明日は雨？", "はい！"]),
        ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
        ("tokenized text . next one .", ["tokenized text .", "next one ."]),
        ("I said no. He left etc. Then it ended.", ["I said no.", "He left etc.", "Then it ended."]),
        ("It weighs approx. five kg (i.e. much).", ["It weighs approx. five kg (i.e. much)."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentence_marks(text: str, expected: list[str]) -> None:
    """A mark ends a sentence unless it belongs to a number, a name or an abbreviation."""
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First part\n\nSecond part", ["First part", "Second part"]),
        ("Needs:\n- apples\n- pears", ["Needs:", "- apples", "- pears"]),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "2. Close it."]),
        ("OPTIONS\nlists what it takes", ["OPTIONS", "lists what it takes"]),
        ("Title line\nAnother line", ["Title line", "Another line"]),
        ("a short line that\ngoes on", ["a short line that goes on"]),
        ("x" * 70 + "\nGoes On", ["x" * 70 + " Goes On"]),
    ],
)
def test_line_breaks(text: str, expected: list[str]) -> None:
    """A line break ends a sentence only where its author, not a margin, put it."""
    assert sentences(text) == expected


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.sampled_from("aB1.!?。\n \t-:\"'é"), max_size=200) | st.text(max_size=100))
def test_spans_cover_the_text(text: str) -> None:
    """Spans are in order, trimmed, and hold every character that is not white space."""
    found = spans(text)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    assert "".join("".join(text[a:b].split()) for a, b in found) == "".join(text.split())
