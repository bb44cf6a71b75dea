"""Looks for inputs that a parser cannot take, guided by which lines they reach; for as long as you like.

    pip install atheris
    PYTHONPATH=. python tests/fuzz/search.py PARSER [SECONDS]

What reaches new lines is kept in corpus/PARSER, but for archives, which are large; so is what a parser could
not take. The tests feed all of that to the parsers from then on. Uses atheris (libFuzzer),
https://github.com/google/atheris.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edge_runtime"]):
    import parsers


def main() -> None:
    """Does not come back: libFuzzer ends the process, with status 0 where nothing was found."""
    name, *rest = sys.argv[1:]
    seconds = int(rest[0]) if rest else 60
    seeds = parsers.seeds(name)
    temporary = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds):
        (temporary / str(number)).write_bytes(seed)
    kept = parsers.CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    folders = [temporary, kept] if name == "archive" else [kept, temporary]  # the first gets what is new
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    limits += [f"-max_len={2 * max(map(len, seeds))}", f"-artifact_prefix={kept}/", "-reduce_inputs=1"]
    atheris.Setup([sys.argv[0], *limits, *map(str, folders)], lambda data: parsers.feed(name, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
