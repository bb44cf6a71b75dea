"""The scripts in benchmarks/, which import each other as top-level modules, and what they work on."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bench import latency as bench
from edge_runtime.bench.report import Report

FOLDER = Path(__file__).parents[2] / "benchmarks"

LAYERS2 = "{id: layers2, layers: [0, 2], max_tokens: 32}"
STATIC = "{id: static, kind: static, max_tokens: 32}"

TEST_QUERIES = {"bread": "yeast dough oven", "sailing": "anchor rope", "clinic": "pulse and fever"}
TRAIN_QUERIES = {
    "bread": ("knead the crust", "a loaf of flour"),
    "bicycle": ("brake and chain", "which saddle for a ride"),
    "garden": ("compost for a leaf", "when to prune a root"),
    "radio": ("antenna noise", "speaker without static"),
}


@pytest.fixture(scope="session")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script by name, as Python finds it when another script there runs."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="session")
def beir(corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus in BEIR layout, with three judged queries and eight to train on. Do not change it."""
    folder = tmp_path_factory.mktemp("data") / "tiny-beir"
    (folder / "qrels").mkdir(parents=True)
    documents = [json.loads(line) for line in corpus_file.read_text("utf-8").splitlines()]
    _write_lines(
        folder / "corpus.jsonl",
        [{"_id": row["id"], "title": row["title"], "text": row["text"]} for row in documents],
    )
    test = {f"test-{topic}": (topic, text) for topic, text in TEST_QUERIES.items()}
    train = {
        f"train-{topic}-{number}": (topic, text)
        for topic, texts in TRAIN_QUERIES.items()
        for number, text in enumerate(texts)
    }
    queries = [{"_id": query, "text": text} for query, (_, text) in (test | train).items()]
    _write_lines(folder / "queries.jsonl", queries)
    for split, judged in (("test", test), ("train", train)):
        lines = [
            f"{query}\t{topic}-{number}\t1\n" for query, (topic, _) in judged.items() for number in range(8)
        ]
        (folder / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "".join(lines), "utf-8"
        )
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A copy of the real RESULTS.md."""
    return Path(shutil.copy(FOLDER / "RESULTS.md", tmp_path))


@pytest.fixture(scope="session")
def tiny(teacher_folder: Path) -> list[str]:
    """Words of the command line that make the real recipe a matter of seconds."""
    changes = {
        "teacher.model": teacher_folder,
        "encoders": f"[{LAYERS2}, {STATIC}]",
        "queries.generated": 400,
        "queries.held_out": 32,
        "training.steps": 20,
        "training.batch_size": 16,
        "gates.cosine_mean": 0.1,
        "gates.cosine_min": 0.1,
        "gates.index_recall": 0.1,
    }
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="session")
def report(bundle: Path) -> Report:
    """Twenty searches on this machine."""
    return bench.run(bundle, n=20, warm_up=0, cold_starts=0)


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device: matplotlib is not installed."""
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
