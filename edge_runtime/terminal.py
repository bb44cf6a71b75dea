"""What is printed: safe for a terminal, bold only on one."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys

# What a document or a query could steer the terminal with, and what cannot be printed at all.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def printable(text: str) -> str:
    """The text with replacement characters for control characters and lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)


def styled() -> bool:
    """Whether standard output takes bold: a terminal, but for TERM=dumb and NO_COLOR (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def bold(text: str) -> str:
    """The text between the sequences for bold and for plain."""
    return f"{_BOLD}{text}{_PLAIN}"


def to_json(value: object) -> str:
    """One line for standard output: in any script where that is UTF-8, else with JSON's own escapes."""
    encoding = sys.stdout.encoding or "utf-8"  # memory in its place has none
    return json.dumps(value, ensure_ascii=codecs.lookup(encoding).name != "utf-8")


class Percentage:
    """How far a long task is, on one line of a terminal that waits; nothing elsewhere."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._shown = -1
        self._terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total`."""
        percent = 100 * done // max(1, total)
        if self._terminal and percent != self._shown:
            self._shown = percent
            print(f"\r{self._doing} {percent} %", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leaves an empty line for what is printed next."""
        if self._shown >= 0:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = -1
