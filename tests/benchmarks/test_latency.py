"""The script around the benchmark: a table, JSON, a picture, and one line when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edge_runtime.bench.report import from_json

Script = Callable[[str], ModuleType]
Output = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
QUICK = ("-n", "3", "--warm-up", "0", "--cold-starts", "0")


def test_as_a_program(bundle: Path, tmp_path: Path) -> None:
    """The table on stdout, the files beside it; no progress where nobody watches."""
    arguments = [str(bundle), "-n", "20", "--cold-starts", "1", "--json", "a.json", "--png", "a.png"]
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "latency.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bundle    tiny 1.0.0: 48 documents, 96 passages, ")
    assert [line.split()[0] for line in done.stdout.split("-" * 20)[-1].splitlines() if line[:5] == "total"]
    report = from_json((tmp_path / "a.json").read_text("utf-8"))
    assert (report.total.n, [start.n for start in report.starts]) == (20, [1, 1])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_json_instead_of_the_table(bundle: Path, script: Script, capsys: Output) -> None:
    """For a pipe."""
    assert script("latency").main([str(bundle), *QUICK, "--json", "-"]) == 0
    assert from_json(capsys.readouterr().out).setting.n == 3


def test_query_file(bundle: Path, script: Script, tmp_path: Path, capsys: Output) -> None:
    """Questions of one's own, in the mode and depth that one's program uses."""
    (tmp_path / "queries.txt").write_text("yeast\ntide\n", "utf-8")
    arguments = ["--queries", str(tmp_path / "queries.txt"), "--mode", "lexical", "-k", "2"]
    assert script("latency").main([str(bundle), *QUICK, *arguments]) == 0
    out = capsys.readouterr().out
    assert "3 searches, 2 different, after 0 to warm up\n" in out
    assert "search    lexical, k 2, exact index, 1 thread\n" in out


def test_the_table_survives_a_file_that_cannot_be_written(
    bundle: Path, script: Script, tmp_path: Path, capsys: Output
) -> None:
    """Minutes of measuring are not lost to a typing mistake."""
    target = tmp_path / "gone" / "a.json"
    assert script("latency").main([str(bundle), *QUICK, "--json", str(target)]) == 1
    captured = capsys.readouterr()
    assert "queries per second" in captured.out
    assert captured.err == f"latency.py: [Errno 2] No such file or directory: '{target}'\n"


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib(bundle: Path, script: Script, tmp_path: Path, capsys: Output) -> None:
    """Said before the measuring, with the way round it; without --png nothing is missed."""
    latency = script("latency")
    assert latency.main([str(bundle), "--png", str(tmp_path / "a.png")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "latency.py: --png: matplotlib is not installed here; give --json FILE instead "
        "and draw that elsewhere: python benchmarks/plots.py FILE PNG\n"
    )
    assert latency.main([str(bundle), *QUICK]) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/gone"], "/gone: no such bundle directory"),
        (["/gone", "--queries", "/none.txt"], "/none.txt: cannot be read (No such file or directory)"),
        (["BUNDLE", "-n", "0"], "n: expected a whole number from 1; found 0"),
        (["BUNDLE", "--warm-up", "-1"], "warm-up: expected a whole number from 0; found -1"),
        (["BUNDLE", "--cold-starts", "-1"], "cold starts: expected a whole number from 0; found -1"),
    ],
)
def test_errors(bundle: Path, script: Script, capsys: Output, arguments: list[str], problem: str) -> None:
    """One line, status 1, nothing on stdout."""
    assert script("latency").main([str(bundle) if word == "BUNDLE" else word for word in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"latency.py: {problem}")
    assert captured.err.count("\n") == 1


def test_interrupted(script: Script, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no failure to be explained with a traceback."""
    latency = script("latency")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(latency.latency, "run_from", interrupt)
    assert latency.main(["any"]) == 130
    assert capsys.readouterr().err == "latency.py: interrupted; nothing was written\n"


def test_progress_is_wiped_before_the_table(
    bundle: Path, script: Script, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, one line that is written over and finally erased."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert script("latency").main([str(bundle), *QUICK]) == 0
    assert capsys.readouterr().err == (
        "\r\x1b[Ksearching 0/3\r\r\x1b[Ksearching 1/3\r\r\x1b[Ksearching 2/3\r\x1b[K"
    )
