"""Whether there is time for a stage: what stages took so far, and what a query has left.

A stage cannot be stopped once it runs, so a deadline is kept by not starting what would not end in time.
What it would take is learned from earlier queries on this very device, under its present load.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

RISE, FALL = 0.5, 0.05
"""An estimate goes half of the way up to a slower run and a twentieth down to a faster one: it settles where
a run in eleven is slower, if all are equally far off."""

FIRST_TRIAL, LAST_TRIAL = 64, 4096
"""What is left out is tried again after so many queries, then after twice as many: a load passes, and only a
measurement can show it."""

RERANK = "rerank"
"""The stage, and what is dropped."""

_RERANKER = "(reranker)"  # no encoder can have this id

Lap = Callable[[str], object]


class Pace:
    """Expected seconds of each stage. Threads may share one: an update lost to another does no harm."""

    def __init__(self) -> None:
        self._stages: dict[str, float] = {}
        self._encoders: dict[str, dict[int, float]] = {}
        self._a_character: float | None = None
        self._left_out: dict[str, int] = {}
        self._trial: dict[str, int] = {}

    def add(self, stage: str, seconds: float) -> None:
        """A stage other than encoding has run."""
        self._stages[stage] = _moved(self._stages.get(stage), seconds)

    def add_encoding(self, encoder: str, tokens: int, seconds: float) -> None:
        """An encoder has run on so many tokens."""
        known = self._encoders.setdefault(encoder, {})
        size = _size(tokens)
        known[size] = _moved(known.get(size), seconds)

    def add_reranking(self, characters: int, seconds: float) -> None:
        """The reranker has read so many characters of queries and passages, more than none."""
        self._a_character = _moved(self._a_character, seconds / characters)

    def fits(self, encoder: str, tokens: int, left: float) -> bool:
        """Whether this encoder and all that follows it are expected to end within `left` seconds.

        True as well where nothing is known, and when the encoder's trial is due.
        """
        rest = sum(self._stages.get(stage, 0.0) for stage in ("dense", "fuse", "fetch"))
        return self._decide(encoder, self._encoding(encoder, tokens) + rest, left)

    def fits_reranking(self, characters: int, left: float) -> bool:
        """The same of reading so many characters, and of fetching the hits."""
        reading = (self._a_character or 0.0) * characters
        return self._decide(_RERANKER, reading + self._stages.get("fetch", 0.0), left)

    def _decide(self, what: str, expected: float, left: float) -> bool:
        """Whether `what` is begun: it is expected to end in time, or its trial is due."""
        if expected <= left:
            self._left_out[what], self._trial[what] = 0, FIRST_TRIAL
            return True
        self._left_out[what] = self._left_out.get(what, 0) + 1
        if left <= 0 or self._left_out[what] < self._trial.get(what, FIRST_TRIAL):
            return False
        self._forget(what)
        return True

    def _encoding(self, encoder: str, tokens: int) -> float:
        """Of a length not seen yet: the next greater one's time, else in proportion to the greatest's."""
        known = dict(self._encoders.get(encoder, ()))
        if not known:
            return 0.0
        size = _size(tokens)
        greater = min((each for each in known if each >= size), default=None)
        if greater is not None:
            return known[greater]
        greatest = max(known)
        return known[greatest] * 2.0 ** (size - greatest)

    def _forget(self, what: str) -> None:
        """So that the trial's own times stand in place of old ones."""
        self._left_out[what] = 0
        self._trial[what] = min(2 * self._trial.get(what, FIRST_TRIAL), LAST_TRIAL)
        if what == _RERANKER:
            self._a_character = None
        self._encoders.pop(what, None)
        self._stages.clear()


class Clock:
    """One query's time: what is left of it, and each stage's, for the pace and for whoever measures."""

    def __init__(self, pace: Pace, *, deadline_ms: float | None = None, lap: Lap | None = None) -> None:
        """Starts now; `lap` is called with each stage as it ends."""
        self.pace = pace
        self._lap = lap
        self._last = time.perf_counter()
        self._end = math.inf if deadline_ms is None else self._last + deadline_ms / 1000

    @property
    def limited(self) -> bool:
        """Whether there is a deadline at all."""
        return self._end < math.inf

    @property
    def left(self) -> float:
        """Seconds; negative when the deadline has passed."""
        return self._end - time.perf_counter()

    def begin(self) -> None:
        """The first stage begins now; what passed before counts against the deadline, and to no stage."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Ends a stage."""
        self.pace.add(stage, self._ended(stage))

    def lap_encoding(self, encoder: str, tokens: int) -> None:
        """Ends the stage "encode"."""
        self.pace.add_encoding(encoder, tokens, self._ended("encode"))

    def lap_reranking(self, characters: int) -> None:
        """Ends the stage "rerank", which has read so many characters."""
        self.pace.add_reranking(characters, self._ended(RERANK))

    def _ended(self, stage: str) -> float:
        seconds = time.perf_counter() - self._last
        if self._lap is not None:
            self._lap(stage)
        self._last = time.perf_counter()
        return seconds


def _moved(expected: float | None, seconds: float) -> float:
    if expected is None:
        return seconds
    return expected + (RISE if seconds > expected else FALL) * (seconds - expected)


def _size(tokens: int) -> int:
    """Lengths up to the same power of two count as one."""
    return max(tokens - 1, 0).bit_length()
