"""The report of a bundle: one HTML page that needs nothing else, and its figures as PNGs beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from build_tools.errors import BuildError
from build_tools.progress import Progress
from build_tools.workspace import write_atomically
from edge_runtime.bundle import read_manifest

if TYPE_CHECKING:
    from build_tools.report.data import Findings

PAGE = "report.html"
FOLDER = "report"


def report(bundle: Path, out: Path | None, progress: Progress) -> Path:
    """Measures a bundle's directory, writes its report and returns the page's path.

    Args:
        out: the folder to write to; None takes ``report`` beside the bundle.

    Raises:
        BuildError: `out` lies in the bundle, or something that the report needs cannot be read.
        edge_runtime.Error: not a bundle, not as it was built, or an encoder's engine is missing.
    """
    read_manifest(bundle)  # a wrong path should not wait for torch
    folder = out or bundle.resolve().parent / FOLDER
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise BuildError(
            f"{folder}: lies in the bundle, which must stay as it was built; choose another --out"
        )
    from build_tools.report.collect import collect

    return write(collect(bundle, progress), folder)


def write(findings: Findings, folder: Path) -> Path:
    """Writes the page and the light PNGs of its figures into `folder`, made if it is new."""
    from build_tools.report import plots
    from build_tools.report.page import page
    from build_tools.report.style import DARK, LIGHT
    from build_tools.report.widgets import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for name, draw in plots.available(findings).items():
        figures[name] = Figure(plots.render(draw, findings, LIGHT), plots.render(draw, findings, DARK))
        _write(folder / f"{name}.png", figures[name].light)
    _write(folder / PAGE, page(findings, figures).encode())
    return folder / PAGE


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, lambda file: file.write(data))
