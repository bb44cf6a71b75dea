"""device.yaml: what it may say, and what every mistake in it is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import edge_runtime
from edge_runtime import cli, device_config, home, schema, strict_yaml
from edge_runtime.device_config import Delegate, DeviceConfig, OnnxConfig, Provider, TfliteConfig
from edge_runtime.errors import ConfigError, StateError

WHOLE = b"""
threads: 2
onnx:
  providers:
    - TensorrtExecutionProvider
    - {name: CUDAExecutionProvider, options: {device_id: 0, cudnn_conv_algo_search: DEFAULT}}
    - CPUExecutionProvider
tflite:
  delegates:
    - {library: libedgetpu.so.1, options: {device: usb}}
    - {library: /opt/lib/libQnnTFLiteDelegate.so}
"""


@pytest.fixture
def write(home: Path) -> Callable[[bytes], Path]:
    """Writes this test's device.yaml."""

    def written(data: bytes) -> Path:
        home.mkdir(exist_ok=True)
        (home / device_config.FILENAME).write_bytes(data)
        return home / device_config.FILENAME

    return written


def test_a_device_without_the_file_has_the_defaults(home: Path) -> None:
    """One thread, no accelerator; asking leaves no trace."""
    assert device_config.read() == DeviceConfig() == DeviceConfig(1, OnnxConfig(()), TfliteConfig(()))
    assert device_config.read().asked("onnx") == device_config.read().asked("tflite") == ""
    assert not home.exists()


def test_a_whole_file(write: Callable[[bytes], Path]) -> None:
    """Typed, in the order of preference, and the same after a round trip."""
    assert device_config.path() == write(WHOLE)
    found = device_config.read()
    cuda = Provider("CUDAExecutionProvider", {"device_id": 0, "cudnn_conv_algo_search": "DEFAULT"})
    tensorrt = "TensorrtExecutionProvider"
    assert found.onnx.providers == (tensorrt, cuda, "CPUExecutionProvider")
    assert found.onnx.accelerators == (Provider(tensorrt), cuda)
    assert found.tflite.delegates == (
        Delegate("libedgetpu.so.1", {"device": "usb"}),
        Delegate("/opt/lib/libQnnTFLiteDelegate.so"),
    )
    assert schema.decode(DeviceConfig, schema.encode(found)) == found


def test_what_is_asked_for_in_words(write: Callable[[bytes], Path]) -> None:
    """By which calibrations are told apart: names, options and threads."""
    write(WHOLE)
    found = device_config.read()
    cuda = "CUDAExecutionProvider(device_id=0, cudnn_conv_algo_search=DEFAULT)"
    assert found.asked("onnx") == f"TensorrtExecutionProvider, {cuda}, 2 threads"
    assert found.asked("tflite") == "libedgetpu.so.1(device=usb), /opt/lib/libQnnTFLiteDelegate.so, 2 threads"
    assert found.asked("static") == ""


@pytest.mark.parametrize("data", [b"", b"# nothing yet\n", b"{}"])
def test_an_empty_file_is_the_defaults(write: Callable[[bytes], Path], data: bytes) -> None:
    """All lines may be comments."""
    write(data)
    assert device_config.read() == device_config.DEFAULT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "thread: 2",
            r"thread: unknown key; .*, trusted_keys \(did you mean threads\?\)",
        ),
        ("threads: 0", "threads: expected 1 to 256; found 0"),
        ("threads: 257", "threads: expected 1 to 256; found 257"),
        ("threads: two", "threads: expected a whole number; found 'two'"),
        ("threads: true", "threads: expected a whole number; found true"),
        ("threads:", "threads: expected a whole number; found nothing"),
        ("onnx:", "onnx: expected keys and values; found nothing"),
        ("onnx: {providers: CUDAExecutionProvider}", "onnx.providers: expected a list such as"),
        ("onnx: {providers: [cuda]}", "onnx.providers: expected names such as CUDA.*; found 'cuda'"),
        ("onnx: {providers: [7]}", "onnx.providers.0: expected text; found 7"),
        ("onnx: {providers: [{name: cuda}]}", "onnx.providers.0.name: expected a name such as CUDA"),
        ("onnx: {providers: [{options: {}}]}", "onnx.providers.0.name: missing; this key is required"),
        (
            "onnx: {providers: [{name: AExecutionProvider, options: {a: true}}]}",
            "onnx.providers.0.options.a: expected text; found true; put it in quotes",
        ),
        (
            "onnx: {providers: [AExecutionProvider, {name: AExecutionProvider}]}",
            "onnx.providers: expected each once; found AExecutionProvider again",
        ),
        (
            "onnx: {providers: [CPUExecutionProvider, AExecutionProvider]}",
            "onnx.providers: CPUExecutionProvider takes whatever comes to it; put it last",
        ),
        ("tflite: {delegates: [libx.so]}", "tflite.delegates.0: expected keys and values; found 'libx.so'"),
        ("tflite: {delegates: [{library: ''}]}", "library: expected an absolute path, or a file name alone"),
        ("tflite: {delegates: [{library: lib/x.so}]}", "library: expected an absolute path.*'lib/x.so'"),
        ('tflite: {delegates: [{library: "/a\\0b"}]}', "library: expected an absolute path"),
        ("[1, 2]", "the document: expected keys and values; found a list of 2"),
        ("threads: 1\nthreads: 2", "line 2: the key 'threads' stands twice"),
        ("threads: &a 1", "line 1: anchors and aliases are not used here"),
        ("threads: [", "not valid YAML"),
        ("#" * 70_000, "expected at most 65536 bytes; found more"),
    ],
)
def test_mistakes(write: Callable[[bytes], Path], text: str, problem: str) -> None:
    """The file, the place in it, what was expected, what to do."""
    file = write(text.encode())
    with pytest.raises(ConfigError, match=problem) as caught:
        device_config.read()
    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value).endswith("; correct it, or remove the file for the defaults")
    assert "\n" not in str(caught.value)


def test_a_broken_file_keeps_every_bundle_from_opening(
    static_bundle: Path, write: Callable[[bytes], Path]
) -> None:
    """Whoever wrote it expects to be obeyed."""
    file = write(b"threads: many")
    with pytest.raises(ConfigError, match=f"{file}: threads: expected a whole number"):
        edge_runtime.open(static_bundle)
    file.unlink()
    edge_runtime.open(static_bundle).close()


def test_what_is_no_file(write: Callable[[bytes], Path]) -> None:
    """A named pipe would be waited for; a directory cannot be read."""
    file = write(b"")
    file.unlink()
    subprocess.run(["mkfifo", file], check=True)
    with pytest.raises(ConfigError, match="expected a plain file, or a link to one that is there; write one"):
        device_config.read()
    file.unlink()
    file.symlink_to("/proc/self/mem")
    with pytest.raises(ConfigError, match=r"cannot be read \(.*\); let this user read it"):
        device_config.read()


@pytest.mark.parametrize("target", ["elsewhere/device.yaml", "device.yaml"], ids=["nowhere", "itself"])
def test_a_link_to_no_file(write: Callable[[bytes], Path], target: str) -> None:
    """It does not switch off what the file is for, such as the keys that bundles must be signed with."""
    file = write(b"")
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(ConfigError, match=r"device\.yaml: expected a plain file, or a link to one"):
        device_config.read()


def test_a_link_to_a_file(write: Callable[[bytes], Path], tmp_path: Path) -> None:
    """Is as good as the file."""
    write(b"threads: 3\n").rename(tmp_path / "kept.yaml")
    device_config.path().symlink_to(tmp_path / "kept.yaml")
    assert device_config.read().threads == 3


def test_a_file_in_the_place_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no file in it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_RUNTIME_HOME", str(tmp_path / "file"))
    assert device_config.read() is device_config.DEFAULT


def test_a_user_without_a_home_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no place where the file could be."""

    def homeless() -> Path:
        raise StateError("no home")

    monkeypatch.setattr(home, "root", homeless)
    assert device_config.read() is device_config.DEFAULT


def test_threads_of_the_device_and_of_the_caller(
    bundle: Path, write: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument wins over the file."""
    from edge_runtime.encoders import session

    asked = []
    options = session._options
    monkeypatch.setattr(
        session, "_options", lambda engine, threads: (asked.append(threads), options(engine, threads))[1]
    )
    write(b"threads: 2")
    for threads in (None, 1):
        edge_runtime.open(bundle, threads=threads, verify="size").close()
    assert asked == [2, 1]


def test_an_unreadable_file(write: Callable[[bytes], Path]) -> None:
    """Said, and not taken for an absent one."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write(b"threads: 2").chmod(0)
    with pytest.raises(ConfigError, match="let this user read it"):
        device_config.read()


def test_yaml_is_read_strictly() -> None:
    """Through the one reader that manifests have as well."""
    with pytest.raises(ConfigError, match="nested deeper than"):
        device_config.parse(b"[" * (strict_yaml.MAX_DEPTH + 1))


@pytest.mark.parametrize("command", ["search", "info", "verify", "calibrate", "bench"])
def test_a_broken_configuration_is_one_line(
    bundle: Path, home: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Whatever the command."""
    home.mkdir()
    (home / "device.yaml").write_text("threads: many", "utf-8")
    words = ["yeast"] if command == "search" else []
    assert cli.main([command, str(bundle), *words]) == cli.FAILED
    err = capsys.readouterr().err
    assert err.startswith(f"edge-runtime: {home}/device.yaml: threads: expected a whole number; found 'many'")
    assert err.count("\n") == 1
