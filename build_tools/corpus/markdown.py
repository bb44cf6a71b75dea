"""Headings of Markdown (CommonMark 0.31, ATX headings)."""

from __future__ import annotations

ATX = r" {0,3}#{1,6}[ \t]+(\S.*)$"
"""A line that is a heading; its text may still end in what `without_closing` takes off.

That is not in the expression: what could match the same spaces twice takes minutes where there are thousands.
"""


def without_closing(text: str) -> str:
    """A heading's text without the # that may close it."""
    text = text.rstrip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare != bare.rstrip() else text
