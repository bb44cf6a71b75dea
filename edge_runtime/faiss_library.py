"""faiss, which only bundles with product codes need: an extra, imported when such a bundle is opened."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from edge_runtime.errors import CompatibilityError

MISSING = (
    "the vectors of this bundle are searched by faiss, which is not installed; "
    "pip install 'edge-runtime[faiss]'"
)


@cache
def faiss() -> Any:
    """The library.

    Raises:
        CompatibilityError: it is not installed, or cannot be loaded here.
    """
    try:
        return import_module("faiss")
    except ModuleNotFoundError as error:
        raise CompatibilityError(MISSING if error.name == "faiss" else _broken(error)) from None
    except (ImportError, OSError) as error:  # made for another processor or C library
        raise CompatibilityError(_broken(error)) from None


def obstacle(search: Literal["exact", "hnsw", "two-stage", "pq"]) -> str | None:
    """Why an index cannot be searched here; None where it can. Nothing is imported."""
    return MISSING if search == "pq" and find_spec("faiss") is None else None


def _broken(error: Exception) -> str:
    return f"faiss cannot be loaded ({error}); pip install --force-reinstall 'edge-runtime[faiss]'"
