"""A device's state, and bundles with a static encoder, made by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from numpy.typing import NDArray

from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.manifest import EncoderSpec, FileEntry

AddStatic = Callable[..., EncoderSpec]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's device keeps its state."""
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _arrays(rows: int, bigrams: int, ndim: int) -> dict[str, NDArray[Any]]:
    """A random table with bigrams of the first few tokens."""
    chance = np.random.default_rng(7)
    vocabulary = rows - bigrams
    keys = np.sort(chance.choice(vocabulary**2, bigrams, replace=False))
    return {
        "table.npy": chance.integers(-127, 128, (rows, ndim)).astype(np.int8),
        "scales.npy": chance.uniform(0.001, 0.01, rows).astype(np.float32),
        "bigrams.npy": keys.astype(np.int64),
    }


def _entry(bundle: Path, member: str) -> FileEntry:
    return FileEntry(member, (bundle / member).stat().st_size, sha256(bundle / member))


def _add_static(
    bundle: Path, arrays: Mapping[str, NDArray[Any]] | None = None, *, first: bool = False, **changes: Any
) -> EncoderSpec:
    """Writes a static encoder into a bundle and lists it, before or behind the encoders that it has.

    `arrays` replace those of a sound encoder; `changes` are fields of its entry in the manifest.
    """
    manifest = manifests.read(bundle / manifests.FILENAME)
    model = manifest.encoders[0]
    fields: dict[str, Any] = {"id": "static", "kind": "static", "path": "encoders/static", "layers": 0}
    fields |= {"quality": None, "cost": None, "weights": None}  # the model's, not this one's
    spec = replace(model, **(fields | changes))
    folder = bundle / spec.path
    folder.mkdir()
    vocabulary = tokenizers.Tokenizer.from_file(str(bundle / spec.tokenizer)).get_vocab_size()
    for name, array in (_arrays(vocabulary + 20, 20, spec.ndim) | dict(arrays or {})).items():
        np.save(folder / name, array)
    encoders = (spec, *manifest.encoders) if first else (*manifest.encoders, spec)
    files = [_entry(bundle, member) for member in spec.members]
    changed = replace(manifest, encoders=encoders, files=(*manifest.files, *files))
    (bundle / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return spec


@pytest.fixture(scope="session")
def bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with its first encoder alone: tests put others beside it. Do not change it."""
    copy = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("single") / "bundle"))
    manifest = manifests.read(copy / manifests.FILENAME)
    dropped = [member for encoder in manifest.encoders[1:] for member in encoder.members]
    for member in dropped:
        (copy / member).unlink()
    files = tuple(entry for entry in manifest.files if entry.path not in dropped)
    changed = replace(manifest, encoders=manifest.encoders[:1], files=files)
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    shutil.rmtree(copy / "encoders" / "static")
    return copy


@pytest.fixture(scope="session")
def add_static() -> AddStatic:
    """`_add_static`, for bundles that a test may change."""
    return _add_static


@pytest.fixture(scope="session")
def ladder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a static encoder behind its own. Do not change it."""
    copy = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("ladder") / "bundle"))
    _add_static(copy)
    return copy


@pytest.fixture(scope="session")
def static_bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a static encoder before its own. Do not change it."""
    copy = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("static") / "bundle"))
    _add_static(copy, first=True)
    return copy


@pytest.fixture
def demanding(ladder: Path, tmp_path: Path) -> Path:
    """A copy of `ladder` whose first encoder asks for a processor with int8 dot product."""
    copy = Path(shutil.copytree(ladder, tmp_path / "demanding"))
    manifest = manifests.read(copy / manifests.FILENAME)
    first = replace(manifest.encoders[0], requires=("dot_product",))
    changed = replace(manifest, encoders=(first, *manifest.encoders[1:]))
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return copy
