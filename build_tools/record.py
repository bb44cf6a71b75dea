"""build.yaml: what a bundle was built from.

So that an unchanged build is known without loading a model, and a bundle can get other encoders or documents.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from build_tools import lexical
from build_tools.compile import TFLITE_PACKAGES
from build_tools.corpus import fingerprint
from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.workspace import write_atomically
from edge_runtime import __version__, schema
from edge_runtime.bundle import read_manifest
from edge_runtime.schema import shown

BUNDLE = "bundle"
CURVES = "curves"
FILENAME = "build.yaml"
LIBRARIES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
    "usearch",
)
"""Those whose version can change a bundle's bytes."""


@dataclass(frozen=True, slots=True)
class Record:
    """The recipe as built.

    Attributes:
        inputs: identifies all that the build depended on.
        transport: sha256 of the transport file.
        updated: whether documents were added or removed since, so that the recipe's corpus is not what is in
            the bundle.
        directory: that relative paths of the recipe are meant from (`here`); None in records of earlier
            versions, which do not say.
    """

    inputs: str
    transport: str
    recipe: Recipe
    updated: bool = False
    directory: str | None = None

    @property
    def current(self) -> bool:
        """Whether a build of the same recipe would make the same bundle."""
        return not self.updated and self.inputs == inputs_of(self.recipe)


def inputs_of(recipe: Recipe) -> str:
    """Identifies all that a build depends on, without loading a model or reading a document."""
    files = [fingerprint.of(recipe.corpus)]
    labels = [spec.path for spec in (recipe.queries.labels, recipe.fusion.labels) if spec]
    learnt = (recipe.queries.log, recipe.queries.generator, *labels, recipe.training.cross_encoder)
    judge = recipe.reranker.model if recipe.reranker else None
    for path in (recipe.teacher.model, judge, *learnt, *(student.base for student in recipe.encoders)):
        files.append(fingerprint.of_path(path) if path else "")
    libraries = (*LIBRARIES, *(TFLITE_PACKAGES.values() if "tflite" in recipe.compile.engines else ()))
    versions = [__version__, platform.python_version(), *map(version, libraries)]
    versions += lexical.writer(recipe.lexical.stemmer).values()
    return hashlib.sha256(repr((versions, recipe, files)).encode()).hexdigest()


def write(record: Record, home: Path) -> None:
    """Writes the record into a build folder."""
    text = yaml.safe_dump(schema.encode(record), sort_keys=False, allow_unicode=True).encode()
    write_atomically(home / FILENAME, lambda file: file.write(text))


def here(home: Path) -> str:
    """The working directory, as the record in `home` names it: from there where the build folder is in it.

    A project that is moved, or copied, with its build folder is then known for what it is.
    """
    directory, place = Path.cwd(), home.resolve()
    return os.path.relpath(directory, place) if place.is_relative_to(directory) else str(directory)


@contextmanager
def in_its_directory(built: Record, home: Path, progress: Progress | None = None) -> Iterator[None]:
    """Makes the recipe's relative paths mean what they meant to the build, whatever the working directory is.

    It stays as it is where the corpus is seen from here and not from there: the build folder was moved alone.
    Paths are kept relative, as they are part of the names of stages.

    Args:
        progress: says so where the directory is another.
    """
    before = Path.cwd()
    meant = before if built.directory is None else (home / built.directory).resolve()
    corpus = Path(built.recipe.corpus.path or "").expanduser()
    moved = not (meant / corpus).exists() and (before / corpus).exists()
    if meant == before or moved or not meant.is_dir():
        yield
        return
    if progress is not None:
        progress.say(f"paths      relative ones of the recipe and of --set are meant from {meant}")
    os.chdir(meant)
    try:
        yield
    finally:
        os.chdir(before)


def home_of(bundle: Path) -> Path:
    """The build folder of a bundle's directory, which a kill may have left under another name (`swap`).

    Raises:
        BundleError: no such directory, or not a bundle.
        BuildError: it is not in a build folder with a record that this version can read.
    """
    try:
        place, is_file = bundle.resolve(), bundle.is_file()
    except (OSError, ValueError) as error:  # may not look, or no name that the system takes
        raise BuildError(f"{shown(str(bundle))}: cannot be read ({error})") from None
    if is_file:
        raise BuildError(
            f"{bundle}: expected a bundle's directory in its build folder; found a file, which does not say "
            f"what the bundle was made from; give the {BUNDLE} directory that lies beside {FILENAME}"
        )
    if place.name != BUNDLE or not place.parent.is_dir():
        read_manifest(bundle)  # says so where it is no bundle at all
        raise BuildError(f"{bundle}: expected a bundle in its build folder, named {BUNDLE}")
    need(place.parent)
    return place.parent


def need(home: Path) -> Record:
    """The record of a build folder.

    Raises:
        BuildError: there is none that this version can read.
    """
    built = read(home)
    if built is None:
        raise BuildError(
            f"{home}: has no {FILENAME} that this version can read, so nobody knows what the bundle "
            "was made from; build it anew with edge-build build"
        )
    return built


def read(home: Path) -> Record | None:
    """The record of a build folder, None where there is none that this version can read."""
    try:
        return schema.decode(Record, yaml.safe_load((home / FILENAME).read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError, schema.SchemaError):  # not UTF-8, a date that there is not
        return None
