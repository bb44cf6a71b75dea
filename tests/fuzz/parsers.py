"""The parsers that read what strangers may have written, each as a function of bytes.

A parser either makes something of its input or raises an error of ours: anything else is a finding.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from build_tools.pack import pack
from edge_runtime import device_config, filters, manifest, signature, state
from edge_runtime.archive import Archive
from edge_runtime.errors import Error

CORPUS = Path(__file__).with_name("corpus")


def _archive(data: bytes) -> None:
    for _, pieces in Archive(io.BytesIO(data), "fuzz").files():
        for _ in pieces:
            pass


def _filter(data: bytes) -> None:
    filters.parse(filters.from_json(data.decode("utf-8", "replace")))


def _manifest(data: bytes) -> None:
    """What is read is written such that it is read again as the same."""
    found = manifest.parse(data)
    assert manifest.parse(manifest.dump(found)) == found


_SEEDS: dict[str, tuple[bytes, ...]] = {
    "device": (
        b"threads: 2\nonnx:\n  providers:\n    - {name: XNNPACKExecutionProvider, options: {a: '1'}}\n",
        b"tflite:\n  delegates:\n    - {library: /usr/lib/libedgetpu.so.1, options: {device: usb}}\n",
    ),
    "filter": (
        b'{"section": "1", "year": {"gte": 2020, "lt": 2.5e3}, "lang": {"in": ["en", "de", null]}}',
        b'{"or": [{"a": {"exists": true}}, {"not": {"b": false}}, {"and": [{"c": -1}]}]}',
    ),
    "signature": (
        b"untrusted comment: x\n"
        b"RUTNvHbeXhfWg7pMgd6TBwc8zg8OIl11V1q6bJPFanzOn1nu817ceH9hOorxns9bDNmo87THAejx9370oVdMToMNmpCzUTQAQwQ=\n"
        b"trusted comment: tiny 1.0.0\n"
        b"kDdOgyDUX87hiLQvDCdNVTkyOTKK4/tSthBV2hyQ6Tp7bPRigYsfA3aqvX84m+6dj1oXDZJrF+v2Ut3xeiAUCg==\n",
    ),
    "state": (
        b"calibrations: []\ntrial: {bundle: 1.0.0-0123456789ab, limit: 3, tries: 1}\nevents:\n"
        b"- {when: '2026-01-01T00:00:00+00:00', bundle: 1.0.0-0123456789ab, action: install, result: done}\n",
    ),
}


def seeds(name: str) -> list[bytes]:
    """Sound inputs to begin with."""
    golden = sorted(CORPUS.parents[1].glob("golden/*"))
    if name == "manifest":
        return [(folder / manifest.FILENAME).read_bytes() for folder in golden]
    if name == "archive":
        with tempfile.TemporaryDirectory() as temporary:
            return [pack(folder, Path(temporary, f"{folder.name}.edge")).read_bytes() for folder in golden]
    return list(_SEEDS[name])


def kept(name: str) -> list[bytes]:
    """Inputs that once reached something new, or were once too much for the parser."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def _signature(data: bytes) -> None:
    """What is read is written such that it is read again as the same."""
    found = signature.Signature.parse(data, "fuzz")
    assert signature.Signature.parse(found.dump(), "fuzz") == found


PARSERS: dict[str, Callable[[bytes], object]] = {
    "archive": _archive,
    "device": device_config.parse,
    "filter": _filter,
    "manifest": _manifest,
    "signature": _signature,
    "state": state.parse,
}


def feed(name: str, data: bytes) -> str:
    """What a parser makes of some bytes: ``read``, or the class of the error of ours."""
    try:
        PARSERS[name](data)
    except Error as error:
        return type(error).__name__
    return "read"
