"""What `edge_runtime.open` was asked for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime.errors import BundleError, QueryError
from edge_runtime.source import Source
from edge_runtime.store.install import install


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


def test_a_relative_path_keeps_its_meaning(
    bundle: Path, bundle_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process goes to another directory, which may even have one of that name."""
    monkeypatch.chdir(bundle_copy.parent)
    source = Source.of(bundle_copy.name)
    before = source.identity()
    other = tmp_path / "other"
    shutil.copytree(bundle, other / bundle_copy.name)
    monkeypatch.chdir(other)
    assert source.identity() == before == Source.of(bundle_copy).identity() is not None
    parts = source.open()
    assert parts.bundle.root == bundle_copy
    parts.close()


def test_a_name_keeps_its_meaning(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process comes to a directory that has a folder of that name."""
    install(bundle, self_test=None)
    source = Source.of("tiny")
    before = source.identity()
    (tmp_path / "elsewhere/tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert source.identity() == before is not None
    parts = source.open()
    assert parts.bundle.manifest.name == "tiny"
    parts.close()
