"""When a manifest says that it was made."""

from __future__ import annotations

import pytest

from build_tools.errors import BuildError
from build_tools.stamp import created


def test_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """The given second in UTC, or now."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert created() == "1970-01-02T00:00:00Z"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert created() > "2025"


@pytest.mark.parametrize("value", ["abc", "1.5", "9" * 30])
def test_a_wrong_date(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One clear error."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(
        BuildError, match=f"SOURCE_DATE_EPOCH: expected whole seconds since 1970; found '{value}'"
    ):
        created()
