"""Bundles of several versions, as transport files, and a device that is empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_tools.pack import pack
from tests import versions

Release = Callable[..., Path]


@pytest.fixture(scope="session")
def release(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Packs the tiny bundle under another version, name or quality card; each is made once."""
    made: dict[tuple[str, str, str], Path] = {}

    def packed(version: str, *, name: str = "tiny", card: str = "") -> Path:
        key = (version, name, card)
        if key not in made:
            folder = tmp_path_factory.mktemp("release")
            copy = versions.another(bundle, folder / "bundle", version, name=name, note=card)
            made[key] = pack(copy, folder / f"{name}-{version}.edge")
        return made[key]

    return packed
