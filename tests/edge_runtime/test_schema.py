"""Plain values to dataclasses and back; what does not fit says where and why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import schema
from edge_runtime.schema import SchemaError


@dataclass(frozen=True, slots=True)
class Inner:
    size: int = 1
    label: str | None = "none given"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise SchemaError(("size",), f"expected 0 or more; found {self.size}")


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    mode: Literal["exact", "hnsw"] = "exact"
    ratio: float = 0.5
    flag: bool = False
    limit: int | None = None
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    extra: Mapping[str, str] | None = None


def failure(kind: Any, value: object) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        schema.decode(kind, value)
    return caught.value


def test_nested_values_become_dataclasses() -> None:
    """Lists become tuples, mappings dataclasses, whole numbers floats where a float is wanted."""
    value = {"name": "a", "ratio": 1, "inner": {"size": 3}, "many": [{"label": None}], "extra": {"k": "v"}}
    expected = Outer("a", ratio=1.0, inner=Inner(3), many=(Inner(label=None),), extra={"k": "v"})
    assert schema.decode(Outer, value) == expected


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ({}, ("name",), "missing; this key is required"),
        ({"name": 5}, ("name",), "expected text; found 5; put it in quotes"),
        ({"name": True}, ("name",), "expected text; found true; put it in quotes"),
        ({"name": None}, ("name",), "expected text; found nothing"),
        ({"name": "a", "limit": "5"}, ("limit",), "expected a whole number; found '5'"),
        ({"name": "a", "limit": 1.5}, ("limit",), "expected a whole number; found 1.5"),
        ({"name": "a", "limit": True}, ("limit",), "expected a whole number; found true"),
        ({"name": "a", "flag": 1}, ("flag",), "expected true or false; found 1"),
        ({"name": "a", "ratio": False}, ("ratio",), "expected a number; found false"),
        ({"name": "a", "ratio": "high"}, ("ratio",), "expected a number; found 'high'"),
        ({"name": "a", "ratio": float("nan")}, ("ratio",), "expected a finite number; found nan"),
        ({"name": "a", "ratio": "1e999"}, ("ratio",), "expected a finite number; found '1e999'"),
        ({"name": "a", "inner": [1]}, ("inner",), "expected keys and values; found a list of 1"),
        ({"name": "a", "many": {}}, ("many",), "expected a list such as [a, b]; found keys and values"),
        ({"name": "a", "many": [{}, {"size": -1}]}, ("many", 1, "size"), "expected 0 or more; found -1"),
        ({"name": "a", "extra": {1: "v"}}, ("extra",), "expected text as key; found 1"),
        ({"name": "a", "extra": {"k": 1}}, ("extra", "k"), "expected text; found 1; put it in quotes"),
        ("text", (), "expected keys and values; found 'text'"),
    ],
)
def test_what_does_not_fit_is_located_and_explained(value: object, path: schema.Path, problem: str) -> None:
    """The path leads to the value, the problem says what was expected and found."""
    error = failure(Outer, value)
    assert (error.path, error.problem) == (path, problem)


def test_unknown_keys_and_choices_suggest_the_nearest() -> None:
    """A slip of the finger is answered with the key that was meant."""
    allowed = "name, mode, ratio, flag, limit, inner, many, extra"
    assert (
        failure(Outer, {"nam": "a"}).problem == f"unknown key; allowed here: {allowed} (did you mean name?)"
    )
    error = failure(Outer, {"name": "a", "mode": "hnws"})
    assert error.problem == "expected one of exact, hnsw; found 'hnws' (did you mean hnsw?)"


@pytest.mark.parametrize("text", ["1e-4", "1.5e3", ".5E+2", "-2e1"])
def test_exponents_that_yaml_leaves_as_text_are_numbers(text: str) -> None:
    """YAML 1.1 reads 1e-4 as text; a field that wants a number takes it."""
    assert schema.decode(Outer, {"name": "a", "ratio": text}).ratio == float(text)


@pytest.mark.parametrize("key", ["limit", "ratio"])
def test_numbers_beyond_64_bits_are_refused(key: str) -> None:
    """Such a number overflows float() and cannot even be printed; it is refused before either."""
    error = failure(Outer, {"name": "a", key: 1 << 20_000})
    assert error.problem == "expected a number of at most 64 bits; found a longer one"


def test_none_needs_an_optional_field() -> None:
    """A union without None does not take it."""
    assert failure(int | str, None).problem.startswith("expected")


def test_a_long_or_unprintable_key_is_shown_safely() -> None:
    """Keys come from files; one with a line break must not forge a second line of the message."""
    assert schema.dotted(("a", 0, "b\nc")) == "a.0.'b\\nc'"
    assert len(str(failure(Outer, {"k" * 5000: 1}))) < 300


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (False, "false"),
        ([1, 2], "a list of 2"),
        ({}, "keys and values"),
        ("a\n", "'a\\n'"),
    ],
)
def test_values_are_shown_on_one_line(value: object, text: str) -> None:
    """Error messages show scalars as written and containers by kind."""
    assert schema.shown(value) == text


def test_a_huge_or_deep_value_is_shown_without_failing() -> None:
    """repr() fails on both; the message must not."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert schema.shown(deep) == "a list of 1"
    assert schema.shown(1 << 20_000) == "a number beyond 64 bits"
    assert failure(Outer, {"name": "a", "mode": deep}).path == ("mode",)


def test_encode_keeps_a_none_that_is_not_the_default() -> None:
    """limit's None is its default and left out; label's is a choice and must survive."""
    assert schema.encode(Outer("a", inner=Inner(label=None)))["inner"] == {"size": 1, "label": None}
    assert "limit" not in schema.encode(Outer("a"))


inners = st.builds(Inner, size=st.integers(0, 2**63), label=st.none() | st.text())
outers = st.builds(
    Outer,
    name=st.text(),
    mode=st.sampled_from(["exact", "hnsw"]),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    limit=st.none() | st.integers(-(2**63), 2**63),
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    extra=st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@given(outers)
@settings(deadline=None, max_examples=100)
def test_encode_then_decode_gives_the_same_value(value: Outer) -> None:
    """Whatever a dataclass holds comes back equal."""
    assert schema.decode(Outer, schema.encode(value)) == value


@given(anything | st.fixed_dictionaries({"name": anything, "inner": anything, "many": anything}))
@settings(deadline=None, max_examples=150)
def test_any_plain_value_decodes_or_is_one_clear_error(value: object) -> None:
    """No plain value escapes as another exception."""
    try:
        found: Outer | str = schema.decode(Outer, value)
    except SchemaError as error:
        found = str(error)
    assert isinstance(found, Outer) or "\n" not in found


def test_importing_the_schema_loads_nothing_heavy() -> None:
    """It is on the path of every start of the device."""
    heavy = "{'numpy', 'yaml', 'difflib', 'torch'}"
    code = f"import sys, edge_runtime.schema; print(sorted({heavy} & set(sys.modules)))"
    stub = "import sys, types; p = types.ModuleType('edge_runtime'); p.__path__ = [sys.argv[1]]; "
    package = str(__import__("pathlib").Path(schema.__file__).parent)
    run = subprocess.run(
        [sys.executable, "-c", stub + "sys.modules['edge_runtime'] = p; " + code, package],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "[]"
