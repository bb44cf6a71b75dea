"""A process of our own that dies, hangs, fails or answers."""

from __future__ import annotations

import signal

import pytest

from edge_runtime import process
from edge_runtime.errors import DeviceWarning, EngineError, Error


def code(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Has the new process run `text` in place of one of our modules."""
    monkeypatch.setattr(process, "_CODE", text)


def test_the_last_line_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the request on stdin, and the module's name as its second argument."""
    code(
        monkeypatch,
        "import json, sys; print(1); print(json.dumps({'got': json.load(sys.stdin), 'for': sys.argv[2]}))",
    )
    assert process.call("child", {"k": "\ud800"}, about="x") == {"got": {"k": "\ud800"}, "for": "child"}


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "was killed by SIGILL"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)",
            f"was killed by signal {signal.SIGRTMIN + 3}",
        ),
        ("import sys; sys.exit('one\\nno room')", "ended with status 1: no room"),
        ("raise MemoryError('no room')", "ended with status 1: MemoryError: no room"),
        ("pass", "ended with status 0"),
    ],
)
def test_a_process_that_dies(monkeypatch: pytest.MonkeyPatch, text: str, ending: str) -> None:
    """The signal or the status, and the last line it wrote; on small boards memory often runs out."""
    code(monkeypatch, text)
    with pytest.raises(Error) as caught:
        process.call("child", {}, about="bundle b")
    assert str(caught.value) == f"bundle b: a new process {ending}"


def test_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    code(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(Error, match=r"^b: no answer from a new process in 0 s$"):
        process.call("child", {}, about="b", timeout_seconds=0.2)


def test_warnings_about_the_device_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """From there to here, before an answer as well as before an error; others stay there."""
    body = (
        "import sys, warnings; sys.path[0] = sys.argv[1]; from edge_runtime import errors, process\n"
        "def answer(request):\n"
        "    warnings.warn('no GPU', errors.DeviceWarning); warnings.warn('other')\n"
        "    if request: raise errors.EngineError('no engine')\n"
        "    return {'a': 1}\n"
        "process.reply(answer)"
    )
    code(monkeypatch, body)
    with pytest.warns(DeviceWarning, match=r"^no GPU$") as caught:
        assert process.call("child", {}, about="b") == {"a": 1}
    assert len(caught) == 1
    with pytest.warns(DeviceWarning, match=r"^no GPU$"), pytest.raises(EngineError, match=r"^no engine$"):
        process.call("child", {"fail": 1}, about="b")


PRINTING = """
import ctypes, sys
sys.path[0] = sys.argv[1]
from edge_runtime import process
def answer(request):
    ctypes.CDLL(None).printf(b"GPU found\\n")
    print("from Python")
    return {"a": 1}
print("before")
process.reply(answer)
"""


def test_a_library_that_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """C writes its buffer as the process ends, after Python's: it is not the answer."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # it would leave C no buffer either
    code(monkeypatch, PRINTING)
    assert process.call("child", {}, about="b") == {"a": 1}


@pytest.mark.parametrize("line", ["GPU found", "[1]", "\\xff", ""])
def test_a_line_that_is_no_answer(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """An error of ours that quotes it."""
    code(monkeypatch, f"import sys; sys.stdout.buffer.write(b'{line}\\n')")
    with pytest.raises(Error, match=r"^b: a new process printed what is no answer(: .*)?$"):
        process.call("child", {}, about="b")


def test_errors_of_ours_keep_their_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name, from another version, is still an error of ours."""
    answer = '{"error": "%s", "message": "no engine"}'
    for name, kind in (("EngineError", EngineError), ("TomorrowsError", Error)):
        code(monkeypatch, f"print('{answer % name}')")
        with pytest.raises(kind, match=r"^no engine$"):
            process.call("child", {}, about="b")
