"""The documentation of the running interpreter's standard library: a corpus that every machine has.

Modules, public classes, functions, methods and properties that have a docstring, each once, under the
name that programs use: ``os.path.join`` rather than ``posixpath.join``, ``os.mkdir`` rather than
``posix.mkdir``, ``json.JSONDecoder`` rather than ``json.decoder.JSONDecoder``. The text is the
docstring; kind, module and signature are metadata.
"""

from __future__ import annotations

import builtins
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tools.corpus import python_native, python_source
from build_tools.corpus.document import Document
from build_tools.corpus.problems import Record
from build_tools.corpus.python_source import Definition, Module
from build_tools.recipe import CorpusSpec

_LEFT_OUT_NAMES = (
    "test tests idlelib idle_test lib2to3 turtledemo pydoc_data site-packages dist-packages __pycache__ "
    "antigravity this genericpath ntpath"
)
_LEFT_OUT = frozenset(_LEFT_OUT_NAMES.split())
# A hundred codecs with the same few undocumented functions, and the old way to build packages.
_LEFT_OUT_BELOW = ("encodings.", "distutils.", "ctypes.macholib", "ensurepip.", "config-")
_PATH_MODULE = os.path.__name__
_MAX_HOPS = 20


@dataclass(frozen=True, slots=True)
class _Source:
    """A definition in a source file. `where` is unique to it, whatever name led there."""

    module: Module
    where: str
    definition: Definition


@dataclass(frozen=True, slots=True)
class _Native:
    """An object of C code."""

    value: object


_Entity = _Source | _Native


def documents(spec: CorpusSpec) -> Iterator[Record]:
    """Every documented object, sorted by name; ``spec`` has nothing to choose for this source."""
    library = _Library(_parse_all(Path(sysconfig.get_path("stdlib"))))
    found = {document.key: document for document in library.modules_documents()}
    for document in library.object_documents():
        found.setdefault(document.key, document)
    for key in sorted(found):
        yield found[key]


def _parse_all(root: Path) -> dict[str, Module]:
    modules: dict[str, Module] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if (
            _LEFT_OUT.intersection(parts) - {"genericpath", "ntpath"}
            or parts[0] not in sys.stdlib_module_names
        ):
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            modules[name] = python_source.parse(name, path)
        except (SyntaxError, ValueError, RecursionError):
            continue  # a template or a sample, not a module
    return modules


class _Library:
    """All modules, and the way from a name to what it stands for."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self._modules = modules

    def modules_documents(self) -> Iterator[Document]:
        """One document a public module that has a docstring."""
        for name, module in self._modules.items():
            if (title := _public_module(name)) and module.doc:
                about = {"kind": "module", "module": title}
                yield Document(title, title, module.doc, about, f"{module.path}:1")
        for name in sorted(sys.stdlib_module_names - self._modules.keys()):
            native = python_native.load(name) if _public_module(name) else None
            if native is not None and python_native.doc(native):
                about = {"kind": "module", "module": name}
                yield Document(name, name, python_native.doc(native), about, f"C module {name}")

    def object_documents(self) -> Iterator[Document]:
        """One document an object, under the best of its names."""
        best: dict[object, tuple[tuple[object, ...], str, str, _Entity]] = {}
        for module, title, entity in self._candidates():
            rank = _rank(title, entity)
            known = best.get(_identity(entity))
            if known is None or rank < known[0]:
                best[_identity(entity)] = (rank, module, title, entity)
        for _, module, title, entity in best.values():
            yield from _described(module, title, entity)

    def _candidates(self) -> Iterator[tuple[str, str, _Entity]]:
        """Every public name of every object, with the module that offers it."""
        for name in python_native.public_names(builtins):
            yield from self._with_members("builtins", name, _Native(getattr(builtins, name)))
        for name in sorted(self._modules.keys() | sys.stdlib_module_names):
            public = _public_module(name)
            for exported in self._exports(name) if public and name != "builtins" else ():
                entity = self._resolve(name, exported) or self._lazily_loaded(name, exported)
                if entity is not None and exported[0] != "_":
                    yield from self._with_members(public, f"{public}.{exported}", entity)

    def _with_members(self, module: str, title: str, entity: _Entity) -> Iterator[tuple[str, str, _Entity]]:
        """The entity itself and, for a class, its public members, those of private base classes included."""
        yield module, title, entity
        if isinstance(entity, _Native):
            for name, value in python_native.members(entity.value):
                yield module, f"{title}.{name}", _Native(value)
            return
        for name, definition in entity.definition.members.items():
            if name[0] != "_":
                member = _Source(entity.module, f"{entity.where}.{name}", definition)
                yield from self._with_members(module, f"{title}.{name}", member)
        for written in entity.definition.bases:
            base = self._resolve(entity.module.name, written)
            if isinstance(base, _Source) and "._" in base.where and base.where != entity.where:
                yield from list(self._with_members(module, title, base))[1:]

    def _lazily_loaded(self, name: str, exported: str) -> _Entity | None:
        """A name in ``__all__`` that a package's ``__getattr__`` fetches from one of its modules."""
        for inner, module in self._modules.items():
            if inner.startswith(f"{name}.") and exported in module.definitions:
                return _Source(module, f"{inner}.{exported}", module.definitions[exported])
        return None

    def _exports(self, name: str, hops: int = 0) -> list[str]:
        """The public names of a module, in the order of its source."""
        module = self._modules.get(name)
        if module is None:
            native = python_native.load(name)
            return python_native.public_names(native) if native else []
        if module.exports is not None:
            return module.exports
        names = dict.fromkeys([*module.definitions, *module.aliases])
        own = (f"{name}.", "_")
        names.update(dict.fromkeys(local for local, far in module.imports.items() if far.startswith(own)))
        for star in module.stars if hops < _MAX_HOPS else ():
            names.update(dict.fromkeys(self._exports(star, hops + 1)))
        return [exported for exported in names if exported[0] != "_"]

    def _resolve(self, name: str, dotted: str, hops: int = 0) -> _Entity | None:
        """What the dotted name stands for in module `name`; None for constants and what is not found."""
        module = self._modules.get(name)
        first, _, rest = dotted.partition(".")
        if hops > _MAX_HOPS:
            return None
        if module is None:
            return _native_entity(name, dotted)
        if first in module.definitions:
            entity: _Entity | None = _Source(module, f"{name}.{first}", module.definitions[first])
            return self._member(entity, rest, hops) if rest else entity
        for names in (module.instances, module.aliases):
            if first in names and names[first] != first and (rest or names is module.aliases):
                return self._resolve(name, ".".join(filter(None, (names[first], rest))), hops + 1)
        if first in module.imports:
            return self._absolute(".".join(filter(None, (module.imports[first], rest))), hops + 1)
        stars = (self._resolve(star, dotted, hops + 1) for star in module.stars if star != name)
        return next((entity for entity in stars if entity is not None), None)

    def _absolute(self, dotted: str, hops: int) -> _Entity | None:
        """What an absolute dotted name stands for: the longest module name first."""
        parts = dotted.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:cut])
            if name in self._modules or (cut == 1 and python_native.load(name)):
                return self._resolve(name, ".".join(parts[cut:]), hops)
        return None

    def _member(self, owner: _Entity | None, name: str, hops: int) -> _Entity | None:
        """A member of a class, its own or inherited."""
        if isinstance(owner, _Native):
            mro = owner.value.__mro__ if isinstance(owner.value, type) else ()
            found = next((vars(base)[name] for base in mro if name in vars(base)), None)
            return _Native(found) if found is not None else None
        if owner is None or hops > _MAX_HOPS:
            return None
        if name in owner.definition.members:
            return _Source(owner.module, f"{owner.where}.{name}", owner.definition.members[name])
        bases = (self._resolve(owner.module.name, base, hops + 1) for base in owner.definition.bases)
        inherited = (self._member(base, name, hops + 1) for base in bases)
        return next((entity for entity in inherited if entity is not None), None)


def _native_entity(module: str, name: str) -> _Entity | None:
    value = getattr(python_native.load(module), name, None)
    return _Native(value) if python_native.is_documentable(value) else None


def _public_module(name: str) -> str:
    """The name under which programs import the module; empty when they should not."""
    if name == _PATH_MODULE:
        return "os.path"
    parts = name.split(".")
    hidden = any(part.startswith("_") or part in _LEFT_OUT for part in parts)
    return "" if hidden or name.startswith(_LEFT_OUT_BELOW) else name


def _identity(entity: _Entity) -> object:
    return entity.where if isinstance(entity, _Source) else id(entity.value)


def _rank(title: str, entity: _Entity) -> tuple[object, ...]:
    """Names with fewer dots first, then the object's own name, then by alphabet."""
    own = entity.where if isinstance(entity, _Source) else getattr(entity.value, "__name__", "")
    return title.count("."), title.rpartition(".")[2] != own.rpartition(".")[2], title


def _described(module: str, title: str, entity: _Entity) -> Iterator[Document]:
    """The document of an object; none when it has no docstring."""
    if isinstance(entity, _Source):
        definition = entity.definition
        kind, signature, doc = definition.kind, definition.signature, definition.doc
        origin = f"{entity.module.path}:{definition.line}"
    else:
        value = entity.value
        kind, signature, doc = (
            python_native.kind(value),
            python_native.signature(value),
            python_native.doc(value),
        )
        origin = f"C module {module}"
    if doc:
        about = {"kind": kind, "module": module}
        if signature:
            about["signature"] = f"{title.rpartition('.')[2]}{signature}"
        # The signature stays out of the text: argument names drown the sentence that says what it is for.
        yield Document(title, title, doc, about, origin)
