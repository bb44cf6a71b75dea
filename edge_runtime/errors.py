"""Every error that this package raises on purpose.

    edge_runtime.Error
    ├── BundleError             the bundle cannot be used
    │   ├── ManifestError         manifest.yaml is missing, malformed or contradicts itself
    │   ├── IntegrityError        a file is missing, unlisted, cut short or not the bytes that were built
    │   ├── ArchiveError          a transport file (.edge) is cut short, damaged or not as pack writes it
    │   ├── SignatureError        not signed, or not by a key that this device trusts
    │   └── CompatibilityError    sound, but made for another runtime, engine or library version
    ├── EngineError             the inference engine is not installed or cannot run the encoder
    ├── SelfTestError           an encoder does not give on this device what it gave at the build
    ├── QueryError              the caller's query or argument cannot be used (also a ValueError)
    ├── StateError              what the device keeps about its bundles cannot be read or written
    ├── ConfigError             device.yaml, the device's configuration, cannot be used
    ├── StoreError              a bundle cannot be installed, rolled back, removed or found
    └── ClosedError             the retriever has been closed

A `DeviceWarning` says that something runs otherwise than the device's configuration asks for, or that a
bundle was rolled back.

Each message names the file or argument, what was expected, what was found and what to do next.
"""

from __future__ import annotations

_BARE = {
    *(RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, OSError),
    *(UnicodeEncodeError, UnicodeDecodeError),
}


def of_library(error: BaseException) -> bool:
    """Whether a compiled library may have raised it: they raise Python's own exceptions as they are, and ONNX
    Runtime classes of its own. Any other is a signal handler's, such as a caller's timeout, and must reach
    whoever waits for it.
    """
    return type(error) in _BARE or type(error).__module__.startswith("onnxruntime.")


class Error(Exception):
    """Base of every error raised by this package."""


class BundleError(Error):
    """The bundle cannot be used."""


class ManifestError(BundleError):
    """manifest.yaml is missing, malformed or contradicts itself."""


class IntegrityError(BundleError):
    """A bundle file is missing, unlisted, of the wrong size or of the wrong sha256."""


class ArchiveError(BundleError):
    """A transport file (.edge) is cut short, damaged or not as ``edge-build pack`` writes it."""


class SignatureError(BundleError):
    """A bundle is not signed, or not by a key that device.yaml trusts."""


class CompatibilityError(BundleError):
    """The bundle is sound but needs another runtime, engine or library version."""


class EngineError(Error):
    """The inference engine is not installed or cannot run the encoder."""


class SelfTestError(Error):
    """An encoder does not give on this device what it gave at the build."""


class QueryError(Error, ValueError):
    """The query, or another argument of the caller, cannot be used."""


class StateError(Error):
    """What the device keeps about its bundles, such as a calibration, cannot be read or written."""


class ConfigError(Error):
    """device.yaml, the device's configuration, cannot be read or used."""


class DeviceWarning(UserWarning):
    """An encoder runs, but not on what the device's configuration asks for; or an earlier bundle answers."""


class StoreError(Error):
    """A bundle cannot be installed, rolled back, removed or found; what answered before still does."""


class ClosedError(Error):
    """The retriever has been closed."""
