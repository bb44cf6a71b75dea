"""The manifest of a draft."""

from __future__ import annotations

from pathlib import Path

from build_tools import assemble, quality, stamp


def test_every_file_is_listed(bundle: Path) -> None:
    """The manifest names all files but itself, and both licences."""
    from edge_runtime import manifest as manifests

    manifest = manifests.read(bundle / manifests.FILENAME)
    found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {entry.path for entry in manifest.files} == found - {manifests.FILENAME}
    assert [licence.licence for licence in manifest.licences] == ["CC0-1.0", "unknown"]
    assert manifest.encoders[0].tokenizer == assemble.TOKENIZER


def test_encoders_in_the_manifest(bundle: Path) -> None:
    """Each with its kind, its files, what it costs and how well it answers."""
    from edge_runtime import manifest as manifests

    manifest, card = manifests.read(bundle / manifests.FILENAME), quality.read(bundle)
    layers, static = manifest.encoders
    assert (layers.kind, layers.path, layers.layers) == ("onnx", "encoders/layers2/model.onnx", 2)
    assert layers.members == ("encoders/layers2/model.onnx", "encoders/layers2/weights.bin")
    assert (static.kind, static.path, static.layers) == ("static", "encoders/static", 0)
    assert static.writer.keys() == {"torch", "numpy", "tokenizers"}
    for spec in (layers, static):
        row = card.through_index(spec.id)
        assert row is not None
        assert spec.quality is not None
        assert (spec.quality.ndcg_10, spec.quality.retention) == (row.ndcg_10, row.retention)
        assert spec.cost is not None
        assert spec.cost.bytes == sum((bundle / path).stat().st_size for path in spec.members)
        assert spec.cost.macs > 0
    assert manifest.compatible.runtime == stamp.OLDEST_RUNTIME
