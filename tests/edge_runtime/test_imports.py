"""What importing and using the device package drags in, seen from fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime.calibrate import calibrate

ROOT = Path(__file__).parents[2]

HEAVY = {
    *("torch", "transformers", "sentence_transformers", "huggingface_hub", "build_tools", "bm25s"),
    *("onnxruntime", "usearch", "tokenizers"),
}
DEVICE = {"usearch", "tokenizers"}
NETWORK = {"socket", "ssl", "http", "http.client", "urllib.request", "requests", "asyncio"}


def run(code: str, *arguments: str) -> Any:
    """What `code` prints, as JSON, from a process that imports nothing of ours but `edge_runtime`."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["edge_runtime", "edge_runtime.cli", "edge_runtime.bench.options"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    """No engine, no index library, no network module, not even NumPy."""
    loaded = set(run(f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"))
    assert not loaded & (HEAVY | NETWORK | {"numpy", "yaml", "sqlite3", "subprocess"})


def test_building_the_command_line_loads_nothing_heavy() -> None:
    """The help of every command, the benchmark's too, is there at once."""
    code = (
        "import json, sys; from edge_runtime import cli; cli._parser(); print(json.dumps(list(sys.modules)))"
    )
    assert not set(run(code)) & (HEAVY | NETWORK | {"numpy"})


@pytest.mark.parametrize("module", ["bundle", "retriever", "bench", "calibrate", "choice", "device"])
def test_no_module_imports_an_engine(module: str) -> None:
    """Engine and index library wait for `open`; tokenizers, numpy and yaml may come with the parts."""
    loaded = set(run(f"import json, sys, edge_runtime.{module}; print(json.dumps(list(sys.modules)))"))
    assert not loaded & (HEAVY - {"tokenizers"})


QUERY = """
import json, os, sys
events = []
sys.addaudithook(lambda event, _: events.append(event) if event.startswith("socket.") else None)
import edge_runtime
with edge_runtime.open(sys.argv[1]) as retriever:
    hits = retriever.search("yeast and dough")
    retriever.encode(["dough"])
    sockets = [link for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")
               and (link := os.readlink(f"/proc/self/fd/{fd}")).startswith("socket:")]
print(json.dumps({"hits": len(hits), "events": events, "sockets": sockets, "modules": list(sys.modules)}))
"""


def test_answering_opens_no_socket_and_needs_no_torch(bundle: Path) -> None:
    """A whole query, watched by the interpreter's own audit events."""
    found = run(QUERY, str(bundle))
    assert found["hits"] == 10
    assert found["events"] == []
    assert found["sockets"] == []
    assert not set(found["modules"]) & {
        "torch",
        "transformers",
        "sentence_transformers",
        "build_tools",
        "bm25s",
    }


OPEN = """
import json, sys
import edge_runtime
with edge_runtime.open(sys.argv[1]) as retriever:
    retriever.search("yeast and dough")
    print(json.dumps({"encoder": retriever.info().encoder, "modules": list(sys.modules)}))
"""


def test_a_static_encoder_needs_no_engine(static_bundle: Path) -> None:
    """Not even where one is installed: what is not loaded costs neither memory nor time."""
    found = run(OPEN, str(static_bundle))
    assert found["encoder"] == "static"
    assert not set(found["modules"]) & {"onnxruntime", "tflite_runtime", "ai_edge_litert", *HEAVY - DEVICE}


def test_a_calibration_loads_little_more(static_bundle: Path, home: Path) -> None:
    """Neither the benchmark nor what describes the machine, which brings network modules with it."""
    before = set(run(OPEN, str(static_bundle))["modules"])
    calibrate(static_bundle, n=1, warm_up=0, budget_ms=1e6)
    after = set(run(OPEN, str(static_bundle))["modules"])
    assert (home / "bundles/tiny/state.yaml").exists()
    assert not {name for name in after - before if name.startswith("edge_runtime.")}
    assert not (after - before) & {*HEAVY, *NETWORK, "subprocess", "importlib.metadata"}


WITHOUT = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'")
sys.meta_path.insert(0, Refuse())
import edge_runtime
try:
    edge_runtime.open(sys.argv[1])
except edge_runtime.EngineError as error:
    print(json.dumps(str(error)))
"""


def test_a_missing_engine_is_named_with_the_command(bundle: Path) -> None:
    """The engine is an extra; the error says how to get it."""
    assert run(WITHOUT, str(bundle)) == (
        "encoder layers2 needs ONNX Runtime (No module named 'onnxruntime'); "
        "install it: pip install 'edge-runtime[onnx]'"
    )


def test_the_public_surface_is_exactly_this() -> None:
    """A name more or less is a decision, not an accident."""
    errors = ["BundleError", "ClosedError", "CompatibilityError", "EngineError", "Error", "IntegrityError"]
    errors += ["ArchiveError", "ConfigError", "ManifestError", "QueryError", "SelfTestError", "StateError"]
    errors += ["SignatureError", "StoreError"]
    answers = ["Duplicate", "Evidence", "Hit", "Passage", "Results", "Snippet"]
    assert sorted(edge_runtime.__all__) == sorted(
        [*errors, *answers, "DeviceWarning", "Info", "Retriever", "__version__", "open"]
    )
    for name in edge_runtime.__all__:
        assert getattr(edge_runtime, name) is not None
    for name in errors:
        assert issubclass(getattr(edge_runtime, name), edge_runtime.Error)
    with pytest.raises(AttributeError, match="module 'edge_runtime' has no attribute 'close'"):
        _ = edge_runtime.close  # type: ignore[attr-defined]


def test_every_public_name_is_documented() -> None:
    """And so is every public method."""
    for name in set(edge_runtime.__all__) - {"__version__"}:
        thing = getattr(edge_runtime, name)
        assert thing.__doc__, name
        members = vars(thing).items() if isinstance(thing, type) else ()
        for member, value in members:
            if callable(value) and not member.startswith("_"):
                assert value.__doc__, f"{name}.{member}"


def test_opening_by_sizes_loads_no_more_than_it_needs(bundle: Path) -> None:
    """No OpenSSL for hashes, and nothing that only usearch's downloads would need."""
    code = (
        "import json, sys, edge_runtime\n"
        "with edge_runtime.open(sys.argv[1], verify='size') as retriever: retriever.search('yeast')\n"
        "print(json.dumps(list(sys.modules)))"
    )
    unneeded = {
        "hashlib",
        "tempfile",
        "shutil",
        "urllib.error",
        "importlib.metadata",
        "subprocess",
        "argparse",
    }
    assert not set(run(code, str(bundle))) & unneeded
