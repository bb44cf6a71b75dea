"""What a Python source file defines, documents and re-exports, read from its syntax tree.

Nothing is imported: importing standard library modules can open windows, print and start servers.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["module", "class", "function", "method", "property"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A class, function, method or property.

    Attributes:
        signature: without the name, such as ``(path, mode=511)``; empty when there is none.
        doc: the cleaned docstring; empty when there is none.
        line: where it starts.
        bases: a class' bases as written, dotted names only.
        members: what a class defines, by name.
    """

    kind: Kind
    signature: str
    doc: str
    line: int
    bases: tuple[str, ...] = ()
    members: Mapping[str, Definition] = field(default_factory=dict)


@dataclass(slots=True)
class Module:
    """A source file.

    Attributes:
        imports: local name to what it stands for, an absolute dotted name.
        aliases: local name to another local dotted name (``Lock = _allocate_lock``).
        instances: local name to the local class that it is an instance of (``_inst = Random()``).
        stars: modules imported with ``*``.
        exports: ``__all__`` when it is a plain list; None when it is absent or computed.
    """

    name: str
    path: Path
    doc: str = ""
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    exports: list[str] | None = None


def parse(name: str, path: Path) -> Module:
    """Reads the file of module `name`.

    Raises:
        SyntaxError, ValueError: it is not Python of this interpreter's version.
    """
    tree = ast.parse(path.read_bytes())
    module = Module(name, path, _doc(tree))
    computed = False
    for node in _flat(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _keep_documented(module.definitions, node, method=False)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            _read_import(module, node)
        elif isinstance(node, ast.Assign):
            _read_assignment(module, node)
        computed |= _read_exports(module, node)
    if computed:
        module.exports = None
    return module


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at module or class level, those inside ``if`` and ``try`` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _flat([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            yield from _flat([*node.body, *handled, *node.orelse, *node.finalbody])


def _keep_documented(
    found: dict[str, Definition], node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, *, method: bool
) -> None:
    """Adds a definition; of several under one name (branches, setters) the first documented one stays."""
    known = found.get(node.name)
    if known is None or not known.doc:
        found[node.name] = _class(node) if isinstance(node, ast.ClassDef) else _function(node, method=method)


def _class(node: ast.ClassDef) -> Definition:
    members: dict[str, Definition] = {}
    for statement in _flat(node.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _keep_documented(members, statement, method=True)
    maker = members.get("__init__") or members.get("__new__")
    bases = tuple(ast.unparse(base) for base in node.bases if isinstance(base, (ast.Name, ast.Attribute)))
    doc = "\n\n".join(part for part in (_doc(node), maker.doc if maker else "") if part)
    return Definition("class", maker.signature if maker else "", doc, node.lineno, bases, members)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool) -> Definition:
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if method and any(name.endswith("property") for name in decorators):
        return Definition("property", "", _doc(node), node.lineno)
    arguments = node.args
    if method and "staticmethod" not in decorators:
        _drop_first(arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"({ast.unparse(arguments)}){returns}"
    return Definition("method" if method else "function", signature, _doc(node), node.lineno)


def _drop_first(arguments: ast.arguments) -> None:
    """Removes ``self`` or ``cls``."""
    for positional in (arguments.posonlyargs, arguments.args):
        if positional:
            del positional[0]
            return


def _doc(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "")


def _read_import(module: Module, node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.Import):
        for name in node.names:
            local = name.asname or name.name.partition(".")[0]
            module.imports.setdefault(local, name.name if name.asname else local)
        return
    source = _absolute(module, node)
    for name in node.names:
        if name.name == "*":
            module.stars.append(source)
        else:
            module.imports.setdefault(name.asname or name.name, f"{source}.{name.name}")


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    up = node.level - (module.path.name == "__init__.py")
    parts = package[: len(package) - up] if up else package
    return ".".join([*parts, *([node.module] if node.module else [])])


def _read_assignment(module: Module, node: ast.Assign) -> None:
    for target in node.targets:
        if not isinstance(target, ast.Name):
            continue
        if isinstance(node.value, (ast.Name, ast.Attribute)):
            module.aliases.setdefault(target.id, ast.unparse(node.value))
        elif isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            module.instances.setdefault(target.id, node.value.func.id)


def _read_exports(module: Module, node: ast.stmt) -> bool:
    """Notes what `node` adds to ``__all__``; True when that cannot be read off the source."""
    value: ast.expr | None = None
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, (ast.Assign, ast.AugAssign)) and any(_is_all(target) for target in targets):
        value = node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Attribute) and _is_all(function.value) and node.value.args:
            value = node.value.args[0]
    if value is None:
        return False
    try:
        names = ast.literal_eval(value)
    except ValueError:
        return True
    module.exports = [*(module.exports or []), *([names] if isinstance(names, str) else names)]
    return False


def _is_all(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "__all__"
