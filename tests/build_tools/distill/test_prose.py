"""What titles, headings and sentences give."""

from __future__ import annotations

import random

import pytest

from build_tools.distill import prose


def of_sentences(text: str, *, opens: bool = False) -> list[tuple[str, str]]:
    """Kinds and texts, drawn with a fixed seed."""
    return list(prose.from_sentences(text, random.Random(0), opens=opens))


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Super Bowl 50", [("title", "Super Bowl 50"), ("definition", "what is Super Bowl 50")]),
        (
            "sort - sort lines of text",
            [
                ("title", "sort - sort lines of text"),
                ("definition", "sort lines of text"),
                ("definition", "what is sort"),
            ],
        ),
        (
            "What are the signs of Rickets ? (Also called: Osteomalacia)",
            [
                ("title", "What are the signs of Rickets ? (Also called: Osteomalacia)"),
                ("definition", "What are the signs of Rickets?"),
            ],
        ),
        (
            "os.path.getSize(path)",
            [
                ("title", "os.path.getSize(path)"),
                ("title", "os path get size"),
                ("definition", "what is os.path.getSize"),
            ],
        ),
        (
            "simple shear flow past a flat plate in a fluid",
            [("title", "simple shear flow past a flat plate in a fluid")],
        ),
        ("42", [("title", "42")]),
    ],
)
def test_titles(title: str, expected: list[tuple[str, str]]) -> None:
    """As they are, as questions, in halves, and identifiers in words."""
    assert list(prose.from_title(title)) == expected


def test_headings() -> None:
    """Markdown, capitals and colons; with the title's name before them. Sentences, code, lists are none."""
    text = (
        "# Making bread #\nEXIT STATUS\nKnown problems:\nThe following is what we found. Namely:\n"
        "if not value:\ncall(this):\n- ITEM\nE10\nwrapped words of a sentence that ends so:\nplain line\n"
    )
    assert [found for _, found in prose.headings("oven - bakes (1)", text)] == [
        "Making bread",
        "oven Making bread",
        "EXIT STATUS",
        "oven exit status",
        "Known problems",
        "oven Known problems",
    ]
    assert list(prose.headings("", "FILES\n")) == [("heading", "FILES")]


def test_sentences() -> None:
    """The first of a document, then sentences; of each a span and keywords. Short ones give nothing."""
    found = of_sentences("Knead the dough well by hand.\nNo.\n- Then let it rise for an hour.", opens=True)
    assert [kind for kind, _ in found] == ["first", "span", "keywords", "sentence", "span", "keywords"]
    assert found[0][1] == "Knead the dough well by hand."
    assert found[3][1] == "Then let it rise for an hour."
    assert found[1][1] in found[0][1]
    assert 3 <= len(found[1][1].split()) <= 12
    keywords = found[2][1].split()
    assert 2 <= len(keywords) <= 6
    assert [word for word in ["Knead", "dough", "hand"] if word in keywords] == keywords


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A stack is a list that grows.", ["what is stack", "a list that grows"]),
        ("Keratins are the proteins of hair.", ["what are Keratins", "the proteins of hair"]),
        ("Sort is used to order the lines.", ["what is Sort", "order the lines"]),
        ("EOF means end of file.", ["what is EOF", "end of file"]),
        ("Yeast: a fungus that makes bread rise.", ["what is Yeast", "a fungus that makes bread rise"]),
        ("It is a list that grows.", []),
        ("When a stack is a list that grows.", []),
        ("The patients were treated with care.", []),
        ("See this: it has far more words.", []),
    ],
)
def test_definitions(sentence: str, expected: list[str]) -> None:
    """Who is defined becomes a question, the definition a description; other sentences give neither."""
    assert [text for kind, text in of_sentences(sentence) if kind == "definition"] == expected


def test_scripts_without_spaces() -> None:
    """Spans are runs of characters; there are no keywords."""
    found = dict(of_sentences("パンを焼く方法を説明します。"))
    assert found["sentence"] == "パンを焼く方法を説明します。"
    assert found["span"] in found["sentence"]
    assert 3 <= len(found["span"]) <= 12
    assert "keywords" not in found


def test_code_in_prose() -> None:
    """A line of code among sentences gives the words of its names, not itself."""
    found = of_sentences("First read the file as shown here.\n\ntotalSize = readFile(fileName, max_length)\n")
    assert ("sentence", "First read the file as shown here.") in found
    assert not any("=" in text for _, text in found)
    assert {"total", "size", "read", "file", "name", "max", "length"} >= set(found[-1][1].split())


@pytest.mark.parametrize("text", ["", "\n\n", "---- ====", "1 2 3 4 5", "| | | |", "a", "?"])
def test_nothing_to_say(text: str) -> None:
    """Tables of numbers and lines of marks teach nothing."""
    assert of_sentences(text) == []
    assert list(prose.headings("", text)) == []


@pytest.mark.parametrize("text", ["Copper pipe", "Manometer", "- Hex bolt"])
def test_a_document_of_a_word_or_two(text: str) -> None:
    """Is its own query: a parts list has nothing else. Two words among sentences, or a number, are none."""
    assert of_sentences(text, opens=True) == [("first", text.removeprefix("- "))]
    assert of_sentences(text) == []
    assert of_sentences("3.5", opens=True) == []
