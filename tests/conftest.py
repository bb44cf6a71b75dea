"""Small real objects that many tests share: a tiny teacher, a tiny corpus, and the bundle built from them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # before torch is imported, whose threads would fight for the processors
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A gate that draws other examples each time fails for changes that did nothing wrong. To look for new ones:
# pytest --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

TOPICS = {
    "bread": "flour water salt yeast dough oven bake knead crust loaf rise",
    "bicycle": "wheel chain pedal brake gear tyre spoke saddle frame pump ride",
    "garden": "soil seed water sun plant root leaf prune compost flower weed",
    "sailing": "wind sail mast rope anchor tide harbour keel rudder knot deck",
    "radio": "antenna signal wave tuner battery speaker volume static band noise dial",
    "clinic": "fever dose wound bandage pulse nurse vaccine tablet clean gloves rest",
}
PATTERNS = (
    "How to use {0} with {1} and {2}. First take the {3}, then check the {4}.",
    "A {0} needs {1}. Without {2} the {3} will fail. Keep {4} near.",
    "Repair of {0}: remove {1}, clean {2}, put back {3}. Test {4} last.",
    "The {0} and the {1} work together. Error E-10{5} means that {2} is low.",
)


def corpus_lines() -> list[dict[str, object]]:
    """48 short documents on six topics, two passages' worth each at most."""
    lines: list[dict[str, object]] = []
    for topic, words in TOPICS.items():
        pool = words.split()
        for number in range(8):
            chosen = [pool[(number * 3 + step) % len(pool)] for step in range(5)]
            pattern = PATTERNS[number % len(PATTERNS)]
            text = " ".join(pattern.format(*chosen[shift:], *chosen[:shift], number) for shift in range(3))
            lines.append(
                {"id": f"{topic}-{number}", "title": f"{topic} {chosen[0]}", "text": text, "section": topic}
            )
    return lines


@pytest.fixture(scope="session", autouse=True)
def _no_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have calibrated bundles; these see none of it."""
    before = os.environ.get("EDGE_RUNTIME_HOME")
    os.environ["EDGE_RUNTIME_HOME"] = str(tmp_path_factory.mktemp("empty-home"))
    yield
    if before is None:
        del os.environ["EDGE_RUNTIME_HOME"]
    else:
        os.environ["EDGE_RUNTIME_HOME"] = before


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus as a jsonl file."""
    path = tmp_path_factory.mktemp("corpus") / "documents.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in corpus_lines()), "utf-8")
    return path


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of two narrow random layers, with a word-piece vocabulary of its own."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("teacher")
    words = sorted(
        {word.strip(".,:").lower() for line in corpus_lines() for word in str(line["text"]).split()}
    )
    pieces = [*"abcdefghijklmnopqrstuvwxyz0123456789-.:,?", *words]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder / "base")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder / "base")
    model = SentenceTransformer(str(folder / "base"), device="cpu")  # adds mean pooling
    model.max_seq_length = 96
    model.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory, corpus_file: Path, teacher_folder: Path) -> Path:
    """A recipe that builds the tiny corpus in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(
        f"""\
name: tiny
licence: CC0-1.0
corpus: {{source: jsonl, path: {corpus_file}, fields: {{metadata: [section]}}}}
chunk: {{max_tokens: 48, overlap_tokens: 12}}
teacher: {{model: {teacher_folder}}}
encoders:
  - {{id: layers2, layers: [0, 2], max_tokens: 32}}
  - {{id: static, kind: static, max_tokens: 32, batch_size: 64}}
queries: {{held_out: 32}}
training: {{steps: 60, batch_size: 16, learning_rate: 0.002, train_embeddings: true}}
gates: {{cosine_mean: 0.98, cosine_min: 0.9, index_recall: 0.9}}
golden: 4
""",
        "utf-8",
    )
    return path


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory, recipe_file: Path) -> Path:
    """The build folder of the tiny bundle, as `edge-build build` leaves it. Do not change it."""
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    out = tmp_path_factory.mktemp("build")
    return build(recipe_yaml.load(recipe_file), out, Progress()).bundle.parent


@pytest.fixture(scope="session")
def bundle(built_home: Path) -> Path:
    """The tiny bundle's directory. Do not change it; `bundle_copy` is yours to damage."""
    return built_home / "bundle"


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory, teacher_folder: Path) -> Path:
    """A sentence-transformers CrossEncoder of two narrow random layers, with the teacher's tokenizer."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    tokenizer = AutoTokenizer.from_pretrained(teacher_folder)
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    CrossEncoder(str(folder / "base"), max_length=64, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="session")
def reranked_home(
    tmp_path_factory: pytest.TempPathFactory, built_home: Path, recipe_file: Path, cross_encoder_folder: Path
) -> Path:
    """The build folder of the tiny bundle with a reranker. Do not change it."""
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    out = tmp_path_factory.mktemp("reranked")
    shutil.copytree(built_home, out / "tiny")  # its stages
    overrides = [f"reranker={{model: {cross_encoder_folder}, depth: 6}}"]
    return build(recipe_yaml.load(recipe_file, overrides), out, Progress()).bundle.parent


@pytest.fixture(scope="session")
def reranked_bundle(reranked_home: Path) -> Path:
    """The tiny bundle with a reranker of depth 6. Do not change it."""
    return reranked_home / "bundle"


@pytest.fixture
def bundle_copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may change."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that only the first of several test processes makes; the others wait for it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def two_engines(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The tiny bundle with its encoders for both engines. Do not change it."""
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    def make(folder: Path) -> None:  # its teacher, too, is made by one process alone
        recipe_file: Path = request.getfixturevalue("recipe_file")
        build(recipe_yaml.load(recipe_file, ["compile.engines=[onnx, tflite]"]), folder, Progress())

    return _made_once(tmp_path_factory, "two-engines", make) / "tiny/bundle"


@pytest.fixture(scope="session")
def product_coded(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The tiny bundle with product codes for its passages. Do not change it."""
    from build_tools import recipe_yaml
    from build_tools.build import build
    from build_tools.progress import Progress

    def make(folder: Path) -> None:
        recipe_file: Path = request.getfixturevalue("recipe_file")
        build(recipe_yaml.load(recipe_file, ["index.strategy=pq"]), folder, Progress())

    return _made_once(tmp_path_factory, "product-coded", make) / "tiny/bundle"
