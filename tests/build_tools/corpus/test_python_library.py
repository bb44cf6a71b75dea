"""The standard library's documentation, from this very interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from build_tools.corpus.document import Document
from build_tools.corpus.problems import SkipLog
from build_tools.corpus.reader import read
from build_tools.recipe import CorpusSpec


@pytest.fixture(scope="module")
def library() -> dict[str, Document]:
    """Every document by its key, checked by the reader."""
    return {document.key: document for document in read(CorpusSpec("python"), skipped=SkipLog())}


@pytest.mark.parametrize(
    ("name", "kind", "module", "words"),
    [
        ("shutil.rmtree", "function", "shutil", "Recursively delete a directory tree"),
        ("os.makedirs", "function", "os", "create a leaf directory and all intermediate ones"),
        ("os.mkdir", "function", "os", "Create a directory."),
        ("os.path.join", "function", "os.path", "Join two or more pathname components"),
        ("os.path.exists", "function", "os.path", "Test whether a path exists"),
        ("json.loads", "function", "json", "containing a JSON document"),
        ("json.JSONDecoder", "class", "json", "Simple JSON"),
        ("re.sub", "function", "re", "leftmost"),
        ("itertools.groupby", "class", "itertools", "consecutive keys and groups"),
        ("str.split", "method", "builtins", "separator string"),
        ("subprocess.run", "function", "subprocess", "CompletedProcess"),
        ("socket.create_connection", "function", "socket", "Connect to *address*"),
        ("datetime.datetime.strptime", "method", "datetime", "new datetime parsed from a string"),
        ("pathlib.Path.mkdir", "method", "pathlib", "Create a new directory"),
        ("random.choice", "function", "random", "Choose a random element"),
        ("argparse.ArgumentParser.add_argument", "method", "argparse", "add_argument("),
        ("collections.deque", "class", "collections", "list-like"),
        ("math.sqrt", "function", "math", "square root"),
        ("open", "function", "builtins", "Open file and return a stream"),
        ("shutil", "module", "shutil", "copying and archiving files"),
        ("sys", "module", "sys", "interpreter"),
    ],
)
def test_what_people_ask_for_is_there(
    library: dict[str, Document], name: str, kind: str, module: str, words: str
) -> None:
    """Well-known objects under the names that programs use, with their text."""
    document = library[name]
    assert document.title == name
    expected_kinds = {kind, "method"} if name == "random.choice" else {kind}
    assert document.metadata["kind"] in expected_kinds
    assert document.metadata["module"] == module
    assert words in document.text


def test_thousands_each_once(library: dict[str, Document]) -> None:
    """A corpus worth searching, in the same order each time."""
    assert len(library) > 4000
    assert list(library) == sorted(library)


@pytest.mark.parametrize(
    "name",
    [
        "posix.mkdir",
        "posixpath.join",
        "json.decoder.JSONDecoder",
        "_io.open",
        "this",
        "antigravity",
        "test",
        "os._exit",
    ],
)
def test_private_and_second_names_are_not(library: dict[str, Document], name: str) -> None:
    """No private name, no second name, no test package, no joke."""
    assert name not in library


def test_no_self_and_no_address(library: dict[str, Document]) -> None:
    """Signatures are as callers write them, the same in each process, and not in the text."""
    signatures = {name: document.metadata.get("signature", "") for name, document in library.items()}
    assert not any(" at 0x" in str(signature) for signature in signatures.values())
    assert str(signatures["shutil.rmtree"]).startswith("rmtree(path, ignore_errors=False")
    assert str(signatures["threading.Thread"]).startswith("Thread(group=None, target=None")
    assert library["shutil.rmtree"].text.startswith("Recursively delete a directory tree.")


def test_nothing_is_imported_for_its_docs() -> None:
    """Modules with source are read, not run: no window, no print, no deprecation warning."""
    program = (
        "import sys; from build_tools.corpus import python_library;"
        "from build_tools.recipe import CorpusSpec;"
        "n = len(list(python_library.documents(CorpusSpec('python'))));"
        "unwanted = {'tkinter', 'turtle', 'antigravity', 'this', 'readline'};"
        "print(n > 4000, *sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
