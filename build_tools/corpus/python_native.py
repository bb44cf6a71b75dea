"""What the interpreter's C modules and builtin types document: they have no source to read.

Importing a C extension of the standard library only fills its module; the few that touch the terminal or
a display are left alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import types
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ExtensionFileLoader

from build_tools.corpus.python_source import Kind

_TOUCHY = frozenset(["readline", "_tkinter", "nis", "ossaudiodev"])
_DATA_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, property)
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")


@cache
def load(name: str) -> types.ModuleType | None:
    """The C module `name` of the standard library; None when it is none, or cannot be imported here."""
    if name not in sys.stdlib_module_names or name in _TOUCHY:
        return None
    try:
        spec = importlib.util.find_spec(name)
        if spec is None or not (spec.origin == "built-in" or isinstance(spec.loader, ExtensionFileLoader)):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # modules on their way out say so when imported
            return importlib.import_module(name)
    except (ImportError, ValueError):
        return None


def public_names(module: types.ModuleType) -> list[str]:
    """The module's public classes and functions, sorted."""
    return sorted(name for name, value in vars(module).items() if name[0] != "_" and is_documentable(value))


def is_documentable(value: object) -> bool:
    """Whether `value` is a class or function of C code, not a constant or an instance."""
    return isinstance(value, type) or inspect.isbuiltin(value)


def members(owner: object) -> Iterator[tuple[str, object]]:
    """What a class itself defines in public, sorted by name, as the class' dictionary holds it.

    Nothing for what is no class.
    """
    for name, value in sorted(vars(owner).items()) if isinstance(owner, type) else ():
        is_member = inspect.isroutine(value) or isinstance(
            value, (*_DATA_DESCRIPTORS, classmethod, staticmethod)
        )
        if name[0] != "_" and is_member:
            yield name, value


def kind(value: object) -> Kind:
    """The kind of a member or of a module's object."""
    if isinstance(value, type):
        return "class"
    if isinstance(value, _DATA_DESCRIPTORS):
        return "property"
    is_method = hasattr(value, "__objclass__") or isinstance(value, (classmethod, staticmethod))
    return "method" if is_method else "function"


def doc(value: object) -> str:
    """The cleaned docstring; empty when there is none."""
    found = getattr(value, "__doc__", None)
    return inspect.cleandoc(found) if isinstance(found, str) else ""


def signature(value: object) -> str:
    """The signature without the name and without ``self``; empty when C code does not tell it."""
    function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    if not callable(function) or isinstance(function, _DATA_DESCRIPTORS):
        return ""
    try:
        found = inspect.signature(function)
    except Exception:  # inspect evaluates C code's own text, which may name what is not there
        return ""
    parameters = list(found.parameters.values())
    if parameters and parameters[0].name in ("self", "type", "cls") and not isinstance(function, type):
        found = found.replace(parameters=parameters[1:])
    return _ADDRESS.sub("...", str(found))
