"""Which version comes next."""

from __future__ import annotations

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


def test_the_last_number_of_all() -> None:
    """Nine digits are as many as a manifest may have."""
    with pytest.raises(BuildError, match=r"version 1\.0\.999999999: its last number cannot rise"):
        versions.following("1.0.999999999")
