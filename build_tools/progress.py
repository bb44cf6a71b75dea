"""What a long build tells the person who waits: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress:
    """Prints lines and draws one bar at a time."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One finished fact, kept on the screen."""
        self._console.print(line, markup=False)

    @contextmanager
    def task(self, name: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar that vanishes when its block ends; the value it gives adds to what is done.

        Elsewhere than on a terminal one line says that work has begun, if any does.
        """
        if not self._console.is_terminal:
            yield self._announcer(f"{name:<10} {'' if total is None else f'{total:,} {unit} '}…")
            return
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self._console, transient=True) as bars:
            identity = bars.add_task(name, total=total)

            def advance(amount: int) -> None:
                bars.advance(identity, amount)

            yield advance

    def _announcer(self, line: str) -> Callable[[int], None]:
        waiting = [line]

        def advance(amount: int) -> None:
            if amount and waiting:
                self.say(waiting.pop())

        return advance
