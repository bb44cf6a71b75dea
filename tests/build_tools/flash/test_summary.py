"""What is shown of a flash: what devices say is text, never markup, and never steers the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from build_tools.flash.run import Result
from build_tools.flash.summary import bars, table


def test_table() -> None:
    """Brackets stay, control characters do not."""
    results = [
        Result("ssh://pi", "installed", "1.0.0-5d4bfbc60d01", 1_234_567, 2.04),
        Result("ssh://[fe80::1]", "failed", "[bold]no\x1b[2J[/bold]", 0, 61.0),
    ]
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(table(results))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[1].split() == ["ssh://pi", "installed", "1.235", "2.0", "1.0.0-5d4bfbc60d01"]
    assert lines[2].split() == ["ssh://[fe80::1]", "failed", "0.000", "61.0", "[bold]no\ufffd[2J[/bold]"]


def test_bars_on_a_terminal() -> None:
    """One for each target, with its step."""
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with bars(console) as progress:
        told = progress("ssh://[fe80::1]")
        told("send", 10, 100)
    assert "ssh://[fe80::1]" in out.getvalue()
    assert "send" in out.getvalue()


def test_lines_elsewhere() -> None:
    """A step once, with what is to be sent."""
    out = io.StringIO()
    with bars(Console(file=out)) as progress:
        told = progress("ssh://pi")
        for done in (0, 10, 20):
            told("send", done, 2_000_000)
        told("stage", 0, 0)
    assert out.getvalue() == "ssh://pi: send 2.000 MB\nssh://pi: stage\n"
