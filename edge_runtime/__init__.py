"""Offline semantic search on small computers: open a bundle, ask it questions.

    import edge_runtime

    with edge_runtime.open("python-library") as retriever:  # an installed bundle, or a directory
        for hit in retriever.search("remove a directory and everything in it", k=5):
            print(hit.score, hit.title, hit.text)

Importing this package loads no engine, no index library and no network module; `open` does what it needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import (
    ArchiveError,
    BundleError,
    ClosedError,
    CompatibilityError,
    ConfigError,
    DeviceWarning,
    EngineError,
    Error,
    IntegrityError,
    ManifestError,
    QueryError,
    SelfTestError,
    SignatureError,
    StateError,
    StoreError,
)
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from edge_runtime.candidates import Evidence
    from edge_runtime.duplicates import Duplicate, Passage
    from edge_runtime.hits import Hit, Results
    from edge_runtime.info import Info
    from edge_runtime.retriever import Retriever
    from edge_runtime.snippets import Snippet

__all__ = [
    "ArchiveError",
    "BundleError",
    "ClosedError",
    "CompatibilityError",
    "ConfigError",
    "DeviceWarning",
    "Duplicate",
    "EngineError",
    "Error",
    "Evidence",
    "Hit",
    "Info",
    "IntegrityError",
    "ManifestError",
    "Passage",
    "QueryError",
    "Results",
    "Retriever",
    "SelfTestError",
    "SignatureError",
    "Snippet",
    "StateError",
    "StoreError",
    "__version__",
    "open",
]

_LAZY = {
    "Duplicate": "edge_runtime.duplicates",
    "Evidence": "edge_runtime.candidates",
    "Hit": "edge_runtime.hits",
    "Info": "edge_runtime.info",
    "Passage": "edge_runtime.duplicates",
    "Results": "edge_runtime.hits",
    "Retriever": "edge_runtime.retriever",
    "Snippet": "edge_runtime.snippets",
}


def open(  # noqa: A001 (edge_runtime.open reads as gzip.open does)
    bundle: str | os.PathLike[str],
    *,
    encoder: str | None = None,
    threads: int | None = None,
    verify: Literal["full", "size"] | None = None,
    follow: bool = False,
) -> Retriever:
    """Opens a bundle for searching.

    Args:
        bundle: the directory, or the name of an installed bundle where no directory has that name. What is
            open stays as it is while another bundle of the name is installed.
        encoder: the id of the query encoder to use. ``"auto"``, or None, is the one that
            ``edge-runtime calibrate`` chose on this device; the bundle's first where none was.
        threads: compute threads of the engine, a query; those of the device's configuration, else one,
            when None. One is best on small boards.
        verify: ``"full"`` hashes every file first; ``"size"`` starts faster and trusts an earlier full check.
            None is "size" for an installed bundle, which was checked then, and "full" for a directory.
        follow: once another bundle of the name is installed, or the directory is replaced, a thread opens it;
            the old one answers until then, and goes on if the new one cannot be opened (`DeviceWarning`).
            Each search looks, which takes microseconds; `Retriever.reload` does it when you say so.

    Raises:
        BundleError: missing, not installed, damaged or made for another runtime (see its subclasses).
        EngineError: the encoder's engine is not installed or refuses it.
        ConfigError: the device's configuration, device.yaml, cannot be used.
        StoreError: the store of installed bundles cannot be read.
        QueryError: an argument that cannot be used, such as an encoder that the bundle does not have.

    An installed bundle that has used up its trial is rolled back first, with a `DeviceWarning`.
    """
    from edge_runtime.retriever import Retriever
    from edge_runtime.source import Source

    return Retriever(Source.of(bundle, encoder, threads, verify), follow=follow)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
