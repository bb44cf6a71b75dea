"""All that was loaded of one bundle, and is closed together once the last search has left it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge_runtime import arguments, residence
from edge_runtime.bundle import Bundle
from edge_runtime.deadline import Pace
from edge_runtime.dense import DenseIndex
from edge_runtime.device_config import DEFAULT, MAX_THREADS, DeviceConfig
from edge_runtime.documents import Documents
from edge_runtime.gate import Gate
from edge_runtime.lexical import LexicalIndex
from edge_runtime.ranker import Ranker
from edge_runtime.second_stage import SecondStage
from edge_runtime.tower import QueryTower


@dataclass(frozen=True, slots=True)
class Parts:
    """What a search goes through. Whoever uses them is in the `gate`."""

    bundle: Bundle
    tower: QueryTower
    dense: DenseIndex
    documents: Documents
    ranker: Ranker
    second: SecondStage
    gate: Gate = field(default_factory=Gate)
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        encoder: str | None = None,
        threads: int | None = None,
        config: DeviceConfig = DEFAULT,
    ) -> Parts:
        """Loads every part of a verified bundle.

        Args:
            bundle: closed with the parts.
            encoder: an id (not "auto"); the first when None.
            threads: in place of those of `config`.
            config: what the encoder should run on.

        Raises:
            BundleError: a part cannot be used.
            EngineError: the encoder's engine is missing or refuses it.
            QueryError: no such encoder, or `threads` is not a whole number from 1 to 256.
        """
        if threads is not None:
            config = replace(config, threads=arguments.whole(threads, "threads", most=MAX_THREADS))
        manifest = bundle.manifest
        spec = manifest.encoder(encoder)
        # Before usearch is imported, see `DenseIndex.open`.
        tower = QueryTower.load(bundle, spec, config=config)
        dense = DenseIndex.open(bundle, manifest.index)
        lexical = LexicalIndex.open(bundle, manifest.lexical)
        documents = Documents.open(bundle, manifest.documents)
        ranker = Ranker(bundle, tower, dense=dense, lexical=lexical, documents=documents, config=config)
        second = SecondStage(bundle, documents, config=config)
        residence.give_back([bundle.path(member) for member in spec.members])
        return cls(bundle, tower, dense=dense, documents=documents, ranker=ranker, second=second)

    def close(self) -> None:
        """Frees everything once those in the gate have left (`Gate.shut`). Calling it again does nothing."""
        self.gate.shut(self._free)

    def _free(self) -> None:
        for part in (self.ranker, self.second, self.documents, self.bundle):
            part.close()
