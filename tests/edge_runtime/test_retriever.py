"""What an open bundle answers, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import edge_runtime


def test_opens(bundle: Path) -> None:
    """An open bundle answers."""
    with edge_runtime.open(bundle) as retriever:
        assert retriever.search("yeast and dough", k=3)[0].key.startswith("bread")
