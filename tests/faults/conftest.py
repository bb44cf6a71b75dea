"""Two versions of the tiny bundle, packed."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.pack import pack
from tests import versions


@pytest.fixture(scope="session")
def releases(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """1.0.0 and 2.0.0; their quality cards are large enough for rsync."""
    folder = tmp_path_factory.mktemp("releases")
    made = {
        version: versions.another(bundle, folder / version, version, note="a card " * 10_000)
        for version in ("1.0.0", "2.0.0")
    }
    return [pack(copy, folder / f"tiny-{version}.edge") for version, copy in made.items()]
