"""A line to a program that does not speak as a device does: said nothing, or nothing more."""

from __future__ import annotations

import pytest

from build_tools.errors import LineError
from build_tools.flash.connection import Connection
from edge_runtime.store.messages import At, encode

AT = encode(At("stage")).decode()


@pytest.mark.parametrize("words", ["", AT])
def test_a_device_that_is_stuck(words: str) -> None:
    """Its line stands and nothing comes: given up, as a line that broke, and its program is ended."""
    with Connection(["sh", "-c", 'printf %s "$1"; exec sleep 60', "sh", words], silence_seconds=0.5) as line:
        if words:
            assert line.receive(At) == At("stage")
        with pytest.raises(LineError, match="edge-runtime there said nothing for 0 s"):
            line.receive(At)
        assert line._process.poll() is not None
    assert line.answered == bool(words)


def test_a_device_that_takes_its_time() -> None:
    """Each word begins the waiting anew."""
    script = 'for i in 1 2 3 4 5; do sleep 0.4; printf %s "$1"; done'
    with Connection(["sh", "-c", script, "sh", AT], silence_seconds=1.5) as line:
        assert [line.receive(At).step for _ in range(5)] == ["stage"] * 5
