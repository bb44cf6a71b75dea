"""Filters against brute force, with an index of the fields and without, and damaged files."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tools import documents, fields
from build_tools.corpus.document import Passage
from edge_runtime import BundleError, ClosedError
from edge_runtime.filters import OPERATORS, parse
from edge_runtime.selection import Selection

Metadata = Mapping[str, Any]
Make = Callable[..., Selection]

COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}

# Few names and values, so that they meet; every kind of value, and what looks alike.
NAMES = ("a", "b", "a.b", '"', "é'; DROP TABLE documents; --")
VALUES: Sequence[Any] = (
    *(0, 1, -1, 5, 5.0, 0.1, -0.0, 2.5, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 1e300),
    *("", "0", "1", "5", "a", "A", "é", "e\u0301", "🍞", "\uffff", "true", "null", "a b", "%", '"', "\\"),
    *(True, False, None),
)  # fmt: skip

values = st.sampled_from(VALUES)
comparable = st.sampled_from([value for value in VALUES if value is not None and not isinstance(value, bool)])
stored = st.one_of(
    values, values, st.lists(values, max_size=3), st.just({"a": 1}), st.just([[1], {"a": 5}, "a"])
)
metadata = st.dictionaries(st.sampled_from(NAMES), stored, max_size=4)


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    number, other = draw(comparable), draw(comparable)
    names = draw(st.lists(st.sampled_from(sorted(COMPARED)), min_size=1, max_size=2, unique=True))
    same = isinstance(number, str) == isinstance(other, str)
    return dict(zip(names, (number, other if same else number), strict=False))


operators = st.one_of(
    values,
    st.builds(lambda value: {"eq": value}, values),
    st.builds(lambda value: {"ne": value}, values),
    st.builds(lambda some: {"in": some}, st.lists(values, max_size=4)),
    st.builds(lambda yes: {"exists": yes}, st.booleans()),
    ranges(),
    st.builds(lambda found, value: {**found, "ne": value}, ranges(), values),
)
wheres = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), operators, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"or": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)


def allows(where: Mapping[str, Any], about: Metadata) -> bool:
    """The language's meaning in plain Python, with nothing of ours."""
    return all(_holds(name, asked, about) for name, asked in where.items())


def _holds(name: str, asked: Any, about: Metadata) -> bool:
    if name == "and":
        return all(allows(part, about) for part in asked)
    if name == "or":
        return any(allows(part, about) for part in asked)
    if name == "not":
        return not allows(asked, about)
    if not isinstance(asked, dict):
        asked = {"eq": asked}
    found = about.get(name, [])
    found = found if isinstance(found, list) else [found]
    bounds = [(COMPARED[key], value) for key, value in asked.items() if key in COMPARED]
    rest = ((key, value) for key, value in asked.items() if key not in COMPARED)
    within = any(all(_kind(a) == _kind(b) and test(_as(a), _as(b)) for test, b in bounds) for a in found)
    return (not bounds or within) and all(_one(key, value, found, name in about) for key, value in rest)


def _one(key: str, value: Any, found: list[Any], present: bool) -> bool:
    if key == "exists":
        return present is value
    wanted = value if key == "in" else [value]
    equal = any(_kind(a) == _kind(b) and _as(a) == _as(b) for a in found for b in wanted)
    return not equal if key == "ne" else equal


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def _as(value: Any) -> Any:
    beyond = type(value) is int and not -(2**63) <= value < 2**63
    return float(value) if beyond else value


def at(path: Path) -> Callable[[], Path]:
    """A file that stays where it is."""
    return lambda: path


def write(folder: Path, corpus: Sequence[Metadata], indexed: Sequence[str] = ()) -> Selection:
    """Documents of such metadata, with an index of those of the fields that any of them has."""
    documents.write((Passage(str(i), 0, "", "text", about) for i, about in enumerate(corpus)), folder)
    known = [name for name in indexed if any(name in about for about in corpus)]
    if known:
        fields.write(folder, known)
    index = at(folder / fields.FILENAME) if known else None
    return Selection(at(folder / documents.FILENAME), len(corpus), fields=index, indexed=known)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """`write`, into folders of their own; closes all at the end."""
    with ExitStack() as opened:
        numbers = itertools.count()

        def made(corpus: Sequence[Metadata], indexed: Sequence[str] = ()) -> Selection:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            selection = write(folder, corpus, indexed)
            opened.callback(selection.close)
            return selection

        yield made


def chosen(selection: Selection, where: Mapping[str, Any]) -> list[int]:
    found = selection.select(parse(where))
    assert found.dtype == np.bool_
    return np.flatnonzero(found).tolist()


@given(st.data())
def test_as_brute_force(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any filter over any metadata allows what plain Python allows, whichever fields are indexed."""
    corpus = data.draw(st.lists(metadata, min_size=1, max_size=12))
    indexed = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    asked = data.draw(st.lists(wheres, min_size=1, max_size=8))
    selection = write(tmp_path_factory.mktemp("brute"), corpus, indexed)
    for where in asked:
        expected = [number for number, about in enumerate(corpus) if allows(where, about)]
        assert chosen(selection, where) == expected, where
    selection.close()


@pytest.mark.parametrize("indexed", [(), ("x",)], ids=["scanned", "indexed"])
def test_every_pair_of_values(make: Make, indexed: Sequence[str]) -> None:
    """Equal or not, above or below: each stored value against each that is asked for."""
    corpus = [{"x": value} for value in VALUES]
    selection = make(corpus, indexed)
    for value, name in itertools.product(VALUES, OPERATORS):
        if name == "exists" or (name in COMPARED and (value is None or isinstance(value, bool))):
            continue
        where = {"x": {name: [value] if name == "in" else value}}
        assert chosen(selection, where) == [i for i, about in enumerate(corpus) if allows(where, about)], (
            where
        )


@pytest.mark.parametrize("indexed", [(), ("x",)], ids=["scanned", "indexed"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"x": 1}, [1, 3]),
        ({"x": None}, [4, 7]),
        ({"x": {"ne": 1}}, [0, 2, 4, 5, 6, 7, 8]),
        ({"x": {"exists": True}}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"x": {"exists": False}}, [0]),
        ({"x": {"in": []}}, []),
        ({"x": {"gt": 0, "lt": 2}}, [1, 3]),
        ({"x": {"gt": 1, "lt": 5}}, []),  # no single element of [1, 5] lies between
        ({"x": {"gt": ""}}, [2]),
        ({"x": True}, [8]),
        ({"not": {"x": {"gte": 1}}}, [0, 2, 4, 5, 6, 7, 8]),
    ],
)
def test_missing_null_lists_and_objects(
    make: Make, indexed: Sequence[str], where: Mapping[str, Any], expected: list[int]
) -> None:
    """As docs/search.md says it."""
    corpus = [
        {},
        {"x": 1},
        {"x": "1"},
        {"x": [1, 5]},
        {"x": None},
        {"x": []},
        {"x": {"y": 1}},
        {"x": [None]},
        {"x": True},
    ]
    assert chosen(make(corpus, indexed), where) == expected


@pytest.mark.parametrize("indexed", [(), ("n",)], ids=["scanned", "indexed"])
def test_ten_thousand_values(make: Make, indexed: Sequence[str]) -> None:
    """More than SQLite takes as parameters."""
    selection = make([{"n": number} for number in range(300)], indexed)
    assert chosen(selection, {"n": {"in": list(range(9_999, -1, -1))}}) == list(range(300))
    assert chosen(selection, {"n": {"in": list(range(290, 10_290))}}) == list(range(290, 300))


def test_the_largest_filter(make: Make) -> None:
    """Wide and deep at once: every limit below SQLite's own."""
    where: dict[str, Any] = {"or": [{"n": number} for number in range(100)]}
    for _ in range(15):
        where = {"not": where}
    found = chosen(make([{"n": number} for number in range(120)], ("n",)), where)
    assert found == list(range(100, 120))


def test_an_injection_is_a_name_like_any_other(make: Make) -> None:
    """The tables are still there afterwards."""
    evil = "'); DROP TABLE fields; --"
    selection = make([{"a": 1}, {evil: evil}], ("a", evil))
    assert chosen(selection, {evil: evil}) == [1]
    assert chosen(selection, {"other": {"in": [evil]}}) == []
    assert chosen(selection, {"a": 1}) == [0]


def test_threads(make: Make) -> None:
    """One connection, many callers."""
    selection = make([{"n": number % 7, "m": number % 3} for number in range(200)], ("n",))
    wheres = [{"n": number % 7, "m": number % 3} for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda where: chosen(selection, where), wheres))
    assert found == [chosen(selection, where) for where in wheres]


def test_closed(make: Make) -> None:
    """Twice is harmless, also when nothing was asked before."""
    for asked in (False, True):
        selection = make([{"a": 1}], ("a",))
        if asked:
            selection.select(parse({"a": 1, "b": 1}))
        selection.close()
        selection.close()
        for where in ({"a": 1}, {"b": 1}):
            with pytest.raises(ClosedError, match="open the bundle again"):
                selection.select(parse(where))


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("DROP TABLE fields", "SQLite cannot read it (no such table: fields)"),
        ("UPDATE fields SET documents = x'00'", "a list of documents that is none"),
        ("UPDATE fields SET documents = 'text'", "a list of documents that is none"),
        ("UPDATE fields SET documents = 5", "a list of documents that is none"),
        ("UPDATE fields SET documents = x'02000000'", "names a document beyond 2"),
        ("UPDATE fields SET documents = x'ffffffff'", "names a document beyond 2"),
    ],
)
def test_a_damaged_index(tmp_path: Path, script: str, problem: str) -> None:
    """One error of ours with the file, and no array is read past its end."""
    documents.write([Passage(str(i), 0, "", "text", {"a": i}) for i in range(2)], tmp_path)
    fields.write(tmp_path, ["a"])
    path = tmp_path / fields.FILENAME
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    selection = Selection(at(tmp_path / documents.FILENAME), 2, fields=at(path), indexed=["a"])
    with pytest.raises(BundleError) as caught:
        selection.select(parse({"a": {"gte": 0}}))
    assert str(caught.value) == f"{path}: {problem}; rebuild the bundle"
    selection.close()


@pytest.mark.parametrize("text", ["{", "nothing", '{"a": NaN}'])
def test_metadata_that_is_no_json(tmp_path: Path, text: str) -> None:
    """Found when it is read."""
    documents.write([Passage("0", 0, "", "text", {"a": 1})], tmp_path)
    path = tmp_path / documents.FILENAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE documents SET metadata = ?", [text])
        connection.commit()
    selection = Selection(at(path), 1, fields=None, indexed=())
    with pytest.raises(
        BundleError, match=r"documents.sqlite: SQLite cannot read it \(malformed JSON\); rebuild"
    ):
        selection.select(parse({"a": 1}))
    selection.close()
