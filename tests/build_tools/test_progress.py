"""What a build says, on a terminal and in a log."""

from __future__ import annotations

import io

from rich.console import Console

from build_tools.progress import Progress


def log() -> tuple[Progress, io.StringIO]:
    """Progress into a file, as under cron or CI."""
    file = io.StringIO()
    return Progress(Console(file=file, soft_wrap=True, highlight=False, width=40)), file


def test_a_log_has_a_line_for_each_task_that_works() -> None:
    """No bars, no blank lines; a task with nothing left to do says nothing."""
    progress, file = log()
    with progress.task("vectors", total=5183, unit="passages") as advance:
        advance(0)
        advance(1024)
        advance(1024)
    with progress.task("index", total=10, unit="vectors"):
        pass
    with progress.task("documents", total=None, unit="passages") as advance:
        advance(1)
    progress.say("done")
    assert file.getvalue() == "vectors    5,183 passages …\ndocuments  …\ndone\n"


def test_long_lines_and_brackets_are_printed_as_they_are() -> None:
    """Paths are not wrapped, and [brackets] are no mark-up."""
    progress, file = log()
    progress.say("[bold]" + "x" * 100)
    assert file.getvalue() == "[bold]" + "x" * 100 + "\n"


def test_a_terminal_has_bars() -> None:
    """Which vanish; the lines stay."""
    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=True, width=80))
    with progress.task("vectors", total=10, unit="passages") as advance:
        advance(10)
    assert "10/10" in file.getvalue()
