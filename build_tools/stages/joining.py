"""The stage that finds out how the two rankings are joined."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from build_tools import balance, documents, fusion
from build_tools.distill.labels import read_labels
from build_tools.distill.lessons import Lesson
from build_tools.evaluate import questions_of
from build_tools.first_stage import FirstStage
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.stages.corpus import Corpus, DocumentVectors
from build_tools.teacher import Teacher
from edge_runtime.manifest import FusionSpec, LexicalSpec

SETTING = "fusion.labels"


def join(
    recipe: Recipe,
    teacher: Teacher,
    corpus: Corpus,
    vectors: DocumentVectors,
    held_out: Lesson,
    words: tuple[Path, LexicalSpec],
    progress: Progress,
) -> FusionSpec:
    """The manifest's entry; its balance is learnt where the recipe names labels for that.

    Args:
        words: the word index's folder, and what the manifest says of it.

    Raises:
        DataError: the labels cannot be read or fit no document.
    """
    spec = fusion.settings(recipe.fusion, held_out.targets, vectors.vectors)
    if recipe.fusion.labels is None:
        return spec
    directory = corpus.stage.directory
    found = read_labels(
        recipe.fusion.labels, recipe.corpus, directory, evaluation=recipe.evaluation, setting=SETTING
    )
    questions = questions_of(dict(islice(found.answers.items(), balance.MAX_QUERIES)))
    if len(questions.texts) < balance.MIN_QUERIES:
        progress.say(
            f"fusion     balance {spec.balance:g}, the recipe's: {len(questions.texts)} labelled queries are "
            f"too few to learn it from ({balance.MIN_QUERIES})"
        )
        return spec
    first = FirstStage.of(vectors.vectors, directory, words, recipe.fusion)
    asked = teacher.encode_queries(list(questions.texts.values()))
    learnt = balance.learn(spec, questions, np.asarray(asked), first, documents.keys(directory))
    progress.say(
        f"fusion     balance {learnt.balance:g} by {len(questions.texts):,} labelled queries: nDCG@10 "
        f"{learnt.before:.3f} to {learnt.ndcg:.3f}"
    )
    return replace(spec, balance=learnt.balance)
