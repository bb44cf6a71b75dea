"""What the time of a search depends on, apart from the number of passages: by it calibrations are known."""

from __future__ import annotations

from edge_runtime.bundle import sha256_of_few
from edge_runtime.manifest import Manifest


def digest(manifest: Manifest) -> str:
    """The sha256 of the kind of index, and of each encoder's files, its tokenizer and how they are asked.

    A bundle whose documents were updated has the same.
    """
    sums = {entry.path: entry.sha256 for entry in manifest.files}
    rungs = [
        (spec.id, spec.prompt, spec.max_tokens, *(sums[member] for member in (*spec.members, spec.tokenizer)))
        for spec in manifest.encoders
    ]
    return sha256_of_few(repr((manifest.index.search, rungs)).encode())
