"""Query encoders run by LiteRT, or by tflite-runtime where that is what a device has.

A TFLite file has one signature, which is resized to each query; or one for each of a few numbers of tokens
(see `EncoderSpec.lengths`), and a query is padded to the next. Both packages read the same file alike.
Delegates, libraries that hand operators to other hardware, come from the device's configuration; without one,
or when it fails, XNNPACK runs on the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.device_config import FILENAME, Delegate
from edge_runtime.encoder_spec import EncoderSpec, signature
from edge_runtime.encoders.base import Encoder, check_path, checked_vector, first_line, package_version
from edge_runtime.errors import ClosedError, DeviceWarning, EngineError, of_library
from edge_runtime.residence import AROUND, MAPPING, NOTHING_MAPPED, Residence, mapped

PACKAGES = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}
"""Modules that can run a file, the better first, and what pip calls them."""

_DELEGATE_FUNCTIONS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")

INPUTS, OUTPUT = ("attention_mask", "input_ids"), "sentence_embedding"


class TfliteEncoder(Encoder):
    """A TensorFlow Lite interpreter. Thread-safe; it has one set of tensors, so queries go one at a time."""

    def __init__(self, interpreter: Any, spec: EncoderSpec, *, engine: str) -> None:
        self.engine = engine
        self._interpreter, self._spec = interpreter, spec
        self._runners: dict[int | None, Any] = {}
        self._residence = NOTHING_MAPPED
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, path: Path, spec: EncoderSpec, *, threads: int = 1, delegates: Sequence[Delegate] = ()
    ) -> TfliteEncoder:
        """Maps the file at `path`.

        Args:
            path: the model.
            spec: the manifest's entry for it.
            threads: compute threads a query.
            delegates: to hand operators to, in this order. One that cannot be had is left out with a
                `DeviceWarning`.

        Raises:
            EngineError: neither package is installed, or the one that is refuses the file.
        """
        check_path(path)
        module, engine = _import(spec)
        loaded = _load_delegates(module, delegates)
        with MAPPING:
            known = mapped(path)  # by others
            interpreter = _interpreter(module, engine, path, spec, threads, loaded)
            if loaded:
                engine = f"{engine} ({', '.join(Path(name).name for name in loaded)})"
            encoder = cls(interpreter, spec, engine=engine)
            encoder._run([0])  # packs the weights: from now on only rows of the word table are read
            encoder._residence = Residence.of_table(path, known=known)
        return encoder

    def encode(self, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """One run, at the query's length or padded to the next that there is; see `Encoder.encode`.

        Raises:
            ClosedError: after `close`.
        """
        return checked_vector(self._run(token_ids), self._spec.ndim)

    def close(self) -> None:
        """Drops the interpreter."""
        with self._lock:
            self._interpreter = None
            self._runners.clear()

    def _run(self, token_ids: Sequence[int]) -> NDArray[Any]:
        count, lengths = len(token_ids), self._spec.lengths
        most = lengths[-1] if lengths else self._spec.max_tokens
        if not 0 < count <= most:
            raise EngineError(f"{self.engine} failed: expected 1 to {most} tokens; found {count}")
        length = lengths[bisect_left(lengths, count)] if lengths else None
        shape = (1, length or count)
        ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        mask[0, :count] = 1
        with self._lock:
            if self._interpreter is None:
                raise ClosedError("the encoder has been closed; open the bundle again")
            try:
                ids[0, :count] = token_ids
                outputs = self._runner(length)(input_ids=ids, attention_mask=mask)
            except Exception as error:
                if not of_library(error):
                    raise
                raise EngineError(f"{self.engine} failed on {count} tokens ({first_line(error)})") from None
            self._residence.touch(count * AROUND)  # as long as the interpreter keeps the model mapped
        output: NDArray[Any] = outputs[OUTPUT]
        return output

    def _runner(self, length: int | None) -> Any:
        """The signature's for `length`; the only one's, which takes inputs of any, when None."""
        if length not in self._runners:
            self._runners[length] = self._interpreter.get_signature_runner(signature(length))
        return self._runners[length]


def installed() -> str | None:
    """Name and version of what `TfliteEncoder.load` would import; None when there is neither."""
    for module, package in PACKAGES.items():
        version = package_version(module)
        if version is not None:
            return f"{package} {version}".rstrip()
    return None


def _import(spec: EncoderSpec) -> tuple[Any, str]:
    """The interpreter's module, and the package's name and version."""
    problems = []
    for name, package in PACKAGES.items():
        try:
            module = importlib.import_module(f"{name}.interpreter")
        except ImportError as error:
            problems.append(f"{package}: {first_line(error)}")
            continue
        return module, f"{package} {package_version(name) or ''}".rstrip()
    raise EngineError(
        f"encoder {spec.id} needs LiteRT ({'; '.join(problems)}); "
        "install it: pip install 'edge-runtime[tflite]'"
    )


def _interpreter(
    module: Any, engine: str, path: Path, spec: EncoderSpec, threads: int, loaded: dict[str, Any]
) -> Any:
    """What runs the file: with all delegates, or without any and none left in `loaded`."""
    interpreter = _delegated(module, path, spec, threads, loaded) if loaded else None
    try:
        if interpreter is None:
            # From the path, which is mapped; bytes would be a copy for the encoder's life.
            interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
        found = interpreter.get_signature_list()
    except Exception as error:  # ValueError and RuntimeError, by what is wrong
        if not of_library(error):
            raise
        raise EngineError(f"{path}: {engine} refuses this encoder ({first_line(error)})") from None
    _check_signatures(found, spec, path)
    return interpreter


def _load_delegates(module: Any, delegates: Sequence[Delegate]) -> dict[str, Any]:
    """Those that can be loaded, by library."""
    loaded = {}
    for delegate in delegates:
        try:
            _check_library(delegate.library)
            loaded[delegate.library] = module.load_delegate(delegate.library, dict(delegate.options))
        except Exception as error:  # OSError from the loader, ValueError from the delegate
            if not of_library(error):
                raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            _warn(delegate.library, lines[-1][:200])  # LiteRT puts the delegate's own words last
    return loaded


def _check_library(name: str) -> None:
    """Before `load_delegate`, whose objects complain from their finalizer when they were not finished."""
    import ctypes

    library = ctypes.CDLL(name)
    if not all(hasattr(library, function) for function in _DELEGATE_FUNCTIONS):
        raise ValueError(f"no TFLite delegate: it has no {_DELEGATE_FUNCTIONS[0]}")


def _delegated(module: Any, path: Path, spec: EncoderSpec, threads: int, loaded: dict[str, Any]) -> Any:
    """An interpreter with all delegates; None, and none left in `loaded`, when one refuses the file."""
    try:
        made = module.Interpreter(
            model_path=str(path), num_threads=threads, experimental_delegates=list(loaded.values())
        )
        made.get_signature_runner(signature(*spec.lengths[:1]))  # a delegate may fail as late as this
    except Exception as error:
        if not of_library(error):
            raise
        _warn(", ".join(loaded), first_line(error))
        loaded.clear()
        return None
    return made


def _warn(library: str, problem: str) -> None:
    text = f"{FILENAME} asks for the delegate {library}, which cannot be used here ({problem})"
    warnings.warn(f"{text}; XNNPACK on the CPU runs instead", DeviceWarning, stacklevel=3)


def _check_signatures(found: Any, spec: EncoderSpec, path: Path) -> None:
    expected = {"inputs": list(INPUTS), "outputs": [OUTPUT]}
    for name in map(signature, spec.lengths or (None,)):
        each = found.get(name)
        if each is None:
            raise EngineError(
                f"{path}: has the signatures {', '.join(found) or 'none'}; expected {name}; "
                "rebuild the bundle"
            )
        shown = {"inputs": sorted(each["inputs"]), "outputs": list(each["outputs"])}
        if shown != expected:
            raise EngineError(
                f"{path}: {name} takes {', '.join(shown['inputs'])} and gives "
                f"{', '.join(shown['outputs'])}; expected {', '.join(INPUTS)} and {OUTPUT}; "
                "rebuild the bundle"
            )
