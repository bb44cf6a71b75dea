"""What came of a flash: a table for people, and bars while they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from build_tools.flash.run import Result
from build_tools.flash.transfer import Progress
from edge_runtime.terminal import printable

_STYLES = {"failed": "bold red", "interrupted": "bold red", "nothing": "dim"}


def table(results: Sequence[Result]) -> Table:
    """A line for each target; nothing in it is read as markup, for devices write some of it."""
    made = Table("target", "result", "sent, MB", "s", "", box=None, pad_edge=False)
    for column in made.columns[2:4]:
        column.justify = "right"
    made.columns[-1].overflow = "fold"
    for each in results:
        cells = (each.target, each.state, f"{each.sent / 1e6:.3f}", f"{each.seconds:.1f}", each.detail)
        made.add_row(*(Text(printable(cell)) for cell in cells), style=_STYLES.get(each.state))
    return made


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str], Progress]]:
    """A bar for each target on a terminal, a line for each of its steps elsewhere."""
    if not console.is_terminal:
        yield lambda label: _Lines(console, label)
        return
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as shown:
        yield lambda label: _Bar(shown, printable(label))


class _Bar:
    """One target's; it pulses where there is nothing to count."""

    def __init__(self, shown: Bars, label: str) -> None:
        self._shown, self._task = shown, shown.add_task("connect", total=None, label=label)

    def __call__(self, step: str, done: int, total: int) -> None:
        self._shown.update(self._task, description=step, completed=done, total=total or None)


class _Lines:
    """One target's; a step is told of when it begins."""

    def __init__(self, console: Console, label: str) -> None:
        self._console, self._label, self._step = console, printable(label), ""

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self._step = step
            size = f" {total / 1e6:.3f} MB" if total else ""
            self._console.print(Text(f"{self._label}: {step}{size}"), soft_wrap=True)
