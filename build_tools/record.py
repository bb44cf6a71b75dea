"""build.yaml: what a bundle was built from, so that an unchanged build is known without loading a model."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from build_tools.compile import TFLITE_PACKAGES
from build_tools.corpus import fingerprint
from build_tools.recipe import Recipe
from build_tools.workspace import write_atomically
from edge_runtime import __version__, schema

BUNDLE = "bundle"
FILENAME = "build.yaml"
LIBRARIES = (
    "bm25s",
    "numpy",
    "onnx",
    "onnxruntime",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "usearch",
)
"""Those whose version can change a bundle's bytes."""


@dataclass(frozen=True, slots=True)
class Record:
    """The recipe as built, the identity of its inputs, and the sha256 of the transport file."""

    inputs: str
    transport: str
    recipe: Recipe


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
    return hashlib.sha256(repr((versions, recipe, files)).encode()).hexdigest()


def write(record: Record, home: Path) -> None:
    """Writes the record into a build folder."""
    text = yaml.safe_dump(schema.encode(record), sort_keys=False, allow_unicode=True).encode()
    write_atomically(home / FILENAME, lambda file: file.write(text))


def read(home: Path) -> Record | None:
    """The record of a build folder, None where there is none that this version can read."""
    try:
        return schema.decode(Record, yaml.safe_load((home / FILENAME).read_text("utf-8")))
    except (OSError, yaml.YAMLError, schema.SchemaError):
        return None
