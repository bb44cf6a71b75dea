"""Small modules read from their syntax trees."""

from __future__ import annotations

from pathlib import Path

from build_tools.corpus import python_source

SOURCE = '''"""Module words."""
from ._inner import helper as public_helper
from posix import *
import ntpath as path
__all__ = ["f"]
__all__ += ["C"]
__all__.append("g")

def f(a, *, b: int = 1) -> str:
    """Does f."""

def undocumented(): ...

try:
    from fast import g
except ImportError:
    async def g():
        """Does g."""

class C(Base):
    """A class."""
    def __init__(self, size):
        """Makes one."""
    @property
    def size(self):
        """How large."""
    @size.setter
    def size(self, value):
        pass
    @staticmethod
    def make(x, /):
        """Makes."""

_inst = C(1)
size = _inst.size
'''


def test_parse(tmp_path: Path) -> None:
    """Definitions, imports, aliases and exports of one file."""
    path = tmp_path / "__init__.py"
    path.write_text(SOURCE)
    module = python_source.parse("pkg", path)
    assert module.doc == "Module words."
    assert module.exports == ["f", "C", "g"]
    assert module.imports == {
        "public_helper": "pkg._inner.helper",
        "path": "ntpath",
        "g": "fast.g",
    }
    assert module.stars == ["posix"]
    assert (module.instances, module.aliases) == ({"_inst": "C"}, {"size": "_inst.size"})
    function, made = module.definitions["f"], module.definitions["C"]
    assert (function.kind, function.signature, function.doc) == (
        "function",
        "(a, *, b: int=1) -> str",
        "Does f.",
    )
    assert (made.signature, made.doc, made.bases) == ("(size)", "A class.\n\nMakes one.", ("Base",))
    assert made.members["size"].kind == "property"
    assert made.members["make"].signature == "(x, /)"


def test_computed_exports_are_unknown(tmp_path: Path) -> None:
    """An __all__ that only running the module would tell is left open."""
    path = tmp_path / "m.py"
    path.write_text("__all__ = ['a']\n__all__ += other.__all__\n")
    assert python_source.parse("m", path).exports is None
