"""What a search answers with."""

from __future__ import annotations

from dataclasses import replace

from edge_runtime.candidates import Candidate, Evidence
from edge_runtime.documents import Record
from edge_runtime.hits import hits


def test_hits_go_into_a_set() -> None:
    """Though their metadata cannot; the same once, another passage of the document beside it."""
    record = Record(key="a", ordinal=0, title="A", text="yeast", metadata={"tags": ["bread"]})
    evidence = Evidence(1, 0.5, 0.5)
    found = hits(
        [Candidate(0, 0.5, dense=evidence)] * 2, [record, replace(record, metadata={"tags": ["bread"]})]
    )
    other = replace(found[0], passage=1)
    assert {*found, other} == {found[0], other}
    assert len({*found, other}) == 2
