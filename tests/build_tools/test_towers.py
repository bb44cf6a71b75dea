"""The document tower and its resumable encoding."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from build_tools import shards, towers
from build_tools.errors import BuildError, ModelError
from build_tools.recipe_training import TeacherSpec
from build_tools.shards import one_by_one
from build_tools.towers import Tower, encode_resumably
from edge_runtime.bundle import sha256

TEXTS = [f"text number {number}" for number in range(25)]


@pytest.fixture(scope="module")
def tower(teacher_folder: Path) -> Tower:
    """The tiny teacher."""
    return Tower.load(TeacherSpec(str(teacher_folder)))


@pytest.fixture(scope="module")
def prompted_folder(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with prompts of its own, one of them its default."""
    folder = Path(shutil.copytree(teacher_folder, tmp_path_factory.mktemp("prompted") / "model"))
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text("utf-8"))
    settings |= {
        "prompts": {"query": "wheel: ", "passage": "soil: "},
        "default_prompt_name": "query",
    }
    path.write_text(json.dumps(settings), "utf-8")
    return folder


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten texts a shard, so that a test needs few."""
    monkeypatch.setattr(shards, "SHARD", 10)


def lengths(texts: Sequence[str]) -> NDArray[np.float32]:
    """Stands in for a model: two numbers that depend on the text alone."""
    return np.array([[len(text), sum(text.encode())] for text in texts], np.float32)


def nothing(_: int) -> None:
    """Reports to nobody."""


class Recorder:
    """An encoder that remembers what it was given and can be told to fail."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.batches: list[list[str]] = []
        self._fail_at = fail_at

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.batches) == self._fail_at:
            raise KeyboardInterrupt
        self.batches.append(list(texts))
        return lengths(texts)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_interrupted_after_any_shard(tmp_path: Path, stop: int) -> None:
    """The second call computes the rest only, and tells of all texts as done."""
    with pytest.raises(KeyboardInterrupt):
        encode_resumably(TEXTS, 25, tmp_path, spread=one_by_one(Recorder(stop)), advance=nothing)
    assert len(list(tmp_path.glob("shard-*.npy"))) == stop
    second = Recorder()
    told: list[int] = []
    vectors = encode_resumably(iter(TEXTS), 25, tmp_path, spread=one_by_one(second), advance=told.append)
    assert second.batches == [TEXTS[0:10], TEXTS[10:20], TEXTS[20:25]][stop:]
    assert told == [10, 10, 5]
    assert np.array_equal(vectors, lengths(TEXTS))
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.npy"]


@pytest.mark.usefixtures("small_shards")
def test_finished_vectors_are_mapped(tmp_path: Path) -> None:
    """Nothing is read from the stream, nothing computed, and nobody can write to them."""
    encode_resumably(TEXTS, 25, tmp_path, spread=one_by_one(lengths), advance=nothing)

    def unread() -> Iterator[str]:
        raise AssertionError("read")
        yield ""

    vectors = encode_resumably(unread(), 25, tmp_path, spread=one_by_one(Recorder(0)), advance=nothing)
    assert isinstance(vectors, np.memmap)
    assert not vectors.flags.writeable


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("count", [0, 5, 24, 26, 40])
def test_another_number_of_texts_than_expected(tmp_path: Path, count: int) -> None:
    """An error, not an array with holes."""
    with pytest.raises(BuildError, match=f"expected {count} items to compute; found 25"):
        encode_resumably(TEXTS, count, tmp_path, spread=one_by_one(lengths), advance=nothing)
    assert not (tmp_path / "vectors.npy").exists()


def test_vectors_have_unit_length(tower: Tower) -> None:
    """Documents and queries alike; without prompts they are the same."""
    documents, queries = tower.encode_documents(TEXTS), tower.encode_queries(TEXTS)
    assert documents.dtype == np.float32
    assert documents.shape == (25, tower.ndim) == (25, 32)
    assert np.linalg.norm(documents, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(documents, queries)


def test_count_tokens(tower: Tower) -> None:
    """Word pieces without the special ones, beyond the model's own limit too."""
    assert tower.count_tokens([]) == []
    assert tower.count_tokens(["", "flour", "flour water salt", "flour " * 500]) == [0, 1, 3, 500]


def test_unknown_words(tower: Tower) -> None:
    """By characters; spaces are none of them."""
    assert tower.unknown([]) == 0
    assert tower.unknown(["flour water"]) == 0
    assert tower.unknown(["flour", "ไทย"]) == 3 / 8


def test_a_model_without_layers(tmp_path: Path) -> None:
    """Is a tower like any other."""
    words = Tokenizer(WordLevel({"[UNK]": 0, "wheel": 1, "chain": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    embedding = StaticEmbedding(words, embedding_weights=np.eye(3, dtype=np.float32))
    SentenceTransformer(modules=[embedding], device="cpu").save(str(tmp_path / "static"))
    static = Tower.load(TeacherSpec(str(tmp_path / "static")))
    assert static.count_tokens(["wheel chain wheel", ""]) == [3, 0]
    assert static.encode_queries(["wheel chain"])[0] == pytest.approx([0, 0.5**0.5, 0.5**0.5], abs=1e-6)


def test_its_names(tower: Tower, teacher_folder: Path) -> None:
    """The manifest's says nothing of this machine; the recipe's is as it was given."""
    assert (tower.name, tower.licence) == ("model", "unknown")
    assert tower.source == str(teacher_folder)


def test_the_models_own_prompts(prompted_folder: Path, tower: Tower) -> None:
    """Are put before queries and documents."""
    prompted = Tower.load(TeacherSpec(str(prompted_folder)))
    assert (prompted.query_prompt, prompted.document_prompt) == ("wheel: ", "soil: ")
    assert prompted.encode_queries(["chain"]) == pytest.approx(
        tower.encode_queries(["wheel: chain"]), abs=1e-6
    )
    assert prompted.encode_documents(["chain"]) == pytest.approx(
        tower.encode_documents(["soil: chain"]), abs=1e-6
    )
    assert prompted.digest != tower.digest


def test_the_recipes_prompts_win(prompted_folder: Path, tower: Tower) -> None:
    """Even an empty one, which must not fall back to the model's default prompt."""
    spec = TeacherSpec(str(prompted_folder), query_prompt="", document_prompt="root: ")
    prompted = Tower.load(spec)
    assert prompted.encode_queries(["chain"]) == pytest.approx(tower.encode_queries(["chain"]), abs=1e-6)
    assert prompted.encode_documents(["chain"]) == pytest.approx(
        tower.encode_documents(["root: chain"]), abs=1e-6
    )


def test_a_tower_for_each_side(teacher_folder: Path, tmp_path: Path) -> None:
    """Queries and documents take their own ways through a routed model."""
    towers_of_one = {
        side: [Transformer(str(teacher_folder.parent / "base")), Pooling(32, pooling_mode=mode)]
        for side, mode in (("query", "cls"), ("document", "mean"))
    }
    router = Router(towers_of_one, default_route=None)
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "routed"))
    routed = Tower.load(TeacherSpec(str(tmp_path / "routed")))
    plain = Tower.load(TeacherSpec(str(teacher_folder)))
    assert routed.encode_documents(["chain"]) == pytest.approx(plain.encode_documents(["chain"]), abs=1e-6)
    assert routed.encode_queries(["chain"]) != pytest.approx(plain.encode_queries(["chain"]), abs=1e-2)


def test_digest(tower: Tower, teacher_folder: Path, tmp_path: Path) -> None:
    """The same for the same model elsewhere; another one for other prompts or another length limit."""
    elsewhere = shutil.copytree(teacher_folder, tmp_path / "model")
    assert Tower.load(TeacherSpec(str(elsewhere))).digest == tower.digest
    assert Tower.load(TeacherSpec(str(elsewhere), query_prompt="q: ")).digest != tower.digest
    for path in elsewhere.glob("*config*.json"):
        settings = json.loads(path.read_text("utf-8"))
        if settings.pop("max_seq_length", None):
            path.write_text(json.dumps(settings | {"max_seq_length": 40}), "utf-8")
            assert Tower.load(TeacherSpec(str(elsewhere))).digest != tower.digest


def test_vectors_that_are_not_finite(tower: Tower, teacher_folder: Path) -> None:
    """A broken model is named before its vectors reach anything."""
    import torch

    broken = Tower.load(TeacherSpec(str(teacher_folder)))
    with torch.no_grad():
        broken.model[0].auto_model.embeddings.LayerNorm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="model: gives vectors that are not finite"):
        broken.encode_queries(["chain"])


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package that the packaged model is looked for in."""
    folder = tmp_path / "fake_packaged_model" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(towers, "PACKAGED_MODULE", "fake_packaged_model")
    return folder


def test_a_packaged_model_of_other_bytes(fake_package: Path) -> None:
    """Is refused by its sha256, before any library reads it."""
    with pytest.raises(ModelError, match=r"model\.safetensors: sha256 no file.*Reinstall"):
        Tower.load(TeacherSpec())
    (fake_package / "model.safetensors").write_bytes(b"poisoned")
    with pytest.raises(ModelError, match=r"sha256 [0-9a-f]{12}…; the official weights have 53aa51172d14"):
        Tower.load(TeacherSpec())


def test_a_packaged_model_that_does_not_load(fake_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right weights without their configuration give the same clear error as any other model."""
    weights = fake_package / "model.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(towers, "PACKAGED_SHA256", sha256(weights))
    with pytest.raises(ModelError, match=r"teacher\.model packaged: cannot be loaded"):
        Tower.load(TeacherSpec())


def test_no_packaged_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs it."""
    monkeypatch.setattr(towers, "PACKAGED_MODULE", "no_such_package_anywhere")
    with pytest.raises(ModelError, match=r"pip install 'edge-runtime\[build\]'"):
        Tower.load(TeacherSpec())


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    """One error of ours, with what would do."""
    (tmp_path / "readme.txt").write_text("not a model", "utf-8")
    with pytest.raises(ModelError, match=r"teacher\.model .*: cannot be loaded .*Give `packaged`"):
        Tower.load(TeacherSpec(str(tmp_path)))


def test_a_hub_name_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"teacher\.model nobody/nothing: cannot be loaded") as caught:
        Tower.load(TeacherSpec("nobody/nothing"))
    assert len(str(caught.value).splitlines()) == 1
