"""One encoder timed alone, by numbers of tokens, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.bench import lengths
from edge_runtime.bench.lengths import Task
from edge_runtime.errors import EngineError, QueryError


def test_every_length_is_timed(bundle: Path) -> None:
    """As many queries as asked for, of each; loading and the first query apart."""
    timing = lengths.measure(Task(str(bundle), "layers2", [4, 8, 16], n=7, warm_up=1))
    assert [len(times) for times in timing.queries] == [7, 7, 7]
    assert min(min(times) for times in timing.queries) > 0
    assert timing.load > 0
    assert timing.first > 0


def test_what_cannot_be_timed(bundle: Path) -> None:
    """No such encoder, and more tokens than it reads: the child's own errors."""
    with pytest.raises(QueryError, match="bundle tiny has layers2; found 'layers9'"):
        lengths.measure(Task(str(bundle), "layers9", [4], n=1))
    with pytest.raises(EngineError, match="failed on 5000 tokens"):
        lengths.measure(Task(str(bundle), "layers2", [5000], n=1))
