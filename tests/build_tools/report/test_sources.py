"""What a report finds of the questions behind a card."""

from __future__ import annotations

import json
from pathlib import Path

from build_tools.recipe import CorpusSpec, EvaluationSpec, Recipe
from build_tools.report import sources


def recipe(folder: Path, split: str = "test") -> Recipe:
    """Of a BEIR folder."""
    corpus = CorpusSpec(source="beir", path=str(folder))
    return Recipe(name="any", corpus=corpus, evaluation=EvaluationSpec(split=split))


def test_judged_queries(tmp_path: Path) -> None:
    """Those of the corpus; none where they are of another corpus, another split or gone."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "dough"}) + "\n", "utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n", "utf-8")
    found = sources._judged(recipe(tmp_path), ["a", "b"])
    assert found
    assert dict(found.texts) == {"q1": "dough"}
    assert sources._judged(recipe(tmp_path), ["b"]) is None
    assert sources._judged(recipe(tmp_path, "dev"), ["a"]) is None
    assert sources._judged(recipe(tmp_path / "gone"), ["a"]) is None
    unjudged = Recipe(name="any", corpus=CorpusSpec(source="jsonl", path=str(tmp_path / "queries.jsonl")))
    assert sources._judged(unjudged, ["a"]) is None


def test_what_is_known_without_a_model(bundle: Path) -> None:
    """The tiny bundle has its recipe beside it, and no labels."""
    known = sources.read(bundle)
    assert (known.home, known.manifest.name, known.card.basis) == (bundle.parent, "tiny", "teacher")
    assert known.recipe
    assert known.recipe.name == "tiny"
    assert known.judged is None
    assert len(known.golden) == 4
