"""A `where` becomes a tree, or one error that names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import QueryError, filters
from edge_runtime.filters import All, AnyOf, Exists, Not, Range, from_json, parse


@pytest.mark.parametrize(
    ("where", "tree"),
    [
        ({}, All(())),
        ({"a": "1"}, AnyOf("a", ("1",))),
        ({"a": 1}, AnyOf("a", (1,))),
        ({"a": True}, AnyOf("a", (), ("true",))),
        ({"a": None}, AnyOf("a", (), ("null",))),
        ({"a": {"eq": 1.5}}, AnyOf("a", (1.5,))),
        ({"a": {"ne": "x"}}, Not(AnyOf("a", ("x",)))),
        ({"a": {"in": []}}, AnyOf("a", ())),
        ({"a": {"in": ("x", 2, False, None)}}, AnyOf("a", ("x", 2), ("false", "null"))),
        ({"a": {"gte": 1, "lt": 5}}, Range("a", ((">=", 1), ("<", 5)))),
        ({"a": {"gt": "a", "lte": "b"}}, Range("a", ((">", "a"), ("<=", "b")))),
        ({"a": {"exists": True}}, Exists("a")),
        ({"a": {"exists": False}}, Not(Exists("a"))),
        ({"a": {"ne": 3, "gt": 1}}, All((Not(AnyOf("a", (3,))), Range("a", ((">", 1),))))),
        ({"a": 1, "b": 2}, All((AnyOf("a", (1,)), AnyOf("b", (2,))))),
        ({"and": [{"a": 1}, {}]}, All((AnyOf("a", (1,)), All(())))),
        ({"or": []}, filters.Any(())),
        ({"not": {"or": [{"a": 1}]}}, Not(filters.Any((AnyOf("a", (1,)),)))),
        ({"a.b": 1}, AnyOf("a.b", (1,))),
        ({"": 1}, AnyOf("", (1,))),
        ({"é\"'; --": 1}, AnyOf("é\"'; --", (1,))),
        ({"a": np.int64(3)}, AnyOf("a", (3,))),
        ({"a": np.float64(0.5)}, AnyOf("a", (0.5,))),
        ({"a": np.float32(0.5)}, AnyOf("a", (0.5,))),
        ({"a": {"in": [np.bool_(False), np.str_("x")]}}, AnyOf("a", ("x",), ("false",))),
        ({"a": {"gte": np.float16(2)}}, Range("a", ((">=", 2.0),))),
        ({"a": {"exists": np.bool_(True)}}, Exists("a")),
        ({"a": 2**63 - 1}, AnyOf("a", (2**63 - 1,))),
        ({"a": 2**70}, AnyOf("a", (float(2**70),))),
    ],
)
def test_the_tree_of_a_filter(where: Mapping[str, Any], tree: object) -> None:
    """Several conditions join by and; `ne` and `exists: false` are negations."""
    assert parse(where) == tree


def test_what_python_takes_for_equal_is_not() -> None:
    """True is no 1, also where a tree is a key of a cache; 1 and 1.0 are one number."""
    assert parse({"a": True}) != parse({"a": 1})
    assert parse({"a": False}) != parse({"a": 0})
    assert parse({"a": "1"}) != parse({"a": 1})
    assert parse({"a": 1.0}) == parse({"a": 1})
    assert hash(parse({"a": 1.0})) == hash(parse({"a": 1}))


def deep(levels: int) -> dict[str, Any]:
    where: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        where = {"not": where}
    return where


ITSELF: dict[str, Any] = {}
ITSELF["and"] = [ITSELF]

ALLOWED = "allowed here: eq, ne, in, gt, gte, lt, lte, exists (did you mean gte?)"
IN = 'found a list of 1 (did you mean {"in": […]}?)'
MORE = "; this one has more"


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("x", ": expected a mapping of fields to conditions; found 'x'"),
        ([{"a": 1}], ": expected a mapping of fields to conditions; found a list of 1"),
        ({1: 2}, ": expected text as a field's name; found 1"),
        ({"year": {"gte": [1, 2]}}, ".year.gte: expected a number or text; found a list of 2"),
        ({"year": {"gte": None}}, ".year.gte: expected a number or text; found nothing"),
        ({"year": {"lt": True}}, ".year.lt: expected a number or text; found true"),
        ({"year": {"gte": 1, "lt": "x"}}, ".year: expected bounds of one type; found a number and text"),
        ({"year": {"gte": float("nan")}}, ".year.gte: expected a finite number; found nan"),
        ({"year": float("-inf")}, ".year: expected a finite number; found -inf"),
        ({"year": 10**400}, ".year: expected a number that fits a double; found a number beyond 64 bits"),
        ({"year": {}}, ".year: expected an operator such as eq or gte; found none"),
        (
            {"year": {"ge": 1}},
            ".year.ge: unknown key; " + ALLOWED,
        ),
        ({"year": {3: 1}}, ".year: expected text as an operator; found 3"),
        ({"lang": ["en"]}, ".lang: expected a value or operators; " + IN),
        ({"lang": {"in": "en"}}, ".lang.in: expected a list of values; found 'en'"),
        (
            {"lang": {"in": ["en", {"x": 1}]}},
            ".lang.in.1: expected text, a number, true, false or null; found keys and values",
        ),
        ({"lang": b"en"}, ".lang: expected text, a number, true, false or null; found b'en'"),
        ({"lang": {"eq": 1j}}, ".lang.eq: expected text, a number, true, false or null; found 1j"),
        ({"a": {"exists": 1}}, ".a.exists: expected true or false; found 1"),
        ({"and": {"a": 1}}, ".and: expected a list of filters; found keys and values"),
        ({"or": [{"a": 1}, "b"]}, ".or.1: expected a mapping of fields to conditions; found 'b'"),
        ({"not": [{"a": 1}]}, ".not: expected a mapping of fields to conditions; found a list of 1"),
        ({"a": "\ud800"}, ".a: expected valid Unicode; found '\\ud800'"),
        ({"a": "x\0y"}, ".a: expected text without NUL; found 'x\\x00y'"),
        ({"\ud800": 1}, ": expected valid Unicode; found '\\ud800'"),
        ({"a": {"in": list(range(10_001))}}, ".a.in: a filter has at most 10,000 values" + MORE),
        ({"a": {"in": ["x" * 2**18]}}, ".a.in.0: a filter has at most 262,144 characters" + MORE),
        ({"or": [{}] * 300}, ".or: a filter has at most 256 conditions" + MORE),
    ],
    ids=range(28),
)
def test_what_is_no_filter(where: Any, problem: str) -> None:
    """The place, what was expected, what was found."""
    with pytest.raises(QueryError) as caught:
        parse(where)
    assert str(caught.value) == f"where{problem}"


@pytest.mark.parametrize("where", [deep(17), deep(5000), ITSELF], ids=["17", "5000", "itself"])
def test_depth_is_bounded(where: Any) -> None:
    """Also of a filter that contains itself."""
    with pytest.raises(QueryError, match=r"^where(\.\w+)+: nested deeper than 16 levels$"):
        parse(where)


def test_the_limits_themselves_are_allowed() -> None:
    """Sixteen levels, 10,000 values, 256 conditions."""
    parse(deep(16))
    parse({"a": {"in": list(range(10_000))}})
    parse({str(number): number for number in range(256)})
    with pytest.raises(QueryError, match="at most 256 conditions"):
        parse({str(number): number for number in range(257)})


def test_values_are_counted_over_the_whole_filter() -> None:
    """Not only in one list."""
    half = {"in": list(range(5_001))}
    with pytest.raises(QueryError, match=r"^where.b.in: a filter has at most 10,000 values"):
        parse({"a": half, "b": half})


def test_json() -> None:
    """An object as it stands."""
    where = {"a": {"in": [1, "x", None, True]}, "not": {"b": 2.5}}
    assert from_json(json.dumps(where)) == where


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"not JSON (Expecting value, column 1); write it like {\"section\": \"1\"}"),
        ("{'a': 1}", "not JSON (Expecting property name enclosed in double quotes, column 2)"),
        ("null", r"expected a JSON object like {\"section\": \"1\"}; found nothing"),
        ("[1]", "expected a JSON object"),
        ('{"a": 1, "a": 2}', "'a' stands twice; join the two with \"and\""),
        ('{"a": {"gt": 1, "gt": 2}}', "'gt' stands twice"),
        ('{"a": ' * 100_000, "nested deeper than 16 levels"),
        (f'{{"a": {"9" * 5000}}}', "not JSON ("),
    ],
    ids=range(8),
)
def test_what_is_no_json(text: str, problem: str) -> None:
    """One line, whatever the JSON library would say."""
    with pytest.raises(QueryError) as caught:
        from_json(text)
    assert str(caught.value).startswith(f"where: {problem}".replace("\\", ""))
    assert "\n" not in str(caught.value)


def test_the_examples_of_the_documentation() -> None:
    """The filter is one, the errors are what it shows, and every operator and limit is there."""
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert isinstance(parse(from_json(example)), All)
    (errors,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    wrong: list[dict[str, Any]] = [{"year": {"gte": [1, 2]}}, {"lang": ["en", "de"]}, {"year": {"ge": 1}}]
    for where, line in zip(wrong, errors.splitlines(), strict=True):
        with pytest.raises(QueryError) as caught:
            parse(where)
        assert str(caught.value) == line
    for name in filters.OPERATORS:
        assert f"`{name}`" in page or f'"{name}"' in page
    for limit in (filters.MAX_DEPTH, filters.MAX_CONDITIONS, filters.MAX_VALUES, filters.MAX_CHARS):
        assert f"{limit:,} " in page
