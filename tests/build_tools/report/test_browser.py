"""The page in headless Chromium, where there is one: what it makes of it, and what is to be seen."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from build_tools.report import PAGE
from build_tools.report.style import LIGHT

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def chromium(tmp_path: Path, *arguments: str) -> str:
    """Runs it with a profile of its own and returns what it prints."""
    assert CHROMIUM
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_the_page_as_chromium_reads_it(written: Path, tmp_path: Path) -> None:
    """All sections and pictures; the text of a hostile query is text still."""
    dom = chromium(tmp_path, "--dump-dom", (written / PAGE).as_uri())
    assert len(re.findall("<section id=", dom)) == 9
    assert len(re.findall('<img src="data:image/png;base64,', dom)) == 7
    assert "<script" not in dom
    assert "&lt;script&gt;alert('x')&lt;/script&gt;" in dom


@pytest.mark.parametrize("width", [500, 1100])
def test_the_page_as_it_is_seen(written: Path, tmp_path: Path, width: int) -> None:
    """Pictures are drawn on it: the rungs' colours are there, on a narrow window and on a wide one."""
    shot = tmp_path / "page.png"
    chromium(tmp_path, f"--window-size={width},4000", f"--screenshot={shot}", (written / PAGE).as_uri())
    pixels = imread(shot)[..., :3]
    assert pixels.shape == (4000, width, 3)
    for place in (0, 1):
        near = np.abs(pixels - np.array(to_rgb(LIGHT.rung(place)))).max(axis=2) < 0.02
        assert near.sum() > 1000
    edges = pixels[:, [0, -1]]
    assert np.ptp(edges) == 0  # nothing sticks out at the sides
