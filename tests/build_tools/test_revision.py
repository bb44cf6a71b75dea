"""The order of passages after an update, against the corpus that somebody edits by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from build_tools import documents, revision
from build_tools.corpus.document import Passage

TEXTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)
CORPORA = st.dictionaries(st.sampled_from("uvwxyz"), TEXTS, min_size=1)


def passages(key: str, texts: list[str]) -> list[Passage]:
    """One for each text."""
    return [Passage(key, number, "", text, {}) for number, text in enumerate(texts)]


@given(before=CORPORA, added=CORPORA, removed=st.sets(st.sampled_from("uvwxyz")))
def test_revise(before: dict[str, list[str]], added: dict[str, list[str]], removed: set[str]) -> None:
    """Documents stay, change or go where they were, new ones come last; kept rows have their content."""
    removed -= added.keys()
    edited = {key: texts for key, texts in (before | added).items() if key not in removed}
    with tempfile.TemporaryDirectory() as folder:
        rows = [passage for key, texts in before.items() for passage in passages(key, texts)]
        documents.write(iter(rows), Path(folder))
        given = {key: passages(key, texts) for key, texts in added.items()}
        revised = list(revision.revise(Path(folder), given, removed))
        differing = revision.differing(Path(folder), given)
    assert [each.passage for each in revised] == [
        passage for key, texts in edited.items() for passage in passages(key, texts)
    ]
    for each in revised:
        known = {passage.content for passage in rows if passage.document == each.passage.document}
        assert (each.row is not None) == (each.passage.content in known)
        assert each.row is None or rows[each.row].content == each.passage.content
    assert differing.keys() == {key for key, texts in added.items() if before.get(key) != texts}
