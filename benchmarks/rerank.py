"""What reranking gains and costs: nDCG@10 and time a query at several depths, and what int8 changes.

    python benchmarks/rerank.py BUNDLE DIR --cross-encoder FOLDER [--depths 10,20,50]

The bundle carries the cross-encoder in FOLDER; DIR is the BEIR folder whose documents it has. Each question
is asked at every depth in turn, so that all depths meet the same load. The cross-encoder in float32, by
PyTorch, then reads what the deepest search of the first questions has read.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import command
import numpy as np
from numpy.typing import NDArray
from results import check_section, replace_section
from tables import markdown

import edge_runtime
from build_tools import card, documents
from build_tools.distill.cross_encoder import Scorer
from build_tools.evaluate import DEPTH, Questions, Ranked, ndcg_by_query
from build_tools.progress import Progress
from edge_runtime import Results, Retriever
from edge_runtime.errors import Error

PROG = "rerank.py"
HEADER = ("reranked", "nDCG@10", "difference", "p50 ms", "p95 ms")


@dataclass(frozen=True, slots=True)
class Depth:
    """What was found with so many documents reranked, query by query.

    Attributes:
        ndcg: nDCG@10 (queries,); `milliseconds` of the searches.
    """

    depth: int
    ndcg: NDArray[np.float64]
    milliseconds: NDArray[np.float64]

    def row(self, plain: Depth) -> list[str]:
        """Cells of the table; the difference with its standard error, paired by query."""
        gained = self.ndcg - plain.ndcg
        error = gained.std(ddof=1) / np.sqrt(len(gained)) if len(gained) > 1 else np.nan
        difference = f"{gained.mean():+.3f} ± {error:.3f}" if self.depth else ""
        times = [f"{np.percentile(self.milliseconds, percent):.1f}" for percent in (50, 95)]
        return [f"top {self.depth}" if self.depth else "no", f"{self.ndcg.mean():.3f}", difference, *times]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes; the exit status is that of `command.run`."""
    return command.run(PROG, _run, parser().parse_args(argv))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command.plain_parser(PROG, __doc__, section="rerank")
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    made.add_argument("folder", type=Path, metavar="DIR", help="judged queries, in BEIR layout")
    made.add_argument("--cross-encoder", required=True, metavar="FOLDER", help="that the bundle carries")
    made.add_argument("--encoder", metavar="ID", help="default: the one calibrated, else the first")
    made.add_argument("--depths", type=command.seed_numbers, default=(10, 20, 50), metavar="N,N…")
    made.add_argument("--compared", type=int, default=50, metavar="N", help="questions read in float32, too")
    return made


def _run(options: argparse.Namespace) -> None:
    check_section(options.results, options.section)
    if min(options.depths) < 1 or options.compared < 1:
        raise Error("--depths and --compared: expected 1 or more")
    scorer = Scorer.load(options.cross_encoder)
    questions = card.labelled(options.folder, "test", documents.keys_of(options.bundle))
    depths = [0, *sorted(options.depths)]
    with edge_runtime.open(options.bundle, encoder=options.encoder, verify="size") as retriever:
        retriever.warm_up(rerank=True)
        measured, deepest = _measure(retriever, questions, depths)
        name = retriever.info().encoder
    asked = list(questions.texts.values())[: options.compared]
    body = "\n\n".join(
        [
            f"{command.machine()} {command.name_of(options.folder)}, {len(questions.texts)} questions, "
            f"hybrid search with {name}, one thread.",
            markdown(HEADER, [depth.row(measured[0]) for depth in measured]),
            _compared(asked, deepest, scorer),
        ]
    )
    replace_section(options.results, options.section, body)


def _measure(
    retriever: Retriever, questions: Questions, depths: Sequence[int]
) -> tuple[list[Depth], list[Results]]:
    """Every depth, and the results of the last."""
    found: dict[int, list[Results]] = {depth: [] for depth in depths}
    times: dict[int, list[float]] = {depth: [] for depth in depths}
    texts = list(questions.texts.values())
    with Progress().task("searching", total=len(texts), unit="questions") as advance:
        for text in texts:
            for depth in depths:
                began = time.perf_counter()
                found[depth].append(retriever.search(text, k=DEPTH, rerank=depth or None))
                times[depth].append((time.perf_counter() - began) * 1000)
            advance(1)
    return [
        Depth(
            depth, ndcg_by_query([_ranked(hits) for hits in found[depth]], questions), np.array(times[depth])
        )
        for depth in depths
    ], found[depths[-1]]


def _ranked(hits: Results) -> Ranked:
    return [(hit.key, hit.score) for hit in hits]


def _compared(texts: Sequence[str], results: Sequence[Results], scorer: Scorer) -> str:
    """How far int8 scores are from float32's, and how alike both order each question's passages."""
    errors, agreements, spreads = [], [], []
    for text, hits in zip(texts, results, strict=False):
        read = [hit for hit in hits if hit.rerank]
        int8 = np.array([hit.score for hit in read])
        float32 = scorer.score([(text, f"{hit.title} {hit.text}" if hit.title else hit.text) for hit in read])
        errors.append(np.abs(int8 - float32))
        spreads.append(float32)
        agreements.append(_spearman(int8, float32))
    pairs = np.concatenate(errors)
    return (
        f"int8 against float32, {len(pairs):,} pairs of {len(errors)} questions: mean absolute difference "
        f"{pairs.mean():.3f}, most {pairs.max():.3f}, where float32 scores have a standard deviation of "
        f"{np.concatenate(spreads).std():.3f}; Spearman's correlation within a question "
        f"{np.mean(agreements):.3f} (mean), {np.min(agreements):.3f} (least)."
    )


def _spearman(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Of lists without ties: Pearson's correlation of ranks."""
    ranks = [np.argsort(np.argsort(scores)) for scores in (one, two)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    raise SystemExit(main())
