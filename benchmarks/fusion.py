"""How bundles join meaning and words, against other ways to do it; writes the table into RESULTS.md.

    python benchmarks/fusion.py DIR... [--out build] [--encoders layers3,static]

Each DIR is a folder in BEIR layout whose bundle `quality.py` has built under ``--out``. Every way joins the
same two lists, the 100 best documents by vectors and by words. The best fixed weight is found with the
judgements themselves, which no device has: what is reached without them is shown as a share of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from numpy.typing import NDArray
from results import check_section, replace_section
from tables import markdown

import edge_runtime
from build_tools import card, documents, evaluate
from build_tools.evaluate import Questions, Ranked
from build_tools.first_stage import Found
from build_tools.progress import Progress
from edge_runtime import candidates, fusion
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate
from edge_runtime.dense import DenseIndex
from edge_runtime.lexical import LexicalIndex
from edge_runtime.manifest import FusionSpec

PROG = "fusion.py"
SPLIT = "test"
WEIGHTS = tuple(round(0.05 * step, 2) for step in range(1, 20))


Way = Callable[[Found], list[Candidate]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """nDCG@10 of one encoder on one data set, by way; and the weight that is best for all its queries."""

    name: str
    encoder: str
    ndcg: dict[str, float]
    best_weight: float

    @property
    def better(self) -> float:
        """Of both stages alone."""
        return max(self.ndcg["dense"], self.ndcg["BM25"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="fusion")
    made.add_argument("data", nargs="+", type=Path, metavar="DIR", help="a folder in BEIR layout")
    made.add_argument("--out", type=Path, default=Path("build"), help="where bundles are (default: build)")
    made.add_argument("--encoders", default="layers3,static", metavar="ID,ID…", help="default: %(default)s")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    command.check_folders(options.data)
    encoders = options.encoders.split(",")
    compared = []
    with Progress().task("comparing", total=len(options.data) * len(encoders), unit="encoders") as advance:
        for folder in options.data:
            for encoder in encoders:
                bundle = options.out / command.name_of(folder) / "bundle"
                compared.append(compare(bundle, folder, encoder))
                advance(1)
    body = f"{command.machine()}\n\n{table(compared)}"
    replace_section(options.results, options.section, body)
    print(body)


def compare(directory: Path, data: Path, encoder: str) -> Comparison:
    """Every way to join, with one encoder of the bundle in `directory`.

    Raises:
        BundleError: not a bundle, or not as it was built.
        QueryError: it has no such encoder.
    """
    keys = documents.keys_of(directory)
    questions = card.labelled(data, SPLIT, keys)
    with edge_runtime.open(directory, encoder=encoder, verify="size") as retriever:
        vectors = retriever.encode(list(questions.texts.values()))
    owners = documents.owners(directory)
    found, shipped = _found(directory, questions, vectors, owners)

    def ndcg(way: Way) -> float:
        rankings: list[Ranked] = [_named(way(each), owners, keys) for each in found]
        return evaluate.measure("", rankings, questions).ndcg_10

    fixed = {weight: ndcg(_fixed(shipped, weight)) for weight in WEIGHTS}
    best = max(fixed, key=fixed.__getitem__)
    ways: dict[str, Way] = {
        "dense": lambda each: candidates.single(each.dense, lexical=False),
        "BM25": lambda each: candidates.single(each.lexical, lexical=True),
        "reciprocal ranks": _joined(dataclasses.replace(shipped, method="rrf")),
        "convex ½": _convex,
        "weighted": _joined(dataclasses.replace(shipped, method="weighted")),
    }
    reached = {name: ndcg(way) for name, way in ways.items()}
    return Comparison(command.name_of(data), encoder, {**reached, "best weight": fixed[best]}, best)


def _found(
    directory: Path, questions: Questions, vectors: NDArray[np.float32], owners: NDArray[np.int32]
) -> tuple[list[Found], FusionSpec]:
    bundle = Bundle.open(directory, verify="size")
    manifest = bundle.manifest
    dense, words = DenseIndex.open(bundle, manifest.index), LexicalIndex.open(bundle, manifest.lexical)
    passages, depth = manifest.documents.passages, manifest.fusion.depth
    found = []
    for text, vector in zip(questions.texts.values(), vectors, strict=True):
        near, scores = dense.search(vector, passages), words.scores(text)
        said = scores.best(passages)
        found.append(
            Found(
                candidates.group(near, owners[near.rows], depth),
                candidates.group(said, owners[said.rows], depth),
                scores,
            )
        )
    for part in (dense, words, bundle):
        part.close()
    return found, manifest.fusion


def _joined(spec: FusionSpec) -> Way:
    return lambda each: each.fused(spec, evaluate.DEPTH)


def _fixed(spec: FusionSpec, weight: float) -> Way:
    """The same scores under one weight for all queries."""
    odds = math.log(weight / (1 - weight))

    def join(each: Found) -> list[Candidate]:
        balance = odds - fusion.tilt(each.dense, each.scores, spec)
        return _joined(dataclasses.replace(spec, method="weighted", balance=balance))(each)

    return join


def _convex(each: Found) -> list[Candidate]:
    """The mean of both lists' scores, each scaled to 0 to 1 within its list; what is not there has 0."""
    totals: dict[int, float] = {}
    rows: dict[int, int] = {}
    for grouped in (each.dense, each.lexical):
        spread = float(np.ptp(grouped.scores)) if len(grouped.scores) else 0.0
        for place, document in enumerate(grouped.documents.tolist()):
            row, score = grouped.at(place)
            scaled = (score - float(grouped.scores[-1])) / spread if spread else 1.0
            totals[document] = totals.get(document, 0.0) + scaled / 2
            rows.setdefault(document, row)
    return [Candidate(rows[d], totals[d]) for d in sorted(totals, key=totals.__getitem__, reverse=True)]


def _named(ranked: Sequence[Candidate], owners: NDArray[np.int32], keys: Sequence[str]) -> Ranked:
    return [(keys[owners[candidate.row]], candidate.score) for candidate in ranked]


def table(compared: Sequence[Comparison]) -> str:
    """A row an encoder and data set."""
    ways = [name for name in compared[0].ndcg if name != "best weight"]
    header = ["set", "encoder", *ways, "of the better alone", "best fixed weight", "of that"]
    return markdown(header, _rows(compared, ways))


def _rows(compared: Sequence[Comparison], ways: Sequence[str]) -> Iterator[list[str]]:
    for each in compared:
        weighted, best = each.ndcg["weighted"], each.ndcg["best weight"]
        yield [
            each.name,
            each.encoder,
            *(f"{each.ndcg[name]:.3f}" for name in ways),
            f"{weighted / each.better:.3f}" if each.better else "?",
            f"{best:.3f} at {each.best_weight:.2f}",
            f"{weighted / best:.3f}" if best else "?",
        ]


if __name__ == "__main__":
    sys.exit(main())
