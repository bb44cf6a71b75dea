"""HTML to the text that a reader of the page would read."""

from __future__ import annotations

import pytest

from build_tools.corpus.html_text import extract


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<html><head><title>T &amp; U</title><style>x{}</style></head><body>Hi</body>", ("T & U", "Hi")),
        ("<title>T</title><script>var a = '<p>no</p>';</script><p>a<p>b", ("T", "a\n\nb")),
        ("<h1>Head <em>line</em></h1>text", ("Head line", "Head line\n\ntext")),
        ("<head><title>T</title><body><p>x", ("T", "x")),
        ("a&nbsp;&lt;b&gt; &#233;<br>c", ("", "a <b> é\nc")),
        ("<ul>\n <li>one</li>\n <li> two\n</ul>", ("", "one\ntwo")),
        ("<pre>a\n  b</pre>", ("", "a\n  b")),
        ("<table><tr><td>1</td> <td>2</td></tr></table>", ("", "1 2")),
        ("<svg><title>icon</title><text>no</text></svg>yes", ("", "yes")),
        ("<select><option>one</option><option>two</select>", ("", "one\ntwo")),
        ("<legend>Head</legend><button>a</button><button>b</button>", ("", "Head\na\nb")),
        ("spread   over\n lines", ("", "spread over lines")),
        ("<!-- no --><!DOCTYPE html>yes", ("", "yes")),
    ],
)
def test_extract(markup: str, expected: tuple[str, str]) -> None:
    """Title and text of small pages."""
    assert extract(markup) == expected


@pytest.mark.parametrize("markup", ["", "<", "<p", "</", "&#xffffffff;", "<![foo[x", "<a" * 1000])
def test_broken_markup_never_escapes(markup: str) -> None:
    """Whatever comes in, text or our ValueError comes out."""
    try:
        text = extract(markup)[1]
    except ValueError as error:
        text = str(error)
    assert isinstance(text, str)
