"""ONNX Runtime sessions: on what the device's configuration prefers, else on the CPU."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import cpu
from edge_runtime.device_config import CPU, FILENAME, Provider
from edge_runtime.encoders.base import check_path, first_line, package_version
from edge_runtime.errors import DeviceWarning, EngineError, of_library

SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
"""Optimizers of ONNX Runtime that are left out. The first one's operator takes three times as long as the
addition and the normalisation that it replaces; the other's adds a bias that the product before it adds
for nothing. With three layers and 16 tokens a query took .85 ms with them, .64 without (x86-64).
"""


def open_session(
    path: Path, about: str, *, threads: int = 1, providers: Sequence[Provider] = ()
) -> tuple[Any, str]:
    """The session of a model, and the name and version of what runs it.

    Args:
        path: the model.
        about: what it is, for errors: "encoder layers3".
        threads: compute threads a run.
        providers: to run it on, in order of preference. What cannot be had is left out with a
            `DeviceWarning`; the CPU's is always the last.

    Raises:
        EngineError: onnxruntime is not installed or refuses the file.
    """
    check_path(path)
    forbid_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"{about} needs ONNX Runtime ({first_line(error)}); install it: pip install 'edge-runtime[onnx]'"
        ) from None
    version = f"onnxruntime {onnxruntime.__version__}"
    available = onnxruntime.get_available_providers()
    usable = [provider for provider in providers if provider.name in available]
    session, problem = _first_session(onnxruntime, path, threads, usable)
    if session is None:
        raise EngineError(f"{path}: {version} refuses {about} ({problem})")
    running = session.get_providers()
    for provider in providers:
        if provider.name not in running:
            why = f"cannot use here ({problem or 'it says no more'})"
            if provider not in usable:
                why = f"was not built with (it has {', '.join(available)})"
            _warn(f"{provider.name}, which {version} {why}; {', '.join(running)} runs instead")
    accelerators = ", ".join(name for name in running if name != CPU)
    return session, f"{version} ({accelerators})" if accelerators else version


def forbid_telemetry() -> None:
    """Keeps ONNX Runtime from reporting to its makers; to be called before it is imported.

    From 1.29 on it has a thread that does so over the network, and keeps an identifier of the device in the
    user's home. These variables are its full opt-out, by the released name and by that of early builds; the
    function of its Python API comes too late for the first report. See Privacy.md in its package.
    """
    os.environ.update(ORT_DISABLE_TELEMETRY="1", ORT_TELEMETRY_DISABLED="1")


def installed() -> str | None:
    """Name and version of the ONNX Runtime that `open_session` would import; None when there is none."""
    version = package_version("onnxruntime")
    return None if version is None else f"onnxruntime {version}".rstrip()


def _first_session(
    onnxruntime: Any, path: Path, threads: int, providers: Sequence[Provider]
) -> tuple[Any, str]:
    """The first session that can be made, None where none can; and what the first failure said."""
    problem = ""
    for attempt in _attempts(providers):
        chain = [*((provider.name, dict(provider.options)) for provider in attempt), CPU]
        try:
            # From the path: a session made from bytes keeps them for its life.
            session = onnxruntime.InferenceSession(
                str(path),
                _options(onnxruntime, threads),
                providers=chain,
                disabled_optimizers=list(SLOW_FUSIONS),
                enable_fallback=0,  # its own prints to stdout, and forgets the providers that would do
            )
        except Exception as error:  # each failure has its own class in a private module
            if not of_library(error):
                raise
            problem = problem or first_line(error)
        else:
            return session, problem
    return None, problem


def _attempts(providers: Sequence[Provider]) -> Iterator[Sequence[Provider]]:
    """All together; since a failure does not tell whose it is, then each alone; then the CPU."""
    yield providers
    if len(providers) > 1:
        yield from ([provider] for provider in providers)
    if providers:
        yield ()


def _warn(text: str) -> None:
    warnings.warn(f"{FILENAME} asks for {text}", DeviceWarning, stacklevel=4)


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    # Explicit counts: the default pins threads to cores, which fails in containers.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning burns five times the CPU between queries; the arena only grows memory for inputs this small.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    # x86-64 processors without VNNI add two products of int8 in 16 bits, which overflow: their vectors were
    # not those of other machines. With this they multiply unsigned numbers, as those with VNNI would too,
    # for half as much time again; on ARM it does nothing.
    if not cpu.has_dot_product(cpu.describe().features):
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    return options
