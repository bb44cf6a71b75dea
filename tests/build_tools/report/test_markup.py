"""Text stays text, whatever it holds."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools.report.markup import Html, element, escape, join


class Reader(HTMLParser):
    """What a parser makes of a page: tags with attributes, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    """Parses to the end."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_element() -> None:
    """Children, attributes, void elements."""
    assert element("p", "a < b", class_="x", data_label="y") == '<p class="x" data-label="y">a &lt; b</p>'
    assert element("p", element("b", "c"), hidden=True, id=None, open=False) == "<p hidden><b>c</b></p>"
    assert element("meta", name="viewport", content="width") == '<meta name="viewport" content="width">'


def test_join() -> None:
    """Only what is markup already is left as it is."""
    joined = join("<", Html("<br>"), ">", between="|")
    assert joined == "&lt;|<br>|&gt;"
    assert isinstance(joined, Html)


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    """As a child and as an attribute; only what HTML does not allow is replaced."""
    allowed = escape(text)
    reader = read(element("p", text, title=text))
    [(tag, attributes)] = reader.tags
    assert tag == "p"
    expected = read(f"<p>{allowed}</p>").text
    assert reader.text == attributes["title"] == expected
    assert expected.count("\ufffd") + len(expected.replace("\ufffd", "")) == len(text)
    assert element("p", text).encode("utf-8")


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x1b", "\x7f", "\x85", "\ud800", "\uffff"])
def test_what_html_does_not_allow(character: str) -> None:
    """Becomes the replacement character."""
    assert escape(f"a{character}b") == "a\ufffdb"


@pytest.mark.parametrize("character", ["\t", "\n", "é", "\u202e", "😀"])
def test_what_it_does_allow(character: str) -> None:
    """Stays."""
    assert escape(character) == character
