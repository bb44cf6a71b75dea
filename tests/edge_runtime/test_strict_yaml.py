"""The part of YAML that a bundle may use, and the parts that could hurt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.strict_yaml import MAX_DEPTH, StrictYamlError, load


@pytest.fixture(autouse=True, scope="module", params=["CSafeLoader", "SafeLoader"])
def _either_parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """PyYAML may have been built without libyaml; what is refused must not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_runtime.strict_yaml._Loader", getattr(yaml, request.param))
        yield


def test_reads_plain_values() -> None:
    """Mappings, lists and scalars arrive as PyYAML's safe loader gives them."""
    data = "a: 1\nb: [x, 1.5, true, null]\nc: {d: 'é'}\n".encode()
    assert load(data) == {"a": 1, "b": ["x", 1.5, True, None], "c": {"d": "é"}}


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"---\n"])
def test_nothing_is_none(data: bytes) -> None:
    """An empty document is None."""
    assert load(data) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("a: 2026-13-45", "not valid YAML (month must be in 1..12)"),
        ("a: \0", "not valid YAML"),
        ("a: 1\nb: &x 2", "line 2: anchors and aliases"),
        ("a: *x", "line 1: anchors and aliases"),
        ("<<: *x", "line 1: anchors and aliases"),
        ("a: !!python/object:os.system x", "line 1: tags"),
        ("a: !!int ''", "line 1: tags"),
        ("a: !!bool maybe", "line 1: tags"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("a: [{b: 1, b: 2}]", "line 1: the key 'b' stands twice"),
        ("? [a]\n: 1", "not valid YAML"),
        ("a: 1" + "0" * 5000, "not valid YAML"),
    ],
)
def test_refuses(text: str, problem: str) -> None:
    """What is no YAML, or more of YAML than is used here, is named with its line."""
    with pytest.raises(StrictYamlError) as caught:
        load(text.encode())
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_refuses_bytes_that_are_not_utf8() -> None:
    """Latin-1 is not guessed at."""
    with pytest.raises(StrictYamlError, match="not valid YAML"):
        load(b"name: caf\xe9\n")


def test_refuses_half_of_a_surrogate_pair() -> None:
    """No escape can make text that cannot be written again."""
    with pytest.raises(StrictYamlError):
        load(b'a: "\\ud800"')


@pytest.mark.parametrize("opening", [b"[", b"{", b"- ", b"? "])
def test_deep_nesting_does_not_reach_the_stack(opening: bytes) -> None:
    """A megabyte of brackets is refused at once; libyaml's own composer would end the process.

    The libyaml of PyYAML 6.0.4 counts brackets as it looks ahead, before we see the first.
    """
    problem = f"nested deeper than {MAX_DEPTH} levels|exceeded maximum nesting depth"
    with pytest.raises(StrictYamlError, match=problem):
        load(opening * (1 << 20))


def test_the_depth_limit_is_exact() -> None:
    """`MAX_DEPTH` levels pass, one more does not."""
    value = load(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(value, list)
        (value,) = value
    assert value == []
    with pytest.raises(StrictYamlError):
        load(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    """No other exception leaves the module."""
    with contextlib.suppress(StrictYamlError):
        load(data)


@given(st.text(alphabet="{}[],:-?&*!|>'\"%@` \n\tab0<=", max_size=60))
@settings(deadline=None, max_examples=500)
def test_any_punctuation_loads_or_is_refused(text: str) -> None:
    """Nor for text made of YAML's own characters."""
    with contextlib.suppress(StrictYamlError):
        load(text.encode())
