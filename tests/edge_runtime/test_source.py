"""What `edge_runtime.open` was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime.errors import BundleError, QueryError
from edge_runtime.source import Source


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "\udcff", "", Path("a\0b")])
def test_odd_paths_are_one_error(path: str) -> None:
    """Whatever the system says of them."""
    with pytest.raises(BundleError):
        edge_runtime.open(path)


@pytest.mark.parametrize("path", [None, 5, b"/tmp", ["x"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    """Rather than a TypeError from deep inside."""
    with pytest.raises(QueryError, match="bundle: expected a directory's path; found"):
        edge_runtime.open(path)


def test_identity(bundle: Path, tmp_path: Path) -> None:
    """Of what is there; None where nothing is."""
    assert Source(bundle).identity() == Source(str(bundle)).identity() is not None
    assert Source(tmp_path).identity() is None
