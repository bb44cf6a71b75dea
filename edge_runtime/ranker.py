"""From a query's text to the best documents: encode, search by meaning and by words, fuse.

With a deadline, what would not end in time is not begun, from the dearest on: the encoder (a smaller one of
the bundle takes its place), then meaning as a whole. Words are always searched first; they cost least.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edge_runtime import candidates, fusion, grouping, tower
from edge_runtime.allowed import Allowed
from edge_runtime.bundle import Bundle
from edge_runtime.candidates import Candidate, Grouped
from edge_runtime.deadline import Clock
from edge_runtime.dense import DenseIndex
from edge_runtime.device_config import DEFAULT, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.encoder_spec import EncoderSpec
from edge_runtime.errors import DeviceWarning, Error
from edge_runtime.lexical import LexicalIndex
from edge_runtime.ranking import Ranking
from edge_runtime.tower import QueryTower
from edge_runtime.word_scores import WordScores

ENCODER, DENSE = "encoder", "dense"
"""What can be dropped: the encoder, for a smaller one; the dense stage, so that words answer alone."""

WARM_UP_TOKENS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best documents, which encoder found them by meaning (None: none did), and what was dropped."""

    candidates: list[Candidate]
    encoder: str | None
    dropped: tuple[str, ...] = ()


class Ranker:
    """The stages of a search up to the fetching of texts. Thread-safe; closes what it was given."""

    def __init__(
        self,
        bundle: Bundle,
        chosen: QueryTower,
        *,
        dense: DenseIndex,
        lexical: LexicalIndex,
        documents: Documents,
        config: DeviceConfig = DEFAULT,
    ) -> None:
        self._bundle, self._manifest, self._config = bundle, bundle.manifest, config
        self._dense, self._lexical, self._documents = dense, lexical, documents
        self._towers = [chosen]
        self._complete = False
        self._lock = threading.Lock()

    def rank(self, text: str, k: int, *, mode: str, allowed: Allowed | None, clock: Clock) -> Ranked:
        """The best `k` documents of those that are allowed."""
        if allowed is not None and allowed.documents == 0:
            return Ranked([], None)
        if mode == "dense":
            return self._alone(text, k, allowed, clock)
        settings = self._manifest.fusion
        wanted = max(k, settings.depth) if mode == "hybrid" else k
        words, scores = self._by_words(text, wanted, allowed, clock)
        if mode == "lexical":
            return Ranked(candidates.single(words, lexical=True), None)
        found = self._first_that_fits(text, clock)
        if found is None:
            return Ranked(candidates.single(words, lexical=True)[:k], None, (DENSE,))
        chosen, token_ids = found
        dense = self._by_meaning(chosen, token_ids, wanted, allowed, clock)
        fused = fusion.fuse(dense, words, scores, spec=settings, limit=k)
        clock.lap("fuse")
        return Ranked(fused, chosen.id, self._dropped(chosen))

    def warm_up(self, clock: Clock) -> None:
        """Times every encoder that a deadline may ask for, on queries of several lengths, and one search."""
        for each in self._ladder():
            for tokens in WARM_UP_TOKENS:
                token_ids = each.tokenize("a " * tokens)[: min(tokens, each.max_tokens)]
                clock.lap("tokenize")
                self._by_meaning(each, token_ids, 1, None, clock)

    def close(self) -> None:
        """Frees the encoders and both indexes."""
        for each in self._towers:
            each.close()
        self._dense.close()
        self._lexical.close()

    def _alone(self, text: str, k: int, allowed: Allowed | None, clock: Clock) -> Ranked:
        """By meaning only; when nothing fits, the smallest encoder is late rather than the answer empty."""
        found = self._first_that_fits(text, clock)
        if found is None:
            smallest = self._ladder()[-1]
            found = smallest, smallest.tokenize(text)
        chosen, token_ids = found
        dense = self._by_meaning(chosen, token_ids, k, allowed, clock)
        return Ranked(candidates.single(dense, lexical=False), chosen.id, self._dropped(chosen))

    def _dropped(self, used: QueryTower) -> tuple[str, ...]:
        return () if used is self._towers[0] else (ENCODER,)

    def _first_that_fits(self, text: str, clock: Clock) -> tuple[QueryTower, list[int]] | None:
        """An encoder with its tokens; the chosen one unless a deadline forbids it."""
        for each in self._ladder() if clock.limited else self._towers[:1]:
            token_ids = each.tokenize(text)
            clock.lap("tokenize")
            if not clock.limited or clock.pace.fits(each.id, len(token_ids), clock.left):
                return each, token_ids
        return None

    def _ladder(self) -> list[QueryTower]:
        """The chosen encoder and, if there is one, a smaller; loaded when a deadline first asks for it."""
        with self._lock:
            if not self._complete:
                spec = tower.smaller(self._manifest, self._manifest.encoder(self._towers[0].id))
                if spec is not None:
                    self._load_smaller(spec)
                self._complete = True
        return self._towers

    def _load_smaller(self, spec: EncoderSpec) -> None:
        """What cannot be loaded, perhaps since its bundle was replaced by another, is one step fewer."""
        try:
            self._towers.append(QueryTower.load(self._bundle, spec, config=self._config))
        except Error as error:
            self._complete = True  # should the warning be raised
            text = f"{error}; where a deadline is near, words answer in place of encoder {spec.id}"
            warnings.warn(text, DeviceWarning, stacklevel=2)

    def _by_meaning(
        self, chosen: QueryTower, token_ids: list[int], wanted: int, allowed: Allowed | None, clock: Clock
    ) -> Grouped:
        vector = chosen.encode(token_ids)
        clock.lap_encoding(chosen.id, len(token_ids))
        search = partial(self._dense.search, vector, allowed=allowed)
        grouped = self._documents_of(search, wanted, allowed)
        clock.lap("dense")
        return grouped

    def _by_words(
        self, text: str, wanted: int, allowed: Allowed | None, clock: Clock
    ) -> tuple[Grouped, WordScores]:
        scores = self._lexical.scores(text)
        grouped = self._documents_of(partial(scores.best, allowed=allowed), wanted, allowed)
        clock.lap("lexical")
        return grouped, scores

    def _documents_of(
        self, search: Callable[[int], Ranking], wanted: int, allowed: Allowed | None
    ) -> Grouped:
        among = allowed or self._manifest.documents
        return grouping.first_documents(search, wanted, documents=self._documents, among=among)
