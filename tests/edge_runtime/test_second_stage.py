"""Searches whose first documents a cross-encoder orders anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime import deadline, second_stage
from edge_runtime import manifest as manifests
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate, Evidence
from edge_runtime.deadline import Clock, Pace
from edge_runtime.errors import BundleError, EngineError, QueryError
from edge_runtime.hits import Hit
from edge_runtime.question import Mode
from edge_runtime.reranker import Reranker
from edge_runtime.retriever import Retriever

QUERY = "yeast and dough in the oven"
DEPTH = 6


@pytest.fixture(scope="module")
def retriever(reranked_bundle: Path) -> Iterator[Retriever]:
    with edge_runtime.open(reranked_bundle) as opened:
        yield opened


def _keys(hits: list[Hit]) -> list[str]:
    return [hit.key for hit in hits]


def _scores(bundle: Path, hits: list[Hit]) -> list[float]:
    """What the model says of these hits, asked without the runtime's second stage."""
    opened = Bundle.open(bundle, verify="size")
    spec = opened.manifest.reranker
    assert spec is not None
    model = Reranker.load(opened, spec)
    scores = [model.score(model.tokenize(QUERY, f"{hit.title} {hit.text}")) for hit in hits]
    model.close()
    opened.close()
    return scores


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_the_first_are_ordered_by_the_model(retriever: Retriever, reranked_bundle: Path, mode: Mode) -> None:
    """Each by its score, with its evidence of before; the others follow in their old order."""
    plain = retriever.search(QUERY, k=10, mode=mode)
    hits = retriever.search(QUERY, k=10, mode=mode, rerank=True)
    scores = dict(zip(_keys(plain), _scores(reranked_bundle, plain[:DEPTH]), strict=False))
    expected = sorted(scores, key=lambda key: -scores[key])
    assert _keys(hits) == expected + _keys(plain)[DEPTH:]
    assert expected != _keys(plain)[:DEPTH]
    for rank, hit in enumerate(hits[:DEPTH], 1):
        before = next(each for each in plain if each.key == hit.key)
        assert hit.rerank == Evidence(rank, scores[hit.key], scores[hit.key])
        assert hit.score == scores[hit.key]
        assert (hit.dense, hit.lexical, hit.text) == (before.dense, before.lexical, before.text)
    assert all(hit.rerank is None for hit in hits[DEPTH:])


def test_scores_fall_from_the_first_hit_to_the_last(retriever: Retriever) -> None:
    """Also where the model has not read: who sorts by score gets the same order."""
    scores = [hit.score for hit in retriever.search(QUERY, k=20, rerank=True)]
    assert scores == sorted(scores, reverse=True)


def test_the_unread_keep_their_distances(retriever: Retriever) -> None:
    """As far below the last that was read as it was before."""
    plain = retriever.search(QUERY, k=9)
    hits = retriever.search(QUERY, k=9, rerank=True)
    for before, after in zip(plain[DEPTH:], hits[DEPTH:], strict=True):
        distance = plain[DEPTH - 1].score - before.score
        assert after.score == pytest.approx(hits[DEPTH - 1].score - distance, abs=1e-12)


def test_a_small_k_takes_the_best_of_all_that_were_read(retriever: Retriever) -> None:
    """Two hits out of six read, not the two best of a plain search in another order."""
    assert _keys(retriever.search(QUERY, k=2, rerank=True)) == _keys(
        retriever.search(QUERY, k=DEPTH, rerank=True)[:2]
    )


def test_a_number_says_how_many(retriever: Retriever) -> None:
    """Fewer or more than the bundle's own; more than there are documents means all of them."""
    read = [sum(hit.rerank is not None for hit in retriever.search(QUERY, k=48, rerank=n)) for n in (1, 9)]
    assert read == [1, 9]
    everything = retriever.search(QUERY, k=48, mode="dense", rerank=10**9)
    assert sum(hit.rerank is not None for hit in everything) == len(everything) == 48


@pytest.mark.parametrize("rerank", [None, False])
def test_nobody_asked(retriever: Retriever, rerank: bool | None) -> None:
    """Not the least of it shows."""
    hits = retriever.search(QUERY, rerank=rerank)
    assert list(hits) == list(retriever.search(QUERY))
    assert all(hit.rerank is None for hit in hits)


@pytest.mark.parametrize("rerank", [0, -1, 1.5, "yes", [5], float("nan")])
def test_refuses_other_depths(retriever: Retriever, rerank: Any) -> None:
    """One sentence."""
    with pytest.raises(QueryError, match=r"^rerank: expected true, false or a whole number from 1; found "):
        retriever.search(QUERY, rerank=rerank)


def test_a_bundle_without_a_reranker(bundle: Path) -> None:
    """Says so, and how to get one; to warm it up is refused as well."""
    with edge_runtime.open(bundle) as opened:
        with pytest.raises(
            QueryError, match=r"^rerank: bundle tiny has no reranker; search without, or name"
        ):
            opened.search(QUERY, rerank=True)
        with pytest.raises(QueryError, match=r"^rerank: bundle tiny has no reranker"):
            opened.warm_up(rerank=True)
        assert opened.search(QUERY, rerank=False)


def test_only_what_a_filter_allows(retriever: Retriever) -> None:
    """The filter comes first; no document returns by way of the reranker."""
    hits = retriever.search(QUERY, k=5, where={"section": "garden"}, rerank=True)
    assert len(hits) == 5
    assert {hit.metadata["section"] for hit in hits} == {"garden"}
    assert all(hit.rerank for hit in hits)
    assert retriever.search(QUERY, where={"section": "nowhere"}, rerank=True) == []


def test_a_batch(retriever: Retriever) -> None:
    """As one by one."""
    texts = [QUERY, "brake and chain"]
    batch = retriever.search_batch(texts, k=3, rerank=True)
    assert [list(hits) for hits in batch] == [list(retriever.search(t, k=3, rerank=True)) for t in texts]


def test_a_score_does_not_depend_on_its_neighbours(retriever: Retriever) -> None:
    """The same document gets the same score, however many are read with it."""
    few, many = (retriever.search(QUERY, k=48, rerank=n) for n in (2, 20))
    scores = {hit.key: hit.score for hit in many}
    assert all(scores[hit.key] == hit.score for hit in few if hit.rerank)


def test_many_threads(reranked_bundle: Path) -> None:
    """They share the model, which the first to come loads."""
    with edge_runtime.open(reranked_bundle) as opened, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: list(opened.search(QUERY, rerank=True)), range(16)))
    assert all(each == found[0] for each in found)


def test_loaded_when_first_asked_for(reranked_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a bundle, and searching it as ever, reads nothing of the model; then it is loaded once."""
    loaded = []
    load = Reranker.load
    monkeypatch.setattr(Reranker, "load", lambda *args, **more: (loaded.append(1), load(*args, **more))[1])
    with edge_runtime.open(reranked_bundle) as opened:
        opened.warm_up()
        opened.search(QUERY)
        assert not loaded
        opened.search(QUERY, rerank=True)
        opened.search(QUERY, rerank=True)
        assert loaded == [1]


def test_its_stages(retriever: Retriever) -> None:
    """Texts, then the model, between fusing and fetching."""
    laps: list[str] = []
    retriever.search_in_laps(QUERY, k=3, mode="hybrid", rerank=True, lap=laps.append)
    assert laps == ["lexical", "tokenize", "encode", "dense", "fuse", "texts", "rerank", "fetch"]


def test_first_of_all_dropped(reranked_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pace says that it will not end in time, all else is as without it."""
    with edge_runtime.open(reranked_bundle) as opened:
        opened.warm_up(rerank=True)
        monkeypatch.setattr(Pace, "fits_reranking", lambda *_: False)
        plain, hits = opened.search(QUERY), opened.search(QUERY, rerank=True, deadline_ms=1e6)
        assert (hits.dropped, hits.encoder) == (("rerank",), plain.encoder)
        assert list(hits) == list(plain)
        assert opened.search(QUERY, rerank=True).dropped == ()  # no deadline, nothing to drop


def test_what_else_is_dropped_leaves_no_time_for_it(
    reranked_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller encoder is never traded for a cross-encoder."""
    with edge_runtime.open(reranked_bundle) as opened:
        monkeypatch.setattr(Pace, "fits", lambda _self, encoder, _tokens, _left: encoder == "static")
        assert opened.search(QUERY, rerank=True, deadline_ms=1e6).dropped == ("rerank", "encoder")
        monkeypatch.setattr(Pace, "fits", lambda *_: False)
        hits = opened.search(QUERY, rerank=True, deadline_ms=1e6)
        assert hits.dropped == ("rerank", "dense")
        assert list(hits) == list(opened.search(QUERY, mode="lexical"))


def test_given_up_when_the_deadline_passes_meanwhile(
    reranked_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the pair under way; the pace has learnt from those that were read."""
    with edge_runtime.open(reranked_bundle) as opened:
        plain = opened.search(QUERY)
        read: list[object] = []
        score = Reranker.score

        def until_late(self: Reranker, tokens: Any) -> float:
            read.append(tokens)
            if len(read) == 3:
                monkeypatch.setattr(Clock, "left", property(lambda _: -1.0))
            return score(self, tokens)

        monkeypatch.setattr(Reranker, "score", until_late)
        hits = opened.search(QUERY, rerank=True, deadline_ms=1e6)
        assert len(read) == 3
        assert hits.dropped == ("rerank",)
        assert list(hits) == list(plain)
        assert opened._current.parts.pace._a_character is not None


def test_enough_time(retriever: Retriever) -> None:
    """With a deadline that is far away, reranked as without."""
    hits = retriever.search(QUERY, rerank=True, deadline_ms=1e7)
    assert hits.dropped == ()
    assert list(hits) == list(retriever.search(QUERY, rerank=True))


def test_a_broken_model(reranked_bundle: Path, tmp_path: Path) -> None:
    """One error of ours, when it is asked for; searches without it go on."""
    copy = Path(shutil.copytree(reranked_bundle, tmp_path / "bundle"))
    model = copy / "reranker/model.onnx"
    model.write_bytes(b"\0" * model.stat().st_size)
    with edge_runtime.open(copy, verify="size") as opened:
        with pytest.raises(EngineError, match=r"model.onnx: onnxruntime [0-9.]+ refuses the reranker \("):
            opened.search(QUERY, rerank=True)
        assert opened.search(QUERY)
    with pytest.raises(BundleError, match=r"reranker/model.onnx: sha256"):
        edge_runtime.open(copy, verify="full")


def test_a_missing_model(reranked_bundle: Path, tmp_path: Path) -> None:
    """Found when the bundle is opened, as any other file that is missing."""
    copy = Path(shutil.copytree(reranked_bundle, tmp_path / "bundle"))
    (copy / "reranker/model.onnx").unlink()
    with pytest.raises(BundleError, match=r"reranker/model.onnx: missing"):
        edge_runtime.open(copy, verify="size")


def test_an_encoder_in_its_place(reranked_bundle: Path, tmp_path: Path) -> None:
    """A model of another form is refused when it is loaded, not when it computes."""
    copy = Path(shutil.copytree(reranked_bundle, tmp_path / "bundle"))
    manifest = manifests.read(copy / manifests.FILENAME)
    first, spec = manifest.encoders[0], manifest.reranker
    assert spec is not None
    assert first.weights is not None
    changed = replace(manifest, reranker=replace(spec, path=first.path, weights=first.weights))
    (copy / manifests.FILENAME).write_bytes(manifests.dump(changed))
    with (
        edge_runtime.open(copy, verify="size") as opened,
        pytest.raises(EngineError, match="takes input_ids and gives sentence_embedding; expected input_ids"),
    ):
        opened.search(QUERY, rerank=True)


def test_equal_scores_leave_the_order_as_it_is() -> None:
    """And hits that were not read stand level with the last of those that were, if they did before."""
    candidates = [Candidate(row, score) for row, score in enumerate((0.9, 0.8, 0.8, 0.1))]
    found = second_stage.reordered(candidates, [2.0, 2.0])
    assert [(each.row, each.score) for each in found] == [
        (0, 2.0),
        (1, 2.0),
        (2, 2.0),
        (3, 2.0 - (0.8 - 0.1)),
    ]


def test_pace_of_reading() -> None:
    """Seconds a character; tried where nothing is known, and again after many that were left out."""
    pace = Pace()
    assert pace.fits_reranking(1000, 0.001)
    pace.add_reranking(1000, 2.0)
    assert pace.fits_reranking(400, 0.9)
    assert not pace.fits_reranking(500, 0.9)
    tries = [pace.fits_reranking(500, 0.9) for _ in range(deadline.FIRST_TRIAL - 1)]
    assert tries == [False] * (deadline.FIRST_TRIAL - 2) + [True]
    pace.add_reranking(1000, 0.5)  # the load has passed
    assert pace.fits_reranking(500, 0.9)
