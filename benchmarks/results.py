"""Puts a benchmark's output into its place in RESULTS.md."""

from __future__ import annotations

import re
from pathlib import Path


def replace_section(path: Path, name: str, body: str) -> None:
    """Replaces what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises:
        ValueError: the file has no such place.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = path.read_text("utf-8")
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{path}: expected a line {start} and a line {end}")
    path.write_text(pattern.sub(lambda _: f"{start}\n\n{body}\n\n{end}", text, count=1), "utf-8")
