"""Puts a benchmark's output into its place in RESULTS.md."""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.errors import Error


def check_section(path: Path, name: str) -> None:
    """Makes sure, before the hours of measuring, that `replace_section` will find its place.

    Raises:
        Error: the file cannot be read or has no such place.
    """
    _split(path, name)


def replace_section(path: Path, name: str, body: str) -> None:
    """Replaces what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; every other byte stays.

    Raises:
        Error: as `check_section`.
        OSError: the file cannot be written.
    """
    before, after = _split(path, name)
    path.write_bytes(f"{before}\n\n{body}\n\n{after}".encode())


def _split(path: Path, name: str) -> tuple[str, str]:
    """The text up to the place, opening mark included, and from its closing mark on."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise Error(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise Error(f"{path}: not UTF-8; expected Markdown with a line {start}") from None
    match = re.search(f"({re.escape(start)}).*?({re.escape(end)})", text, re.DOTALL)
    if match is None:
        raise Error(f"{path}: expected a line {start} and, after it, a line {end}")
    return text[: match.end(1)], text[match.start(2) :]
