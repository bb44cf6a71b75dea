"""Whole builds of unusual recipes: fewer dimensions, other bases, probed layers, labels, no training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

import edge_runtime
from build_tools import balance, quality, recipe_yaml
from build_tools.build import build
from build_tools.errors import BuildError, DataError, GateError
from build_tools.progress import Progress
from edge_runtime import cpu
from edge_runtime import manifest as manifests
from edge_runtime.manifest import Manifest

QUICK = ["training.steps=4", "gates.cosine_min=0", "gates.cosine_mean=0", "gates.index_recall=0"]
ONE = "encoders=[{id: layers2, layers: [0, 2], max_tokens: 32}]"

Make = Callable[..., Path]


@pytest.fixture
def make(recipe_file: Path, tmp_path: Path) -> Make:
    """Builds the tiny recipe with overrides; gives the bundle's directory."""

    def made(*overrides: str) -> Path:
        return build(recipe_yaml.load(recipe_file, [*QUICK, *overrides]), tmp_path / "out", Progress()).bundle

    return made


def manifest_of(bundle: Path) -> Manifest:
    """Its manifest."""
    return manifests.read(bundle / manifests.FILENAME)


def first_hit(bundle: Path, encoder: str) -> str:
    """What the bundle answers with one of its encoders."""
    with edge_runtime.open(bundle, encoder=encoder) as retriever:
        return retriever.search("yeast dough oven", mode="dense")[0].key


@pytest.mark.skipif(cpu.unmet(("dot_product",)) is not None, reason="this processor cannot run what is built")
def test_blockwise_precision_beside_int8(make: Make) -> None:
    """The encoder twice, the second nearer to PyTorch and marked with what it requires."""
    bundle = make(ONE, "compile.precisions=[int8, blockwise]")
    int8, blockwise = manifest_of(bundle).encoders
    assert (int8.id, int8.requires) == ("layers2", ())
    assert (blockwise.id, blockwise.requires) == ("layers2-blockwise", ("dot_product",))
    assert blockwise.path == "encoders/layers2-blockwise/model.onnx"
    first, second = quality.read(bundle).parity
    assert (second.encoder, second.cosine_mean > 0.999) == ("layers2-blockwise", True)
    assert (first.encoder, first.cosine_mean > 0.99) == ("layers2", True)
    assert first_hit(bundle, "layers2-blockwise") == first_hit(bundle, "layers2")


def test_blockwise_precision_on_a_processor_that_cannot_run_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained, for it could not be measured."""
    monkeypatch.setattr(cpu, "describe", lambda: cpu.Cpu("Cortex-A72", ("asimd",), 4))
    with pytest.raises(BuildError, match=r"^compile\.precisions: blockwise needs a processor with int8 dot"):
        make("compile.precisions=[blockwise]")


@pytest.mark.parametrize("method", ["pca", "prefix"])
def test_fewer_dimensions(make: Make, method: str) -> None:
    """Index and encoders have as many as asked for; the card says what they and others cost."""
    bundle = make("teacher.ndim=20", f"teacher.reduction={method}")
    manifest, card = manifest_of(bundle), quality.read(bundle)
    assert manifest.index.ndim == 20
    assert [encoder.ndim for encoder in manifest.encoders] == [20, 20]
    assert [cost.ndim for cost in card.dimensions] == [32, 20, 16, 8]
    assert [cost.bytes_per_vector for cost in card.dimensions] == [32, 20, 16, 8]
    kept = [cost.variance_kept for cost in card.dimensions]
    assert kept == sorted(kept, reverse=True)
    assert (kept[0], card.dimensions[0].recall_10) == (1, 1)
    assert [row.system for row in card.rows[1:3]] == ["teacher, exact float32", "teacher, 20 dimensions"]
    assert card.rows[1].ndcg_10 == 1
    assert card.rows[2].retention == card.rows[2].ndcg_10 < 1
    assert first_hit(bundle, "static")


def narrow(folder: Path, teacher: Path, *, letters_only: bool = False) -> Path:
    """A plain encoder half as wide as the teacher, with its tokenizer, or one without whole words."""
    torch.manual_seed(4)
    shutil.copytree(teacher, folder, ignore=shutil.ignore_patterns("*.safetensors", "1_*", "*modules.json"))
    for name in ("config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink(missing_ok=True)
    config = BertConfig.from_pretrained(teacher, hidden_size=16, intermediate_size=24)
    if letters_only:
        kept = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789-.:,?"]
        kept += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
        (folder / "vocab.txt").write_text("\n".join(kept) + "\n", "utf-8")
        BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
        config.vocab_size = len(kept)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("letters_only", [False, True])
def test_a_base_of_another_width(
    make: Make, teacher_folder: Path, tmp_path: Path, letters_only: bool
) -> None:
    """A narrow student in the teacher's space; its tokenizer is shared only if it is the same."""
    base = narrow(tmp_path / "narrow", teacher_folder, letters_only=letters_only)
    bundle = make(
        f"encoders=[{{id: narrow, base: {base}, layers: [0, 1], max_tokens: 32}}, "
        f"{{id: static, kind: static, base: {base}, max_tokens: 32, batch_size: 64}}, "
        "{id: layers2, layers: [0, 2], max_tokens: 32}]"
    )
    manifest = manifest_of(bundle)
    assert [encoder.ndim for encoder in manifest.encoders] == [32, 32, 32]
    tokenizers = [encoder.tokenizer for encoder in manifest.encoders]
    if not letters_only:
        assert tokenizers == ["tokenizer.json"] * 3
    else:
        assert tokenizers == [f"encoders/{name}.tokenizer.json" for name in ("narrow", "static", "layers2")]
    assert all(first_hit(bundle, encoder.id) for encoder in manifest.encoders)


def test_probed_layers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as asked for; the manifest says how many."""
    monkeypatch.setattr("build_tools.distill.probe.LEAST_STEPS", 2)
    bundle = make(ONE, "encoders.0.probe=2")
    assert manifest_of(bundle).encoders[0].layers == 2
    assert len(list((bundle.parent / "stages").glob("student-*/probe.json"))) == 1
    assert first_hit(bundle, "layers2")


def test_a_pruned_vocabulary(make: Make) -> None:
    """A smaller word table and tokenizer; the card says by how much, and the encoder still answers."""
    bundle = make("encoders.0.prune_vocabulary=true", "corpus.limit=24")  # words of three topics of six
    [pruned] = quality.read(bundle).vocabularies
    assert pruned.encoder == "layers2"
    assert pruned.entries_after < pruned.entries_before
    assert pruned.bytes_saved > 0
    layers, static = manifest_of(bundle).encoders
    assert layers.tokenizer == "encoders/layers2.tokenizer.json"
    smaller, whole = (
        len(json.loads((bundle / encoder.tokenizer).read_text("utf-8"))["model"]["vocab"])
        for encoder in (layers, static)
    )
    assert (smaller, whole) == (pruned.entries_after, pruned.entries_before)
    assert first_hit(bundle, "layers2")


def test_no_steps(make: Make) -> None:
    """All layers and no training: the student is the teacher."""
    bundle = make("encoders.0.layers=null", "encoders.0.steps=0", "encoders.1.steps=0")
    rows = {row.system: row for row in quality.read(bundle).rows}
    assert rows["layers2, exact float32"].ndcg_10 == pytest.approx(1, abs=0.002)
    assert manifest_of(bundle).encoders[0].layers == 3
    curves = (bundle.parent / "curves" / "static.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in curves] == [0]


@pytest.fixture
def beir(corpus_file: Path, tmp_path: Path) -> Path:
    """The tiny corpus in BEIR layout, judged: each topic's words answer for its documents."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    documents = [json.loads(line) for line in corpus_file.read_text("utf-8").splitlines()]
    lines = [json.dumps({"_id": d["id"], "title": d["title"], "text": d["text"]}) for d in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    splits: dict[str, list[str]] = {"train": [], "test": []}
    queries = []
    for number, document in enumerate(documents):
        split = "test" if number % 4 == 0 else "train"
        queries.append(json.dumps({"_id": f"q{number}", "text": f"{document['title']} number {number}"}))
        splits[split].append(f"q{number}\t{document['id']}\t1")
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n", "utf-8")
    for split, rows in splits.items():
        text = "query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text, "utf-8")
    return folder


def test_labels(make: Make, beir: Path) -> None:
    """Both kinds of student learn from labels and the teacher's order; test queries stay unseen."""
    bundle = make(
        f"corpus={{source: beir, path: {beir}}}",
        "queries.labels={source: beir}",
        "training.losses={cosine: 1, contrastive: 0.5, listwise: 0.5}",
        "training.candidates={count: 4, depth: 10, batch_size: 24}",
    )
    card = quality.read(bundle)
    assert (card.basis, card.queries) == ("labels", 12)
    drawn = next((bundle.parent / "stages").glob("queries-*/queries.json")).read_text("utf-8")
    found = json.loads(drawn)
    tests = {f"number {number}" for number in range(0, 48, 4)}
    for text in [*found["training"], *found["held_out"]]:
        assert not any(text.endswith(end) for end in tests if "number" in text)
    assert any(text.endswith("number 1") for text in [*found["training"], *found["held_out"]])
    curve = (bundle.parent / "curves" / "layers2.jsonl").read_text("utf-8").splitlines()
    assert json.loads(curve[-1])["step"] == 4


def test_the_balance_of_fusion(make: Make, beir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learnt from labels where there are enough; what is wrong with them is said under that name."""
    corpus = f"corpus={{source: beir, path: {beir}}}"
    learn = [ONE, corpus, "fusion.labels={source: beir}", "fusion.balance=19.5"]
    fusion = manifest_of(make(*learn)).fusion
    assert (fusion.balance, fusion.method) == (19.5, "weighted")
    assert fusion.cosine_spread > 0
    monkeypatch.setattr(balance, "MIN_QUERIES", 36)
    assert manifest_of(make(*learn, "version=1.0.1")).fusion.balance in balance.BALANCES
    with pytest.raises(DataError, match=r"^fusion\.labels\.split test: the bundle is measured on this split"):
        make(ONE, corpus, "fusion.labels={source: beir, split: test}")


def test_the_gate_of_latency(make: Make) -> None:
    """Measured where the recipe asks for it, for each encoder."""
    with pytest.raises(GateError, match=r"static latency_ratio: 0\.\d{4}, gate at most 0\.0000"):
        make("gates.latency_ratio=1e-9")
    assert make("gates.latency_ratio=1e9").is_dir()


def test_the_gate_of_size(make: Make) -> None:
    """Of all that is in the directory."""
    with pytest.raises(GateError, match=r"size of the bundle: [\d,]+ bytes, gate at most 1,000 bytes"):
        make(ONE, "gates.bytes=1000")
