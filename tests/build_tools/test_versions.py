"""Which version comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import versions
from build_tools.errors import BuildError


def test_numbers_are_compared_as_numbers() -> None:
    """Ten is more than nine."""
    assert versions.following("1.0.9") == "1.0.10"
    assert versions.is_above("1.0.10", "1.0.9")
    assert not versions.is_above("1.0.9", "1.0.9")


def test_what_is_asked_for() -> None:
    """Goes before what would follow."""
    assert versions.rising("2.0.0", "1.9.9") == "2.0.0"
    assert versions.rising(None, "1.9.9") == "1.9.10"


def test_what_was_made_before(tmp_path: Path) -> None:
    """A build that went back to the recipe's version does not have the next update repeat one."""
    for name in (
        "tiny-1.0.9.edge",
        "tiny-1.0.10.edge",
        "tiny-x.edge",
        "tiny-2.0.0.txt",
        "tiny-more-3.0.0.edge",
    ):
        (tmp_path / name).touch()
    found = versions.made(tmp_path, "tiny")
    assert set(found) == {"1.0.9", "1.0.10"}
    assert versions.rising(None, "1.0.0", found) == "1.0.11"
    assert versions.rising("1.0.1", "1.0.0", found) == "1.0.1"
    with pytest.raises(BuildError, match=r"^version 1\.0\.9: was made here before, .* such as 1\.0\.11$"):
        versions.rising("1.0.9", "1.0.0", found)


def test_the_last_number_of_all() -> None:
    """Nine digits are as many as a manifest may have."""
    with pytest.raises(BuildError, match=r"version 1\.0\.999999999: its last number cannot rise"):
        versions.following("1.0.999999999")
