"""What the owner of a device wants of it: threads, and the hardware that encoders should run on.

``ROOT/device.yaml`` (see `home`) belongs to the device and to no bundle: a bundle is the same on every
board, accelerators are not. A device without the file computes on its processor, on one thread. A file
that cannot be used is an error, for whoever wrote it expects to be obeyed. docs/device.md describes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime import home, schema, strict_yaml
from edge_runtime.errors import ConfigError, StateError
from edge_runtime.schema import SchemaError, require, require_match, shown
from edge_runtime.signature import PublicKey

FILENAME = "device.yaml"
MAX_BYTES = 1 << 16
MAX_THREADS = 256
"""An engine starts as many as it is told to."""

CPU = "CPUExecutionProvider"
"""What every ONNX Runtime has, and falls back to."""

Options = Mapping[str, str | int]

_PROVIDER = re.compile(r"[A-Za-z0-9]{1,64}ExecutionProvider")


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider of ONNX Runtime; its `options` are that provider's own."""

    name: str
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_match(_PROVIDER, self.name, "name", "a name such as CUDAExecutionProvider")

    def __str__(self) -> str:
        return _with_options(self.name, self.options)


@dataclass(frozen=True, slots=True)
class OnnxConfig:
    """How ONNX Runtime runs encoders.

    Attributes:
        providers: in order of preference, names or names with options. The CPU's is always the last,
            whether it is named or not.
    """

    providers: tuple[str | Provider, ...] = ()

    def __post_init__(self) -> None:
        for provider in self.providers:
            if isinstance(provider, str):
                require_match(_PROVIDER, provider, "providers", "names such as CUDAExecutionProvider")
        names = [provider if isinstance(provider, str) else provider.name for provider in self.providers]
        twice = [name for place, name in enumerate(names) if name in names[:place]]
        require(not twice, "providers", f"expected each once; found {', '.join(twice)} again")
        require(CPU not in names[:-1], "providers", f"{CPU} takes whatever comes to it; put it last")

    @property
    def accelerators(self) -> tuple[Provider, ...]:
        """The providers without the CPU's."""
        listed = (Provider(each) if isinstance(each, str) else each for each in self.providers)
        return tuple(provider for provider in listed if provider.name != CPU)


@dataclass(frozen=True, slots=True)
class Delegate:
    """A library that takes operators over from TensorFlow Lite.

    Attributes:
        library: an absolute path, or a file name that the system's loader finds.
        options: the delegate's own.
    """

    library: str
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = Path(self.library)
        found = self.library.isprintable() and (name.is_absolute() or name.name == self.library)
        expected = f"expected an absolute path, or a file name alone; found {shown(self.library)}"
        require(found and bool(name.name), "library", expected)

    def __str__(self) -> str:
        return _with_options(self.library, self.options)


@dataclass(frozen=True, slots=True)
class TfliteConfig:
    """How LiteRT or tflite-runtime runs encoders; of the `delegates` the first takes what it can."""

    delegates: tuple[Delegate, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """The whole of device.yaml: a section an engine.

    Attributes:
        threads: compute threads of an engine, a query, where the program that asks does not say.
        trusted_keys: public keys of minisign; where there is one, only bundles that one of them has signed
            are installed and opened.
    """

    threads: int = 1
    onnx: OnnxConfig = field(default_factory=OnnxConfig)
    tflite: TfliteConfig = field(default_factory=TfliteConfig)
    trusted_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, line in enumerate(self.trusted_keys):
            try:
                PublicKey.parse(line)
            except ValueError as error:
                raise SchemaError(("trusted_keys", number), str(error)) from None
        expected = f"expected 1 to {MAX_THREADS}; found {self.threads}"
        require(1 <= self.threads <= MAX_THREADS, "threads", expected)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The trusted keys, for `signature.check`."""
        return tuple(map(PublicKey.parse, self.trusted_keys))

    def accelerators(self, kind: str) -> tuple[str, ...]:
        """What encoders of this kind should run on before the processor, in words."""
        asked = {"onnx": self.onnx.accelerators, "tflite": self.tflite.delegates}
        return tuple(str(each) for each in asked.get(kind, ()))

    def asked(self, kind: str) -> str:
        """All that changes how encoders of this kind run, in words; empty where nothing does."""
        threads = f"{self.threads} threads" if self.threads > 1 and kind != "static" else ""
        return ", ".join(filter(None, (*self.accelerators(kind), threads)))


DEFAULT = DeviceConfig()
"""Of a device without the file."""


def path() -> Path:
    """The file of this device; it need not exist. Raises as `home.root` does."""
    return home.root() / FILENAME


def read() -> DeviceConfig:
    """The configuration of this device; `DEFAULT` when it has no file.

    Raises:
        ConfigError: the file cannot be read, or says what cannot be done.
    """
    try:
        file = path()
    except StateError:  # no home, so no file in it
        return DEFAULT
    try:
        try:
            file.lstat()  # a link that leads nowhere is a file to be obeyed: it may have said whom to trust
        except (FileNotFoundError, NotADirectoryError):
            return DEFAULT
        if not file.is_file():  # opening a named pipe would wait for ever
            expected = "expected a plain file, or a link to one that is there"
            raise ConfigError(f"{file}: {expected}; write one, or remove it for the defaults")
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror}); let this user read it, or set EDGE_RUNTIME_HOME "
            "to another folder"
        ) from None
    return parse(data, str(file))


def parse(data: bytes, source: str = FILENAME) -> DeviceConfig:
    """Parses the bytes of a device.yaml; nothing but comments is `DEFAULT`. `source` names them in errors.

    Raises:
        ConfigError: not YAML, or not a configuration.
    """
    problem: object = f"expected at most {MAX_BYTES} bytes; found more"
    if len(data) <= MAX_BYTES:
        try:
            value = strict_yaml.load(data)
            return DEFAULT if value is None else schema.decode(DeviceConfig, value)
        except (strict_yaml.StrictYamlError, schema.SchemaError) as error:
            problem = error
    raise ConfigError(f"{source}: {problem}; correct it, or remove the file for the defaults")


def _with_options(name: str, options: Options) -> str:
    listed = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name}({listed})" if listed else name
