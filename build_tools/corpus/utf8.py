"""Bytes to text: UTF-8 with or without a byte-order mark, and what else the bytes look like."""

from __future__ import annotations

import codecs


class NotUtf8Error(ValueError):
    """The bytes are not UTF-8; the message says where and, if it can, what to do."""


def decode(raw: bytes) -> str:
    """The text of `raw`, without a leading byte-order mark.

    Raises:
        NotUtf8Error: at the first byte that does not fit.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotUtf8Error(f"{_problem(raw, error)}; convert it with iconv -t UTF-8") from None


def printable(path: object) -> str:
    """A path as text that can be printed, stored and put in a message, whatever bytes its name holds."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _problem(raw: bytes, error: UnicodeDecodeError) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "found the mark of UTF-16"
    return f"found byte 0x{raw[error.start]:02x} at position {error.start + 1}"
