"""How many bytes a flash sends: a first one, an update of one encoder, and one of a single document.

    python benchmarks/flashing.py BUNDLE [--write benchmarks/RESULTS.md]

The updates are made of the bundle itself. *Encoder*: the bytes of its largest encoder are others. *Document*:
a sentence is put behind one passage; its row in the documents, its vector (by the bundle's own encoder) and
the word index are made anew. Each is sent to two stores: in whole files, and with rsync inside of them.
Folders take the devices' place, the second one's behind a program that does ssh's work on this computer: what
is counted is what goes into ``edge-runtime receive``, all of the conversation, and what rsync says that it
sent. ssh adds its own few per cent.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from results import check_section, replace_section
from tables import markdown

import edge_runtime
from build_tools import lexical, recipe
from build_tools.flash import delta, source, targets
from build_tools.flash.run import Conditions, Result, flash
from edge_runtime import manifest as manifests
from edge_runtime.bundle import sha256
from edge_runtime.errors import Error
from edge_runtime.manifest import FileEntry, Manifest

SECTION = "flashing"
HEADER = ("flash", "files sent", "MB sent", "MB with rsync", "MB in the bundle", "s", "s with rsync")
SENTENCE = " Zirconium fittings are now inspected quarterly."
SSH = """#!/bin/sh
# The command behind the host's name, here.
while [ "$1" != -- ]; do shift; done
shift 2
PATH={programs}:$PATH exec sh -c "$*"
"""
RUNTIME = """#!/bin/sh
PYTHONPATH={root} exec {python} -m edge_runtime.cli "$@"
"""
_VECTORS_BEGIN = 8  # in dense.usearch: two uint32, then the rows


def main() -> int:
    """Measures, prints and, asked to, writes the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="flashing.py", description=__doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's directory")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this file's section")
    options = parser.parse_args()
    try:
        if options.write:
            check_section(options.write, SECTION)
        if not delta.available():
            raise Error("rsync is not installed here; a column of the table is about it")
        table = markdown(HEADER, rows(options.bundle))
        print(table)
        if options.write:
            replace_section(options.write, SECTION, table)
    except Error as error:
        print(f"flashing.py: {error}", file=sys.stderr)
        return 1
    return 0


def rows(bundle: Path) -> list[list[str]]:
    """The table's, one a flash."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        versions = {
            "first": bundle,
            "the same again": bundle,
            "one encoder": other_encoder(bundle, folder / "encoder"),
            "one document": other_document(bundle, folder / "document"),
        }
        found, there = [], frozenset[str]()
        _programs(folder / "programs")
        for name, version in versions.items():
            whole = put(version, f"store:{folder / 'store'}")
            parts = put(version, f"ssh://here{folder / 'another store'}")
            manifest = manifests.read(version / manifests.FILENAME)
            contents = {entry.sha256: entry.size for entry in manifest.files}
            size = sum(entry.size for entry in manifest.files)
            sizes = [f"{count / 1e6:.3f}" for count in (whole.sent, parts.sent, size)]
            times = [f"{result.seconds:.1f}" for result in (whole, parts)]
            found.append([name, str(len(contents.keys() - there)), *sizes, *times])
            there |= contents.keys()
    return found


def put(bundle: Path, target: str) -> Result:
    """Flashes without the self-test: what it takes is no matter of the line."""
    with source.opened(bundle) as opened:
        asked = Conditions(self_test=False)
        to = [targets.parse(target)]
        (result,) = flash(opened, to, asked, progress=lambda label: lambda step, done, total: None)
    if result.failed or "whole" in result.detail:
        raise Error(result.detail)
    return result


def _programs(folder: Path) -> None:
    """Puts what takes the place of ssh, and a device's edge-runtime, on this process's PATH."""
    folder.mkdir()
    root, python = (shlex.quote(str(path)) for path in (Path(__file__).resolve().parents[1], sys.executable))
    scripts = {
        "ssh": SSH.format(programs=shlex.quote(str(folder))),
        "edge-runtime": RUNTIME.format(root=root, python=python),
    }
    for name, script in scripts.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def other_encoder(bundle: Path, folder: Path) -> Path:
    """A copy whose largest file of an encoder has another last byte."""
    copy = Path(shutil.copytree(bundle, folder))
    manifest = manifests.read(copy / manifests.FILENAME)
    encoders = [entry for entry in manifest.files if entry.path.startswith("encoders/")]
    path = copy / max(encoders, key=lambda entry: entry.size).path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return listed_anew(copy, manifest, "1.1.0")


def other_document(bundle: Path, folder: Path) -> Path:
    """A copy with a sentence more in the middle passage."""
    copy = Path(shutil.copytree(bundle, folder))
    manifest = manifests.read(copy / manifests.FILENAME)
    row = manifest.documents.passages // 2
    with closing(sqlite3.connect(copy / manifest.documents.path)) as database, database:
        database.execute("UPDATE passages SET text = text || ? WHERE row = ?", (SENTENCE, row))
        query = "SELECT d.title, p.text FROM passages p JOIN documents d ON d.id = p.document ORDER BY p.row"
        contents = [f"{title}\n{text}" for title, text in database.execute(query)]
    with edge_runtime.open(bundle) as retriever:
        vector = retriever.encode([contents[row]])[0]
    stored = np.clip(np.rint(vector * manifest.index.scale), -127, 127).astype(np.int8).tobytes()
    with (copy / manifest.index.path).open("r+b") as file:
        file.seek(_VECTORS_BEGIN + row * manifest.index.ndim)
        file.write(stored)
    spec = lexical.write(contents, copy, spec=recipe.LexicalSpec())
    return listed_anew(copy, replace(manifest, lexical=spec), "1.2.0")


def listed_anew(folder: Path, manifest: Manifest, version: str) -> Path:
    """The folder, with a manifest of that version that has its files as they are now."""
    paths = [(entry.path, folder / entry.path) for entry in manifest.files]
    files = tuple(FileEntry(name, path.stat().st_size, sha256(path)) for name, path in paths)
    changed = replace(manifest, version=version, files=files)
    (folder / manifests.FILENAME).write_bytes(manifests.dump(changed))
    return folder


if __name__ == "__main__":
    sys.exit(main())
