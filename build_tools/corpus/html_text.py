"""HTML to plain text with the standard library's parser: what a reader of the page would read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# The elements of <head> that hold text are dropped one by one: its end tag may be left out.
_DROPPED = frozenset(["script", "style", "title", "template", "noscript", "svg"])
_PARAGRAPH_NAMES = (
    "address article aside blockquote body center details dialog div dl fieldset figure footer form h1 h2 h3 "
    "h4 h5 h6 header hr html main nav ol p pre section table ul"
)
_PARAGRAPHS = frozenset(_PARAGRAPH_NAMES.split())
_LINE_NAMES = "br button caption dd dt figcaption legend li option summary tr"
_LINES = frozenset(_LINE_NAMES.split())
_CELLS = frozenset(["td", "th"])


def extract(markup: str) -> tuple[str, str]:
    """The title (of ``<title>``, else of the first ``<h1>``, else empty) and the text of a page.

    Raises:
        ValueError: the markup is beyond what the parser accepts.
    """
    parser = _Extractor()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # how html.parser reports broken declarations
        raise ValueError(f"broken HTML: {error}") from None
    title = _one_line(parser.title) or _one_line(parser.heading)
    return title, _tidy("".join(parser.parts))


class _Extractor(HTMLParser):
    """Collects text; paragraphs and lines at block elements; white space kept only in ``<pre>``."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title = ""
        self.heading = ""
        self._open: list[str] = []
        self._preformatted = 0
        self._titles_seen = 0
        self._headings_seen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._open.append(tag)
        self._titles_seen += tag == "title"
        self._headings_seen += tag == "h1"
        self._break(tag)
        if tag == "h1":
            self._open.append(tag)
        if tag == "pre":
            self._preformatted += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._open == ["title"] and self._titles_seen == 1:
            self.title += data
        if any(tag in _DROPPED for tag in self._open):
            return
        if "h1" in self._open and self._headings_seen == 1:
            self.heading += data
        self._append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append("\n\n")
        elif tag in _LINES and not self._at_line_start():
            self.parts.append("\n")
        elif tag in _CELLS:
            self._append(" ")

    def _append(self, text: str) -> None:
        after_space = self._at_line_start() or self.parts[-1].endswith(" ")
        text = text.lstrip() if after_space and not self._preformatted else text
        if text:
            self.parts.append(text)

    def _at_line_start(self) -> bool:
        return not self.parts or self.parts[-1].endswith("\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tidy(text: str) -> str:
    lines = (line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line if line.strip() else "" for line in lines)).strip("\n")
