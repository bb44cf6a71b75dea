"""Searches with a deadline: what is dropped for it, and what the answer says of that."""

from __future__ import annotations

import math
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_runtime
from edge_runtime import DeviceWarning, Hit, QueryError, Results, Retriever, tower
from edge_runtime import manifest as manifests

LONG = 60_000.0
"""Milliseconds that no test takes: what is left out is so by expectation, never by this machine's speed."""

QUERY = "yeast and dough"


@pytest.fixture
def retriever(ladder: Path) -> Iterator[Retriever]:
    with edge_runtime.open(ladder, encoder="layers2") as opened:
        yield opened


def slow(retriever: Retriever, *encoders: str) -> None:
    """Makes it expect an hour of each."""
    for encoder in encoders:
        retriever._current.parts.pace.add_encoding(encoder, 64, 3600.0)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_time_enough_changes_nothing(retriever: Retriever, mode: Any) -> None:
    """The same hits, nothing dropped."""
    found = retriever.search(QUERY, mode=mode, deadline_ms=LONG)
    assert found == retriever.search(QUERY, mode=mode)
    assert found.dropped == ()
    assert found.encoder == (None if mode == "lexical" else "layers2")


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_a_smaller_encoder_takes_over(retriever: Retriever, ladder: Path, mode: Any) -> None:
    """With the hits of a retriever that was opened with it."""
    slow(retriever, "layers2")
    found = retriever.search(QUERY, mode=mode, deadline_ms=LONG)
    with edge_runtime.open(ladder, encoder="static") as small:
        assert found == small.search(QUERY, mode=mode)
    assert (found.encoder, found.dropped) == ("static", ("encoder",))


def test_words_alone_are_the_last_resort(retriever: Retriever) -> None:
    """The hits of lexical mode, as many as were asked for."""
    slow(retriever, "layers2", "static")
    found = retriever.search(QUERY, k=3, deadline_ms=LONG)
    assert found == retriever.search(QUERY, k=3, mode="lexical")
    assert len(found) == 3
    assert (found.encoder, found.dropped) == (None, ("dense",))


def test_dense_mode_is_rather_late_than_empty(retriever: Retriever, ladder: Path) -> None:
    """Who wants no words gets the smallest encoder."""
    slow(retriever, "layers2", "static")
    found = retriever.search(QUERY, mode="dense", deadline_ms=LONG)
    with edge_runtime.open(ladder, encoder="static") as small:
        assert found == small.search(QUERY, mode="dense")
    assert (found.encoder, found.dropped) == ("static", ("encoder",))


def test_a_bundle_of_one_encoder(bundle: Path) -> None:
    """Goes from both to words; in dense mode its encoder is late, and nothing was dropped."""
    with edge_runtime.open(bundle) as retriever:
        slow(retriever, "layers2")
        assert retriever.search(QUERY, deadline_ms=LONG).dropped == ("dense",)
        found = retriever.search(QUERY, mode="dense", deadline_ms=LONG)
        assert found == retriever.search(QUERY, mode="dense")
        assert (found.encoder, found.dropped) == ("layers2", ())


def test_a_smaller_encoder_that_cannot_be_loaded(ladder: Path, tmp_path: Path) -> None:
    """Its bundle was replaced meanwhile: a warning, once, and a deadline has one step fewer."""
    copy = Path(shutil.copytree(ladder, tmp_path / "bundle"))
    with edge_runtime.open(copy) as retriever:
        copy.rename(tmp_path / "old")
        shutil.copytree(ladder, copy)
        with pytest.warns(
            DeviceWarning, match=r"moved or replaced .*; where a deadline is near, words answer"
        ):
            assert retriever.search(QUERY, deadline_ms=LONG) == retriever.search(QUERY)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert retriever.search(QUERY, deadline_ms=LONG)
            assert retriever.search(QUERY, deadline_ms=1e-6).dropped == ("dense",)


def test_a_query_without_a_deadline_is_never_cut(retriever: Retriever) -> None:
    """Whatever others have learned."""
    slow(retriever, "layers2", "static")
    assert retriever.search(QUERY).dropped == ()


def test_a_filter_holds_with_a_deadline(retriever: Retriever) -> None:
    """Words alone find what is allowed, and nothing else; a filter that allows nothing finds nothing."""
    slow(retriever, "layers2", "static")
    where = {"section": "garden"}
    found = retriever.search("garden soil and seeds", where=where, deadline_ms=LONG)
    assert found
    assert {hit.metadata["section"] for hit in found} == {"garden"}
    assert retriever.search(QUERY, where={"section": "none"}, deadline_ms=LONG) == []


def test_each_query_of_a_batch_has_its_own(retriever: Retriever) -> None:
    """And its own answer to what was dropped."""
    slow(retriever, "layers2")
    found = retriever.search_batch([QUERY, "chain"], k=2, deadline_ms=LONG)
    assert [results.dropped for results in found] == [("encoder",)] * 2


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 10**400, True, "5", [5]])
def test_what_is_no_deadline(retriever: Retriever, value: Any) -> None:
    """One error that says so."""
    with pytest.raises(QueryError, match=r"^deadline_ms: expected a number above 0; found "):
        retriever.search(QUERY, deadline_ms=value)


def test_numbers_of_numpy_are_numbers(retriever: Retriever) -> None:
    """Whatever an application computed its deadline with."""
    assert retriever.search(QUERY, deadline_ms=np.float32(LONG)).dropped == ()


def test_the_tiniest_deadline_gets_words(retriever: Retriever) -> None:
    """It has passed before anything ran; what words find comes all the same."""
    retriever.warm_up()
    assert retriever.search(QUERY, deadline_ms=1e-6).dropped == ("dense",)


def test_warming_up_times_every_encoder(retriever: Retriever) -> None:
    """So that the first deadline is no guess."""
    retriever.warm_up()
    for encoder in ("layers2", "static"):
        assert not retriever._current.parts.pace.fits(encoder, 16, 1e-9)


def test_many_threads_load_the_smaller_encoder_once(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for it first."""
    loads: list[str] = []
    load: Callable[..., tower.QueryTower] = tower.QueryTower.load

    def counted(bundle: Any, spec: Any, **more: Any) -> tower.QueryTower:
        loads.append(spec.id)
        return load(bundle, spec, **more)

    monkeypatch.setattr(tower.QueryTower, "load", counted)
    slow(retriever, "layers2")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(retriever.search, QUERY, deadline_ms=LONG) for _ in range(32)]
    assert {each.result().encoder for each in asked} == {"static"}
    assert loads == ["static"]


def test_no_encoder_of_another_engine_steps_in(ladder: Path) -> None:
    """Nor one with as many layers: a static table has nothing below it."""
    manifest = manifests.read(ladder / manifests.FILENAME)
    static = manifest.encoder("static")
    assert tower.smaller(manifest, manifest.encoder("layers2")) == static
    assert tower.smaller(manifest, static) is None


def test_results_are_a_list() -> None:
    """Of hits, that other processes can be sent."""
    hit = Hit("key", 1.0, "title", "text", {}, 0, None, None)
    results = Results([hit], encoder="static", dropped=("encoder",))
    assert results == [hit]
    assert Results() == []
    copy = pickle.loads(pickle.dumps(results))
    assert (copy, copy.encoder, copy.dropped) == ([hit], "static", ("encoder",))
