"""The stage that finds out how the two rankings are joined."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from build_tools import balance, documents, fusion
from build_tools.distill.labels import read_labels
from build_tools.distill.lessons import Lesson
from build_tools.evaluate import Questions, questions_of
from build_tools.first_stage import FirstStage
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import Corpus, DocumentVectors
from build_tools.teacher import Teacher
from edge_runtime.manifest import FusionSpec, LexicalSpec

SETTING = "fusion.labels"


def read_questions(recipe: Recipe, corpus: Corpus) -> Questions | None:
    """The labelled queries that tell the balance, where the recipe names some.

    It needs no vector, so a wrong file shows before any.

    Raises:
        DataError: the labels cannot be read or fit no document.
    """
    if recipe.fusion.labels is None:
        return None
    directory = corpus.stage.directory
    found = read_labels(
        recipe.fusion.labels,
        recipe.corpus,
        directory,
        evaluation=recipe.evaluation,
        updated=corpus.existing,
        setting=SETTING,
    )
    return questions_of(dict(islice(found.answers.items(), balance.MAX_QUERIES)))


def join(
    recipe: Recipe,
    teacher: Teacher,
    corpus: Corpus,
    vectors: DocumentVectors,
    held_out: Lesson,
    questions: Questions | None,
    words: tuple[Path, LexicalSpec],
    progress: Progress,
) -> FusionSpec:
    """The manifest's entry; its balance is learnt where there are enough questions.

    Args:
        words: the word index's folder, and what the manifest says of it.
    """
    spec = fusion.settings(recipe.fusion, held_out.targets, vectors.vectors)
    if questions is None:
        return spec
    if len(questions.texts) < balance.MIN_QUERIES:
        progress.say(
            f"fusion     balance {spec.balance:g}, the recipe's: {len(questions.texts)} labelled queries are "
            f"too few to learn it from ({balance.MIN_QUERIES})"
        )
        return spec
    directory = corpus.stage.directory
    first = FirstStage.of(vectors.vectors, directory, words, recipe.fusion)
    asked = teacher.encode_queries(list(questions.texts.values()))
    learnt = balance.learn(spec, questions, np.asarray(asked), first, documents.keys(directory))
    progress.say(
        f"fusion     balance {learnt.balance:g} by {len(questions.texts):,} labelled queries: nDCG@10 "
        f"{learnt.before:.3f} to {learnt.ndcg:.3f}"
    )
    return replace(spec, balance=learnt.balance)
