"""Messages: what is written can be read, and nothing else can."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.store.messages import (
    Activate,
    At,
    Bases,
    Blob,
    Done,
    Failed,
    Message,
    MessageError,
    Offer,
    Still,
    Tried,
    Wanted,
    Wants,
    decode,
    encode,
)

KINDS = (Offer, Wants, Bases, Still, Tried, Blob, At, Activate, Done, Failed)
SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
SIZES = st.integers(0, 1 << 60)
MESSAGES = st.one_of(
    st.builds(Offer, SIZES, SIZES, st.none() | SIZES),
    st.builds(Wants, st.text(), st.lists(st.builds(Wanted, SHA256, SIZES), max_size=4).map(tuple)),
    st.builds(Bases, st.text(), st.lists(SHA256, max_size=4).map(tuple)),
    st.builds(Still),
    st.builds(Tried),
    st.builds(Blob, SHA256, SIZES),
    st.builds(At, st.text()),
    st.builds(Activate),
    st.builds(Done, st.sampled_from(["installed", "nothing"]), st.text(), st.none() | st.text()),
    st.builds(Failed, st.text()),
)


@given(MESSAGES)
def test_there_and_back(message: Message) -> None:
    """On one line."""
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line, *KINDS) == message


@given(MESSAGES, st.data())
def test_damage(message: Message, data: st.DataObject) -> None:
    """Any other byte anywhere gives a message or a MessageError."""
    line = bytearray(encode(message))
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MessageError):
        decode(bytes(line), *KINDS)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"at":{"step":"x"},"done":{}}',
        b'{"at":{"step":"x","step":"y"}}',
        b'{"at":{}}',
        b'{"at":null}',
        b'{"wants":{"runtime":"1","files":[{"sha256":"../x","have":0}]}}',
        b'{"blob":{"sha256":"x","start":1e3}}',
        b'{"blob":{"sha256":"x","start":' + b"9" * 5000 + b"}}",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    """A MessageError, short enough for a terminal."""
    with pytest.raises(MessageError) as caught:
        decode(line, *KINDS)
    assert len(str(caught.value)) < 500


def test_a_message_that_is_not_expected() -> None:
    """Is refused like one that does not exist."""
    with pytest.raises(MessageError, match="expected wants or failed; found"):
        decode(encode(At("stage")), Wants, Failed)
