"""Queries written by a model: a tiny random one, made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools.distill import generator
from build_tools.distill.drawing import MAX_CHARACTERS
from build_tools.distill.generator import Generator, write_resumably
from build_tools.errors import BuildError, ModelError

WORD_LIST = "flour water salt yeast dough oven bake knead crust loaf rise how what is the bread"
WORDS = WORD_LIST.split()
PASSAGES = [f"{WORDS[n % 12]} {WORDS[(n * 5 + 1) % 12]} {WORDS[n % 7]} {n}" for n in range(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of one random layer, with a word-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("generator")
    vocabulary = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(vocabulary),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Generator:
    """The loaded model."""
    return Generator.load(str(folder))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few passages in a shard and a batch, and short queries."""
    monkeypatch.setattr(generator, "SHARD", 8)
    monkeypatch.setattr(generator, "BATCH", 3)
    monkeypatch.setattr(generator, "MAX_QUERY_TOKENS", 6)


def write(model: Generator, directory: Path, *, count: int = 30, seed: int = 0) -> tuple[str, ...]:
    """Queries for the passages."""
    directory.mkdir(exist_ok=True)
    return write_resumably(
        PASSAGES, count, directory, generator=model, seed=seed, advance=lambda amount: None
    )


def test_writing(model: Generator, tmp_path: Path) -> None:
    """Words of the vocabulary; the same for the same seed; the caller's own random numbers are left alone."""
    import torch

    state = torch.random.get_rng_state()
    written = write(model, tmp_path / "one")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert 20 < len(written) <= 30
    assert len(set(written)) == len(written)
    assert {word for query in written for word in query.split()} <= {*WORDS, "<unk>"}
    assert write(model, tmp_path / "two") == written
    assert write(model, tmp_path / "three", seed=1) != written


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_interrupted_after_any_shard(
    model: Generator, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run writes the rest only, and ends with what an uninterrupted one gives."""
    whole = write(model, tmp_path / "whole")
    calls: list[int] = []
    genuine = Generator.write

    def failing(self: Generator, texts: list[str], each: int, *, seed: int) -> list[str]:
        if len(calls) == stop:
            raise KeyboardInterrupt
        calls.append(len(texts))
        return genuine(self, texts, each, seed=seed)

    monkeypatch.setattr(Generator, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        write(model, tmp_path / "part")
    assert len(list((tmp_path / "part").iterdir())) == stop
    stop = -1
    calls.clear()
    done = len(list((tmp_path / "part").iterdir()))
    assert write(model, tmp_path / "part") == whole
    assert calls == [8, 8, 8, 6][done:]


def test_progress(model: Generator, tmp_path: Path) -> None:
    """Finished shards count as well."""
    told: list[int] = []
    for _ in range(2):
        write_resumably(PASSAGES, 30, tmp_path, generator=model, seed=0, advance=told.append)
    assert told == [8, 8, 8, 6] * 2


def test_more_queries_than_passages(model: Generator, tmp_path: Path) -> None:
    """Each passage gets several, up to a limit."""
    told: list[int] = []
    written = write_resumably(PASSAGES[:5], 12, tmp_path, generator=model, seed=0, advance=told.append)
    assert told == [15]
    assert 5 < len(written) <= 12
    assert sum(told) <= 5 * generator.MOST_EACH


def test_fewer_queries_than_passages(model: Generator, tmp_path: Path) -> None:
    """A random choice of passages gets one each."""
    assert len(write(model, tmp_path, count=4)) <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["queries-000000.json"]


def test_odd_passages(model: Generator, tmp_path: Path) -> None:
    """Blank ones and ones far beyond what the model reads."""
    odd = ["", "bread " * 5000, "\u2028", "🍞"]
    written = write_resumably(odd, 8, tmp_path, generator=model, seed=0, advance=lambda amount: None)
    assert all(query.strip() and len(query) <= MAX_CHARACTERS for query in written)


def test_no_passages(model: Generator, tmp_path: Path) -> None:
    """There is nothing to write queries for."""
    with pytest.raises(BuildError, match="expected passages to write queries for; found none"):
        write_resumably([], 8, tmp_path, generator=model, seed=0, advance=lambda amount: None)


def test_digest(folder: Path, model: Generator) -> None:
    """The same model has the same identity."""
    assert Generator.load(str(folder)).digest == model.digest


def test_models_that_do_not_fit(tmp_path: Path, teacher_folder: Path) -> None:
    """A missing folder, and a model that encodes only: one error that says what is wanted."""
    for name in (str(tmp_path / "missing"), str(teacher_folder)):
        with pytest.raises(
            ModelError, match=r"queries\.generator .* cannot be loaded .*sequence-to-sequence"
        ):
            Generator.load(name)
