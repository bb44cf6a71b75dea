"""Manual page source to plain text, by mandoc or groff in a subprocess."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tools.errors import CorpusError

TIMEOUT_SECONDS = 60
_WIDTH = 9000
"""Columns for groff: wide enough for a paragraph to stay on one line, unbroken and unjustified."""
_MANDOC_WIDTH = 1000  # mandoc takes little more

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m|[^\n]\x08")
_PAGE_HEADER = re.compile(r"\S.*\([0-9nl][^)\s]*\)(?:\s|$)")
_RULE = re.compile(r"([─━═_=-])\1{79,}")
# Typographic forms that a person typing an option or a path does not use.
_PLAIN = str.maketrans("‐‑−‘’´ˆ˜", "---'''^~")
_INDENT = " " * 7
_GAP = " " * 40
_DASH = re.compile(r"\s+[-–—]+\s+")


class RenderError(ValueError):
    """The page cannot be rendered; the message says why."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as text. `summary` is the line that its NAME section gives, empty when there is none."""

    text: str
    summary: str


def renderer() -> str:
    """The name of the program that renders pages here; empty when there is none."""
    return next((name for name in ("mandoc", "groff") if shutil.which(name)), "")


def find_renderer() -> tuple[str, ...]:
    """The command that renders a page from its standard input.

    Raises:
        CorpusError: neither mandoc nor groff is installed.
    """
    if mandoc := shutil.which("mandoc"):
        return (mandoc, "-K", "utf-8", "-T", "utf8", "-O", f"width={_MANDOC_WIDTH}")
    if groff := shutil.which("groff"):
        options = ("-K", "utf8", "-T", "utf8", "-P-cbou", f"-rLL={_WIDTH}n", "-rHY=0")
        return (groff, *options, "-t", "-mandoc")
    raise CorpusError(
        "source man needs a program that renders manual pages; found neither groff nor mandoc. "
        "On Debian or Ubuntu: apt-get install groff-base"
    )


def render(source: str, command: Sequence[str], *, root: Path) -> Rendered:
    """The page `source` as plain text, run in the manual's folder `root`.

    Raises:
        RenderError: the renderer failed, took longer than `TIMEOUT_SECONDS`, or printed nothing.
    """
    try:
        done = subprocess.run(
            command,
            input=source.encode(),
            capture_output=True,
            cwd=root,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RenderError(f"{Path(command[0]).name} took longer than {TIMEOUT_SECONDS} s") from None
    output = done.stdout.decode("utf-8", "replace")
    text = _tidy(output)
    if not text:
        complaint = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = f": {complaint[0]}" if complaint else ""
        raise RenderError(f"{Path(command[0]).name} printed nothing{said}")
    return Rendered(text, _summary(text))


def _tidy(output: str) -> str:
    plain = _RULE.sub(r"\1\1\1", _ESCAPES.sub("", output)).translate(_PLAIN)
    lines = [line.rstrip() for line in plain.strip("\n").split("\n")]
    if lines and _PAGE_HEADER.match(lines[0]):
        lines = _without_footer(lines[1:])
    body = "\n".join(line.removeprefix(_INDENT) for line in lines)
    return re.sub(r"\n{3,}", "\n\n", body).strip("\n")


def _without_footer(lines: list[str]) -> list[str]:
    """The footer is set apart by a blank line, and spread over the whole width or at its right end."""
    is_footer = len(lines) > 1 and not lines[-2] and _GAP in lines[-1]
    return lines[:-1] if is_footer else lines


def _summary(text: str) -> str:
    r"""What follows the dash in ``NAME\nls - list directory contents``."""
    heading, _, rest = text.partition("\n")
    if heading.strip() != "NAME":
        return ""
    paragraph = " ".join(rest.strip().split("\n\n")[0].split())
    parts = _DASH.split(paragraph, maxsplit=1)
    return parts[1] if len(parts) == 2 else ""
