"""Every error that the desktop side raises on purpose; all are `edge_runtime.Error`.

edge_runtime.Error
└── BuildError        the build cannot go on
├── RecipeError     the recipe, or a --set, is wrong
├── CorpusError     a document cannot be read
├── ModelError      a model is missing, not the official one, or of an unsupported shape
├── DataError       queries or relevance judgements do not fit the bundle
├── GateError       a measured figure fell short of the recipe's gates
├── SigningError    a key cannot be made, read or used
└── FlashError      a bundle, or the runtime, could not be brought to a device
    └── LineError     the line to it broke; what has arrived stays there
"""

from __future__ import annotations

from edge_runtime.errors import Error


class BuildError(Error):
    """The build cannot go on."""


class RecipeError(BuildError):
    """The recipe, or a --set, is wrong."""


class CorpusError(BuildError):
    """A document cannot be read."""


class ModelError(BuildError):
    """A model is missing, not the official one, or of an unsupported shape."""


class DataError(BuildError):
    """Queries or relevance judgements do not fit the bundle."""


class SigningError(BuildError):
    """A key cannot be made, read or used."""


class GateError(BuildError):
    """A measured figure fell short of the recipe's gates."""


class FlashError(BuildError):
    """A bundle, or the runtime itself, could not be brought to a device; it has what it had."""


class LineError(FlashError):
    """The line to a device broke. What has arrived stays there, and the next attempt goes on behind it."""
