"""The table of sizes, made of the tiny set's sentences and a tiny bundle's encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file with a place for the tables."""
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- scale -->\n<!-- /scale -->\n", "utf-8")
    return path


def scale(script: Script, results: Path, *arguments: object) -> int:
    """The exit status."""
    out = results.parent / "out"
    options = [
        "--results",
        results,
        "--out",
        out,
        "--sizes",
        "40,400",
        "--encoders",
        "static",
        "--recall",
        "0.9",
    ]
    return script("scale").main(list(map(str, [*options, *arguments, "--recall", "0.9"])))


def test_a_line_for_each_size_and_strategy(
    script: Script, bundle: Path, beir: Path, teacher_folder: Path, results: Path
) -> None:
    """With what was found and what it took; the words have a table of their own, and there is a picture."""
    assert scale(script, results, bundle, beir, "--teacher", teacher_folder) == 0
    lines = [
        line.strip("| ").split(" | ") for line in results.read_text("utf-8").splitlines() if line[:1] == "|"
    ]
    header, dense = lines[0], lines[2:10]
    assert [line[:3] for line in dense] == [
        [size, strategy, "static"]
        for size in ("40", "400")
        for strategy in ("exact", "hnsw", "two-stage", "pq")
    ]
    for line in dense:
        figures = dict(zip(header, line, strict=True))
        assert float(figures["recall@10"]) >= 0.85
        assert 0 < float(figures["p50 ms"]) <= float(figures["p99 ms"])
        assert float(figures["peak MB"]) > float(figures["private MB"]) > 0
    assert [line[0] for line in lines[12:]] == ["40", "400"]
    assert results.with_name("scale.png").read_bytes()[:4] == b"\x89PNG"


def test_one_size_is_no_curve(
    script: Script, bundle: Path, beir: Path, teacher_folder: Path, results: Path
) -> None:
    """No picture, and no link to one."""
    options = ["--teacher", teacher_folder, "--sizes", "40", "--strategies", "exact"]
    assert scale(script, results, bundle, beir, *options) == 0
    assert "![" not in results.read_text("utf-8")
    assert not results.with_name("scale.png").exists()


def test_another_teachers_bundle(
    script: Script, bundle: Path, beir: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its vectors would lie in another space."""
    assert scale(script, results, bundle, beir) == 1
    assert "has 384 dimensions" in capsys.readouterr().err


def test_an_encoder_that_is_none_of_the_bundle(
    script: Script, bundle: Path, beir: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is noticed before anything is encoded."""
    assert scale(script, results, bundle, beir, "--encoders", "layers9") == 1
    assert "layers9" in capsys.readouterr().err


def real(script: Script, count: int) -> Any:
    """Made-up sentences around a few centres."""
    chance = np.random.default_rng(0)
    vectors = chance.standard_normal((10, 16))[chance.integers(0, 10, count)]
    vectors = vectors + 0.3 * chance.standard_normal((count, 16))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return script("scale_corpus").Real([f"one{n} two three{n} four" for n in range(count)], units)


def test_resampled_vectors(script: Script, tmp_path: Path) -> None:
    """The real ones first; the others as near to one of these as they are to each other."""
    known = real(script, 500)
    made = script("scale_corpus").vectors(known, 1500, tmp_path / "vectors.npy")
    assert np.array_equal(made[:500], known.vectors)
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(1500), abs=1e-5)
    nearest = (made[500:] @ known.vectors.T).max(axis=1)
    assert np.median(nearest) == pytest.approx(known.nearness(), abs=0.05)
    assert nearest.max() < 0.9999


def test_resampled_texts(script: Script) -> None:
    """Halves of two sentences each, the same every time."""
    known = real(script, 5)
    texts = list(script("scale_corpus").texts(known, 9))
    assert texts[:5] == known.texts
    assert all(text.startswith("one") and text.endswith("four") for text in texts[5:])
    assert texts == list(script("scale_corpus").texts(known, 9))


def test_an_interrupted_encoding_goes_on(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the shards that are there."""
    module = script("scale_corpus")
    monkeypatch.setattr(module, "_SHARD", 2)
    asked: list[str] = []

    class Tower:
        def encode_documents(self, texts: list[str]) -> Any:
            if len(asked) == 4 and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            asked.extend(texts)
            return np.array([[float(text)] for text in texts], np.float32)

    interrupted: list[bool] = []
    texts = [str(number) for number in range(7)]
    from build_tools.progress import Progress

    with pytest.raises(KeyboardInterrupt):
        module.encode(texts, Tower(), tmp_path, Progress())
    encoded = module.encode(texts, Tower(), tmp_path, Progress())
    assert asked == texts
    assert encoded.vectors[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
