"""Files of queries, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.bench.queries import read
from edge_runtime.errors import QueryError


def test_a_query_a_line(tmp_path: Path) -> None:
    """In order, repeats kept; byte order mark, blank lines, Windows line ends and blanks around are not."""
    path = tmp_path / "queries.txt"
    path.write_bytes("\ufeffyeast dough\r\n\r\n  anchor\u2028rope \n\t\nyeast dough".encode())
    assert read(path) == ("yeast dough", "anchor\u2028rope", "yeast dough")


def test_json_lines(tmp_path: Path) -> None:
    """A bundle's golden queries and BEIR's; 'query' wins; other keys do not matter."""
    path = tmp_path / "queries.jsonl"
    lines = ['{"query": "a", "text": "b"}', "", '{"_id": "1", "text": "caf\\u00e9"}']
    path.write_text("\n".join(lines), "utf-8")
    assert read(path) == ("a", "café")


def test_the_bundle_s_own(bundle: Path) -> None:
    """What the benchmark asks when nothing else is given."""
    assert len(read(bundle / "golden.jsonl")) == 4


NOT_TEXT = "expected an object with text under 'query' (or 'text')"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("q.txt", b"", ": no query in it; expected one a line"),
        ("q.txt", b" \n\t\n", ": no query in it; expected one a line"),
        ("q.jsonl", b"\n", ": no query in it; expected one a line"),
        ("q.txt", b"one\ntwo\ncaf\xe9\n", ", line 3: not UTF-8; convert the file to UTF-8"),
        ("q.txt", "one".encode("utf-16"), ", line 1: not UTF-8; convert the file to UTF-8"),
        ("q.jsonl", b'{"query": "a"}\nplain\n', ", line 2: not JSON; expected an object with a 'query'"),
        ("q.jsonl", b'{"query": "a"', ", line 1: not JSON; expected an object with a 'query'"),
        ("q.jsonl", b"[" * 100_000, ", line 1: not JSON; expected an object with a 'query'"),
        ("q.jsonl", b'\n\n"a"', f", line 3: {NOT_TEXT}"),
        ("q.jsonl", b"{}", f", line 1: {NOT_TEXT}"),
        ("q.jsonl", b'{"query": 1}', f", line 1: {NOT_TEXT}"),
        ("q.jsonl", b'{"query": " "}', f", line 1: {NOT_TEXT}"),
        ("q.jsonl", b'{"query": null, "text": "a"}', f", line 1: {NOT_TEXT}"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """The error names the file, the line and what belongs there."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(QueryError) as caught:
        read(path)
    assert str(caught.value) == f"{path}{problem}"


def test_no_such_file(tmp_path: Path) -> None:
    """Nor is a directory one."""
    gone = tmp_path / "gone.txt"
    with pytest.raises(QueryError, match=r"gone\.txt: cannot be read \(No such file or directory\)$"):
        read(gone)
    with pytest.raises(QueryError, match=r": cannot be read \(Is a directory\)$"):
        read(tmp_path)
