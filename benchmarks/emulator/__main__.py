"""Makes the emulated device's image, or says in one line why it cannot.

PYTHONPATH=benchmarks python -m emulator [--install]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emulator import tools
from emulator.errors import EmulatorError, UnavailableError
from emulator.image import image
from emulator.packages import build_wheel, packages

FAILED, UNAVAILABLE = 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when it is made, 3 when this computer cannot make it, 1 when a step failed."""
    parser = argparse.ArgumentParser(
        prog="emulator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--install", action="store_true", help="as root, apt-get install what is missing")
    options = parser.parse_args(arguments)
    try:
        prepare(install=options.install)
    except (EmulatorError, OSError) as problem:
        print(f"emulator: {problem}", file=sys.stderr)
        return UNAVAILABLE if isinstance(problem, UnavailableError) else FAILED
    return 0


def prepare(*, install: bool) -> None:
    """Builds image and packages where they are not in the cache yet.

    Raises:
        UnavailableError: they cannot be built here.
        EmulatorError: a step of building them fails.
    """
    lacking = tools.missing(tools.RUN, tools.BUILD)
    if install and lacking:
        tools.install(lacking)
    print(image().folder)
    with tempfile.TemporaryDirectory() as folder:
        print(packages(build_wheel(Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
