"""A cross-encoder of one's own: labelled pairs of a recipe in, a CrossEncoder folder out.

Its two uses are those of any cross-encoder: a second teacher (`training.cross_encoder` in a recipe), and a
reranker of what search found. Stages are those of `edge-build build` and shared with it.

OUT/                   a sentence-transformers CrossEncoder
OUT/curve.jsonl        the learning curve
OUT/quality.yaml       the first stage alone, and reranked
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from sentence_transformers import CrossEncoder

from build_tools import card, documents, quality, rerank_card
from build_tools.distill import reranker
from build_tools.distill.checkpoint import CHECKPOINT
from build_tools.distill.cross_encoder import Scorer
from build_tools.distill.labels import read_labels
from build_tools.distill.lessons import Lesson
from build_tools.distill.mining import Passages, mine
from build_tools.distill.reranker import Lists, RerankerPoint, RerankerSpec
from build_tools.errors import BuildError, DataError, RecipeError
from build_tools.evaluate import Questions, questions_of
from build_tools.first_stage import FirstStage
from build_tools.models import digest_of
from build_tools.progress import Progress
from build_tools.quality import QualityCard
from build_tools.recipe import Recipe
from build_tools.rerank_card import Judged
from build_tools.shards import one_by_one
from build_tools.stages.corpus import Corpus, encode_corpus, read_corpus
from build_tools.stages.indexes import build_lexical
from build_tools.swap import retired, swap_in, unfinished
from build_tools.towers import Tower, encode_resumably, packaged_model
from build_tools.workspace import STAGES, Stage, Workspace, locked, write_atomically

WEIGHTS = "reranker.safetensors"
HELD_OUT, HELD_OUT_SHARE = 60, 0.1
"""Queries that choose the best epoch: this share of the labelled ones, at most so many."""

HELD_OUT_DEPTH = 20
"""Documents of each that are reranked for it."""

Answers = Mapping[str, Mapping[str, int]]
"""Relevance by query, then by document key."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """What queries are searched in, and who embeds them.

    Attributes:
        titled: whether passages carry their title. Where titles are the queries, they would give the answer
            away, so the reranker learns from the texts alone.
    """

    tower: Tower
    corpus: Corpus
    first: FirstStage
    keys: Sequence[str]
    workspace: Workspace
    progress: Progress
    titled: bool

    def contents(self, rows: Iterable[int]) -> dict[int, str]:
        """The texts of these passages, as the reranker reads them."""
        wanted = set(rows)
        passages = enumerate(documents.read(self.corpus.stage.directory))
        return {
            row: passage.content if self.titled else passage.text
            for row, passage in passages
            if row in wanted
        }

    def targets(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The teacher's vectors of queries (n, ndim)."""
        stage = self.workspace.stage("queries", self.tower.digest, tuple(texts))
        with self.progress.task("queries", total=len(texts), unit="texts") as advance:
            return encode_resumably(
                texts,
                len(texts),
                stage.directory,
                spread=one_by_one(self.tower.encode_queries),
                advance=advance,
            )

    def judged(self, questions: Questions) -> Judged:
        """Questions with what the first stage finds."""
        targets = self.targets(list(questions.texts.values()))
        return Judged.find(questions, targets, self.first, self.keys)


def train_reranker(
    recipe: Recipe, spec: RerankerSpec, *, build: Path, out: Path, progress: Progress
) -> QualityCard:
    """Trains a cross-encoder on the recipe's labelled pairs and writes it to `out`.

    It is measured on the recipe's evaluation split, whose queries never train; where there is none, on the
    held-out queries that chose the best epoch.

    Args:
        build: where bundles are built; finished stages there are used.

    Raises:
        BuildError: no labels, a base that cannot be loaded, or something else is at `out` or beside it where
            room is needed. An interrupted run goes on when it is called again.
    """
    labels = recipe.queries.labels
    if labels is None:
        raise RecipeError("train-reranker learns from labelled pairs; say where they are in queries.labels")
    out = out.resolve()  # "." has no name to put another beside
    _require_room(out)
    folder = str(packaged_model()) if spec.base == "packaged" else spec.base
    model = reranker.untrained(spec, folder)
    with locked(build / recipe.name):
        workspace = Workspace(build / recipe.name / STAGES)
        tower = Tower.load(recipe.teacher)
        corpus = read_corpus(recipe, tower, workspace, progress)
        # Before any vector, so that what is wrong with them shows in seconds.
        found = read_labels(labels, recipe.corpus, corpus.stage.directory, evaluation=recipe.evaluation)
        training, held_out = _split(found.answers, spec.seed)
        progress.say(f"labels     {len(training):,} queries to learn from, {len(held_out):,} held out")
        asked = _evaluation(recipe, documents.keys(corpus.stage.directory))
        ground = _prepare(recipe, tower, corpus, workspace, progress)
        chooser = ground.judged(questions_of(held_out))
        lists = _mine(training, recipe, spec, ground)
        stage = ground.workspace.stage(
            "reranker",
            spec,
            digest_of(model, model.tokenizer),
            tuple(lists.queries),
            lists.passages,
            held_out,
        )
        curve = _train(model, lists, chooser, spec, stage, ground)
        rows = _measure(model, chooser if asked is None else ground.judged(asked), stage, ground)
        count = len(held_out) if asked is None else len(asked.texts)
        measured = QualityCard("labels", count, rows, (), None)
        _write(model, curve, measured, out)
    return measured


def _prepare(
    recipe: Recipe, tower: Tower, corpus: Corpus, workspace: Workspace, progress: Progress
) -> _Ground:
    vectors, _ = encode_corpus(recipe, tower, corpus, workspace, progress)
    words = build_lexical(recipe, corpus, workspace, progress)
    directory = corpus.stage.directory
    first = FirstStage.of(vectors, directory, words, recipe.fusion)
    titled = recipe.queries.labels is None or recipe.queries.labels.source != "titles"
    return _Ground(tower, corpus, first, documents.keys(directory), workspace, progress, titled)


def _evaluation(recipe: Recipe, keys: Sequence[str]) -> Questions | None:
    """The judged queries of the recipe's evaluation split, where its corpus has some."""
    folder = card.judged_folder(recipe)
    if folder is None or not (folder / "qrels" / f"{recipe.evaluation.split}.tsv").is_file():
        return None
    return card.own_questions(recipe, keys)


def _split(answers: Answers, seed: int) -> tuple[Answers, Answers]:
    """Queries to learn from, and queries to choose the best epoch by.

    Raises:
        DataError: there is but one.
    """
    if len(answers) < 2:
        raise DataError("queries.labels: expected two queries or more, some hundreds rather; found one")
    order = np.random.default_rng(seed).permutation(len(answers)).tolist()
    count = min(HELD_OUT, max(1, int(len(answers) * HELD_OUT_SHARE)))
    held = set(order[:count])
    items = list(enumerate(answers.items()))
    return dict(item for i, item in items if i not in held), dict(item for i, item in items if i in held)


def _mine(training: Answers, recipe: Recipe, spec: RerankerSpec, ground: _Ground) -> Lists:
    """Lists of an answer and hard negatives, half of them the teacher's and half the word index's."""
    numbers = {key: number for number, key in enumerate(ground.keys)}
    positives = [
        [numbers[key] for key in sorted(found, key=found.__getitem__, reverse=True)]
        for found in training.values()
    ]
    queries, first = list(training), ground.first
    depth = recipe.training.candidates.depth
    found = mine(
        Lesson(queries, ground.targets(queries)),
        Passages(first.vectors, first.owners),
        positives=positives,
        spec=recipe.training.candidates,
        seed=spec.seed,
        proposed=[first.words.search(query, depth).rows for query in queries],
    )
    contents = ground.contents(found.rows.ravel().tolist())
    return Lists(found.texts, [[contents[row] for row in rows] for rows in found.rows.tolist()])


def _train(
    model: CrossEncoder, lists: Lists, chooser: Judged, spec: RerankerSpec, stage: Stage, ground: _Ground
) -> tuple[RerankerPoint, ...]:
    """Trains `model`, or gives it the weights that an earlier run has found."""
    progress = ground.progress
    if not stage.done:
        contents = ground.contents(chooser.rows(HELD_OUT_DEPTH))
        scorer = Scorer(model, spec.base, "", batch_size=16)

        def measure() -> float:
            return rerank_card.reranked_ndcg(chooser, scorer, contents, HELD_OUT_DEPTH)

        with progress.task("reranker", total=reranker.steps_of(lists, spec), unit="steps") as advance:
            curve = reranker.train(
                model,
                lists,
                spec=spec,
                directory=stage.directory,
                measure=measure,
                report=lambda point: progress.say(_line(point)),
                advance=advance,
            )
        write_atomically(stage.directory / WEIGHTS, lambda file: file.write(save(model.state_dict())))
        stage.finish({"curve": [asdict(point) for point in curve]})
        (stage.directory / CHECKPOINT).unlink(missing_ok=True)
    model.load_state_dict(load_file(stage.directory / WEIGHTS))
    curve = tuple(RerankerPoint(**point) for point in stage.result["curve"])
    best = reranker.best(curve)
    progress.say(
        f"reranker   best at step {best.step}: nDCG@10 {best.held_out_ndcg_10:.4f} on held-out queries"
    )
    return curve


def _measure(model: CrossEncoder, judged: Judged, trained: Stage, ground: _Ground) -> tuple[quality.Row, ...]:
    contents = ground.contents(judged.rows(rerank_card.DEPTH))
    pairs = judged.pairs(contents, rerank_card.DEPTH)
    stage = ground.workspace.stage("reranked", trained.key, pairs)
    scorer = Scorer(model, "the new cross-encoder", trained.key, batch_size=32)
    with ground.progress.task("reranking", total=len(pairs), unit="pairs") as advance:
        return rerank_card.rows(judged, scorer, contents, stage.directory, advance=advance)


def _write(model: CrossEncoder, curve: Sequence[RerankerPoint], measured: QualityCard, out: Path) -> None:
    finished = unfinished(out)
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir(parents=True)
    reranker.write_curve(curve, finished)  # first, so that an unfinished folder is known for ours
    # sentence-transformers' model card would name folders of this machine.
    model.save(str(finished), create_model_card=False)
    quality.write(measured, finished)
    swap_in(finished, out)


def _require_room(out: Path) -> None:
    """Only an earlier reranker is ever replaced, and an unfinished one beside it.

    One that its owner has put aside cannot be told from one that `swap_in` has, so neither is removed.
    """
    for path in (out, unfinished(out)):
        empty = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        if not empty and not (path / reranker.CURVE).is_file():
            raise BuildError(
                f"{path}: holds something else than an earlier reranker; name another folder with --out"
            )
    if retired(out).exists():
        raise BuildError(
            f"{retired(out)}: is in the way of {out.name}, which has this name while it is replaced; move it "
            "elsewhere, or name another folder with --out"
        )


def _line(point: RerankerPoint) -> str:
    return (
        f"           step {point.step:5d}  loss {point.loss:.4f}  nDCG@10 on held-out queries "
        f"{point.held_out_ndcg_10:.4f}  {point.seconds:4.0f} s"
    )
