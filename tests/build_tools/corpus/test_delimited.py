"""CSV with quotes, odd rows, wrong headers and wrong bytes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from build_tools.corpus import delimited
from build_tools.corpus.document import Document
from build_tools.corpus.problems import BadRecord
from build_tools.corpus.records import Row
from build_tools.errors import CorpusError
from build_tools.recipe import CorpusSpec, Fields


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the corpus is written."""
    return tmp_path / "c.csv"


def documents(
    path: Path, content: bytes, *, fields: Fields | None = None, delimiter: str = ","
) -> list[Document | BadRecord]:
    path.write_bytes(content)
    spec = CorpusSpec("csv", path=str(path), fields=fields or Fields(), delimiter=delimiter)
    return list(delimited.documents(spec))


def test_quoted_newlines_keep_line_numbers(path: Path) -> None:
    """A record is found at the line that it starts on."""
    found = documents(path, b'\xef\xbb\xbfid,title,text\r\n1,T,"a\nb, ""c"""\r\n\r\n2,,d\r\n')
    assert found == [
        Document("1", "T", 'a\nb, "c"', {}, f"{path}:2"),
        Document("2", "", "d", {}, f"{path}:5"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"2,b,c", "wrong number of fields"),
        (b"2", "wrong number of fields"),
        (b"2,\xff", "not UTF-8"),
        (b'2,"a"b', "malformed row"),
    ],
)
def test_bad_row_does_not_end_the_stream(path: Path, row: bytes, reason: str) -> None:
    """A bad row is reported with its line, and the next one is read."""
    found = documents(path, b"id,text\n1,a\n" + row + b"\n3,c\n")
    assert [d.key for d in found if isinstance(d, Document)] == ["1", "3"]
    bad = found[1]
    assert isinstance(bad, BadRecord)
    assert (bad.origin, bad.reason) == (f"{path}:3", reason)


@pytest.mark.parametrize(
    ("rows", "keys", "lines"),
    [
        (b'1,"a\n2,b\n3,c\n', ["2", "3"], [2]),
        (b'1,"a\n2,b\n3,"c"\n4,"d\n5,e', ["2", "3", "5"], [2, 5]),
        (b'1,a\n2,"b', ["1"], [3]),
        (b'"1\n",a\n"2\n","b\n3,c\n', ["1\n", "3"], [5]),
        (b'"1\n","a\n2,b\n"3",c\n', ["2", "3"], [3]),
        (b'1,"a ""b""\r\n\r\n2,"b"\r\n', ["2"], [2]),
        (b'1,"' + b"a" * 200_000 + b'\n2,"" ""\n' + b'3,"b\n",\n4,""\n', ["4"], [2, 3, 4]),
    ],
)
def test_unclosed_quote(path: Path, rows: bytes, keys: list[str], lines: list[int]) -> None:
    """Only the row in which the quote opens is bad, named by that line; those behind it are read."""
    found = documents(path, b"id,text\n" + rows)
    assert [d.key for d in found if isinstance(d, Document)] == keys
    assert [bad.origin for bad in found if isinstance(bad, BadRecord)] == [f"{path}:{n}" for n in lines]


def test_unclosed_quote_is_said(path: Path) -> None:
    """The error says what is wrong with the line that it names."""
    bad = documents(path, b'id,text\n1,"a\n2,b\n')[0]
    assert isinstance(bad, BadRecord)
    assert bad.reason == "malformed row"
    assert "the quote that opens in this line is not closed" in bad.detail


def test_unclosed_quote_before_many_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for its end stops after so many lines or characters, and none of them is lost."""
    content = b'id,text\n1,"a\n' + b"".join(b"%d,b\n" % n for n in range(2, 1000))
    for limit in ("MAX_ROW_LINES", "MAX_FIELD_CHARACTERS"):
        with monkeypatch.context() as patch:
            patch.setattr(delimited, limit, 50)
            found = documents(path, content)
        assert isinstance(found[0], BadRecord)
        assert [d.origin for d in found] == [f"{path}:{n}" for n in range(2, 1001)]


def test_large_fields_and_the_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields beyond the csv module's default are read; ours bounds them; the global one is left as it was."""
    before = csv.field_size_limit()
    content = b"id,text\n1," + b"x" * 200_000 + b"\n2,b\n"
    assert [type(d) for d in documents(path, content)] == [Document, Document]
    monkeypatch.setattr(delimited, "MAX_FIELD_CHARACTERS", 1000)
    assert [type(d) for d in documents(path, content)] == [BadRecord, Document]
    assert csv.field_size_limit() == before


def test_nul_bytes_and_delimiter(path: Path) -> None:
    """NUL is dropped on every version of Python; the separator is the recipe's."""
    assert documents(path, b"id;text\n1;a\0b\n", delimiter=";") == [Document("1", "", "ab", {}, f"{path}:2")]


def test_without_key_column_rows_are_numbered(path: Path) -> None:
    """A header without id numbers the rows."""
    found = documents(path, b"text\na\nb\n")
    assert [d.key for d in found if isinstance(d, Document)] == ["1", "2"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "ID,text",
            "csv:2: expected the field 'id'; found 'ID'; set corpus.fields.id=ID, or corpus.fields.id=null",
        ),
        (
            "id,Title,text",
            "'title'; found 'Title'; set corpus.fields.title=Title, or corpus.fields.title=null",
        ),
        ("id,TEXT", "csv:1: expected the column 'text' .* found 'id', 'TEXT'; set corpus.fields.text=TEXT"),
    ],
)
def test_column_in_other_case(path: Path, header: str, message: str) -> None:
    """A column is not silently left out because its name begins with a capital."""
    content = f"{header}\n{header}\n".encode()
    with pytest.raises(CorpusError, match=message):
        documents(path, content)


def test_column_in_other_case_that_is_not_wanted(path: Path) -> None:
    """The recipe can say that it is none of ours."""
    fields = Fields(id=None, title=None)
    assert documents(path, b"ID,Title,text\n7,T,a\n", fields=fields) == [
        Document("1", "", "a", {}, f"{path}:2")
    ]


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (b"", Fields(), "expected a header row; found an empty file"),
        (b"id,body\n", Fields(), "csv:1: expected the column 'text' in the header row; found 'id', 'body'"),
        (b"id;text\n", Fields(), "set corpus.delimiter"),
        (b"id,text\n", Fields(id="uid", metadata=("year",)), "the column 'uid', 'year' in the header row"),
        (b"id,text,text\n", Fields(), "found twice: text"),
        (b"id,te\xffxt\n", Fields(), "expected UTF-8; found byte 0xff at position 3; convert it with iconv"),
        ("id,text\n".encode("utf-16"), Fields(), "csv:1: .* found the mark of UTF-16; convert it with iconv"),
    ],
)
def test_bad_header(path: Path, content: bytes, fields: Fields, message: str) -> None:
    """Without a sound header there is nothing to skip to: always an error."""
    with pytest.raises(CorpusError, match=message):
        documents(path, content, fields=fields)


def test_tab_as_delimiter(path: Path) -> None:
    """Tab-separated files are CSV too."""
    assert documents(path, b"id\ttext\n1\ta, b\n", delimiter="\t") == [
        Document("1", "", "a, b", {}, f"{path}:2")
    ]


def test_rows_of_other_files(tmp_path: Path) -> None:
    """Rows by column name; the error says where the recipe names the columns."""
    path = tmp_path / "pairs.csv"
    path.write_text("query;document\nq;d\n", encoding="utf-8")
    assert [row.values for row in delimited.rows(path, ";", needed=("query",)) if isinstance(row, Row)] == [
        {"query": "q", "document": "d"}
    ]
    with pytest.raises(CorpusError, match=r"csv:1: .* 'answer' .* name the right ones under queries\.labels"):
        list(delimited.rows(path, ";", needed=("answer",), settings="queries.labels"))


@pytest.mark.parametrize("first", [b"sep=;", b'"sep=;"', b"\xef\xbb\xbfSEP=;\r"])
def test_separator_of_the_first_line(path: Path, first: bytes) -> None:
    """Excel's line gives the separator; it is no header, and lines are counted with it."""
    found = documents(path, first + b"\nid;text\n1;a,b\n")
    assert found == [Document("1", "", "a,b", {}, f"{path}:3")]
    assert isinstance(documents(path, b"text,sep=;\na,b\n")[0], Document)
