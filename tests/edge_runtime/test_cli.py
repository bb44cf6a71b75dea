"""The commands of edge-runtime, with and without --json, and how they fail."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from edge_runtime import cli
from edge_runtime.bench import options as bench_options
from edge_runtime.manifest import EncoderCost, EncoderQuality, EncoderSpec
from edge_runtime.question import Mode

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "edge_runtime.cli"]

Output = pytest.CaptureFixture[str]


def run(*arguments: str, status: int = 0) -> None:
    """Runs a command in this process."""
    assert cli.main(arguments) == status


def shell(script: str, bundle: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which $RUN is the command and $BUNDLE the bundle."""
    environment = os.environ | {"BUNDLE": str(bundle), "RUN": " ".join(COMMAND)} | options.pop("env", {})
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        timeout=120,
        cwd=ROOT,
        env=environment,
        text=True,
        **options,
    )


def test_info_says_what_the_bundle_holds(bundle: Path, capsys: Output) -> None:
    """And that it took the bundle's word for it."""
    run("info", str(bundle))
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["bundle"].startswith("tiny 1.0.0, made 20")
    assert lines["documents"] == "48 in 96 passages"
    assert lines["encoder"].startswith("layers2: onnx, 2 layers, 32 dimensions")
    assert lines["auto"] == "layers2: the bundle's first; not calibrated on this device"
    assert lines["index"] == "exact, i8, 96 vectors"
    assert lines["hashes"] == "not checked; edge-runtime verify checks them"


def test_info_as_json_is_the_manifest(bundle: Path, capsys: Output) -> None:
    """All of it."""
    run("info", str(bundle), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "tiny"
    assert {entry["path"] for entry in found["files"]} >= {"dense.usearch", "documents.sqlite"}


def test_info_reads_a_bundle_that_is_damaged(bundle_copy: Path, capsys: Output) -> None:
    """It looks at nothing but the manifest."""
    (bundle_copy / "dense.usearch").unlink()
    run("info", str(bundle_copy))
    assert "tiny 1.0.0" in capsys.readouterr().out
    run("verify", str(bundle_copy), status=1)


def test_verify_counts_what_it_checked(bundle: Path, capsys: Output) -> None:
    """In words and as JSON."""
    run("verify", "--files-only", str(bundle))
    said, unsaid = capsys.readouterr().out.splitlines()
    assert said == "tiny 1.0.0: 13 files, 0.1 MB, as built"
    assert unsaid == "not checked: who made it, for device.yaml trusts no key"
    run("verify", "--json", "--files-only", str(bundle))
    found = json.loads(capsys.readouterr().out)
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    manifest = (bundle / "manifest.yaml").stat().st_size
    assert found.pop("signer") is None
    assert found == {"name": "tiny", "version": "1.0.0", "files": 13, "bytes": size - manifest}


def test_verify_replays_the_golden_queries(
    two_engines: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each encoder that can run here, with what ran it; the others with why not."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    reason = "has no engine here: pip install 'edge-runtime[onnx]'"
    run("verify", str(two_engines))
    lines = capsys.readouterr().out.splitlines()
    tflite = r"layers2-tflite: 4 golden queries as built, cosine [01]\.\d{4} \(ai-edge-litert [0-9.]+\)"
    assert re.fullmatch(tflite, lines[1])
    assert re.fullmatch(r"static: 4 golden queries as built, cosine 1\.0000 \(numpy [0-9.]+\)", lines[2])
    assert lines[3] == f"layers2: not tested, it {reason}"
    assert lines[4:] == ["not checked: who made it, for device.yaml trusts no key"]
    run("verify", "--json", str(two_engines))
    golden = json.loads(capsys.readouterr().out)["golden"]
    assert golden["skipped"] == {"layers2": reason}
    assert [each["encoder"] for each in golden["replays"]] == ["layers2-tflite", "static"]


def test_doctor(bundle: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """In lines and as JSON, with a bundle or without; a problem is told by the exit status."""
    from edge_runtime import device

    run("doctor")
    without = capsys.readouterr().out.splitlines()
    assert without[0].split(maxsplit=2)[1] == "system:"
    run("doctor", "--json", str(bundle))
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["about"] for finding in findings][-2:] == ["memory", "configuration"]
    assert {"level", "about", "text"} == set(findings[0])
    sound = device.describe()
    monkeypatch.setattr(device, "describe", lambda: dataclasses.replace(sound, machine="armv7l"))
    run("doctor", status=1)
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].startswith("problem  system: armv7l; expected a 64-bit system")
    assert re.fullmatch(r"edge-runtime: 1 of \d+ findings are problems; see above\n", captured.err)


def test_info_tells_the_rungs_and_which_one_opens(
    bundle_copy: Path, add_static: Callable[..., EncoderSpec], home: Path, capsys: Output
) -> None:
    """Quality and cost where the manifest has them, and why it is that one."""
    quality = EncoderQuality(ndcg_10=0.63721, retention=0.9874, basis="labels")
    add_static(bundle_copy, first=True, quality=quality, cost=EncoderCost(bytes=12_345_678, macs=6144))
    run("info", str(bundle_copy))
    out = capsys.readouterr().out
    first, second, auto = re.findall(r"^(?:encoder|auto) +(.*)$", out, re.MULTILINE)
    assert first == (
        "static: static, 32 dimensions; nDCG@10 0.6372, 98.7% of the teacher's (judged queries); "
        "12.3 MB, 0.01 million multiply-adds for 16 tokens"
    )
    assert second.startswith("layers2: onnx, 2 layers, 32 dimensions")
    reason = "the bundle's first; not calibrated on this device"
    assert auto == f"static: {reason}"
    run("info", str(bundle_copy), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["auto"] == {"encoder": "static", "calibrated": False, "reason": reason}
    assert found["encoders"][0]["cost"] == {"bytes": 12_345_678, "macs": 6144}


def test_info_tells_whose_documents_a_quality_is_of(
    bundle_copy: Path, add_static: Callable[..., EncoderSpec], home: Path, capsys: Output
) -> None:
    """An update keeps the figure and names the version that it is of."""
    quality = EncoderQuality(ndcg_10=0.5, retention=None, basis="teacher", version="1.0.0")
    add_static(bundle_copy, first=True, quality=quality)
    run("info", str(bundle_copy))
    told = "nDCG@10 0.5000 (agreement with the teacher, with the documents of 1.0.0)"
    assert told in capsys.readouterr().out


def test_calibrate_chooses_and_remembers(ladder: Path, home: Path, capsys: Output) -> None:
    """A table and the choice; `info` then tells of it."""
    run("calibrate", str(ladder), "-n", "3", "--budget-ms", "60000")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["encoder", "p50", "ms", "p99", "ms", "nDCG@10", "engine"]
    assert [line.split()[0] for line in lines[2:4]] == ["layers2", "static"]
    assert "tiny 1.0.0 opens with layers2 here: within 60000 ms" in lines
    assert lines[-1] == f"recorded in {home}/bundles/tiny/state.yaml"
    run("info", str(ladder))
    expected = r"auto +layers2: calibrated \S+: p50 \S+ ms, budget 60000 ms"
    assert re.search(expected, capsys.readouterr().out)


def test_calibrate_as_json(ladder: Path, home: Path, tmp_path: Path, capsys: Output) -> None:
    """The whole outcome; queries from a file."""
    (tmp_path / "queries.txt").write_text("yeast\ntide\n", "utf-8")
    run("calibrate", str(ladder), "-n", "3", "--queries", str(tmp_path / "queries.txt"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "tiny"
    assert [rung["id"] for rung in found["calibration"]["rungs"]] == ["layers2", "static"]
    assert found["recorded"] == f"{home}/bundles/tiny/state.yaml"


@pytest.mark.parametrize("encoder", ["auto", "static"])
def test_search_and_bench_take_an_encoder(static_bundle: Path, capsys: Output, encoder: str) -> None:
    """By its id, or the one that is best here."""
    run("search", str(static_bundle), "--encoder", encoder, "-k", "1", "yeast")
    assert capsys.readouterr().out.startswith("? yeast\n  1. ")
    options = ("-n", "3", "--warm-up", "0", "--cold-starts", "1", "--encoder", encoder, "--json")
    run("bench", str(static_bundle), *options)
    assert json.loads(capsys.readouterr().out)["setting"]["encoder"] == "static"


def test_bench_measures(bundle: Path, capsys: Output) -> None:
    """A table, or JSON."""
    options = ("-n", "3", "--warm-up", "0", "--cold-starts", "0")
    run("bench", str(bundle), *options)
    assert "tiny 1.0.0" in capsys.readouterr().out
    run("bench", str(bundle), *options, "--json")
    assert json.loads(capsys.readouterr().out)["setting"]["n"] == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("info", "/gone"), "edge-runtime: /gone: no such bundle directory; build one with edge-build build"),
        (("verify", "/gone"), "edge-runtime: /gone: no such bundle directory"),
        (("search", "/gone", "x"), "edge-runtime: /gone: no such bundle directory"),
        (("bench", "/gone"), "edge-runtime: /gone: no such bundle directory"),
        (("info", "/dev"), "edge-runtime: /dev/manifest.yaml: cannot be read"),
        (("search", "BUNDLE", ""), "edge-runtime: query: expected some text; found none"),
        (("search", "BUNDLE", "x", "-k", "0"), "edge-runtime: k: expected a whole number from 1; found 0"),
        (("search", "BUNDLE", "x", "--threads", "0"), "edge-runtime: threads: expected a whole number"),
        (
            ("search", "BUNDLE", "x", "--encoder", "y"),
            "edge-runtime: encoder: bundle tiny has layers2; found 'y'",
        ),
        (
            ("search", "BUNDLE", "x", "--where", "{section: 1}"),
            "edge-runtime: where: not JSON (Expecting property name enclosed in double quotes, column 2)",
        ),
        (
            ("search", "BUNDLE", "x", "--where", '{"section": {"gte": []}}'),
            "edge-runtime: where.section.gte: expected a number or text; found a list of 0",
        ),
        (("search", "BUNDLE", "x", "--where", "null"), "edge-runtime: where: expected a JSON object"),
        (("calibrate", "/gone"), "edge-runtime: /gone: no such bundle directory"),
        (("calibrate", "BUNDLE", "--budget-ms", "0"), "edge-runtime: budget: expected milliseconds above 0"),
        (("calibrate", "BUNDLE", "--budget-ms", "nan"), "edge-runtime: budget: expected milliseconds above"),
        (("calibrate", "BUNDLE", "-n", "0"), "edge-runtime: n: expected a whole number from 1; found 0"),
        (("bench", "BUNDLE", "-n", "0"), "edge-runtime: n: expected a whole number from 1; found 0"),
    ],
)
def test_errors_go_to_stderr(bundle: Path, capsys: Output, arguments: tuple[str, ...], problem: str) -> None:
    """One line, status 1, nothing on stdout."""
    run(*(str(bundle) if argument == "BUNDLE" else argument for argument in arguments), status=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(problem)
    assert captured.err.count("\n") == 1


def test_an_error_does_not_steer_the_terminal(bundle_copy: Path, capsys: Output) -> None:
    """With names that whoever made the bundle chose."""
    (bundle_copy / "a\x1b[2J\x07b").touch()
    run("verify", str(bundle_copy), status=1)
    assert "a\ufffd[2J\ufffdb" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["info"],
        ["search", "b", "-k", "many"],
        ["search", "b", "x", "--colour"],
        ["verify", "b", "c"],
    ],
)
def test_usage_errors_are_status_2(capsys: Output, arguments: list[str]) -> None:
    """As argparse and every shell have it."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: edge-runtime" in capsys.readouterr().err


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def test_every_option_has_help() -> None:
    """Of every command, and so has every command itself."""
    found = list(parsers(cli._parser()))
    asking, storing = (
        ("search", "similar", "duplicates"),
        ("install", "repair", "receive", "status", "rollback", "mark-good", "prove", "prune"),
    )
    names = ("info", "verify", "doctor", *asking, *storing, "bench", "calibrate")
    assert [parser.prog for parser in found][1:] == [f"edge-runtime {name}" for name in names]
    for parser in found:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                assert len(action._choices_actions) == len(action.choices)
                assert all(choice.help for choice in action._choices_actions)
            else:
                assert action.help, f"{parser.prog} {action.option_strings or action.dest}"


@pytest.mark.parametrize("command", [[], ["info"], ["verify"], ["search"], ["bench"], ["calibrate"]])
def test_help_is_printed(capsys: Output, command: list[str]) -> None:
    """Also where it has a per cent sign to format."""
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: edge-runtime")


def test_version(capsys: Output) -> None:
    """The package's own."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"edge-runtime {edge_runtime.__version__}\n"


def test_the_modes_offered_are_the_modes_there_are() -> None:
    """The command line spells them out so as not to import the retriever."""
    from typing import get_args

    assert get_args(Mode) == bench_options.MODES


def test_ctrl_c_is_status_130(bundle: Path) -> None:
    """While it waits for a question; no traceback."""
    process = subprocess.Popen(
        [*COMMAND, "search", str(bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # A shell's background job ignores Ctrl-C, and what it starts inherits that: tests may run there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"dough\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"? dough\n"
    time.sleep(0.1)  # it prints with one write, then waits for the next line
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b""


def test_a_closed_pipe_ends_quietly(bundle: Path) -> None:
    """`head` has what it wanted."""
    done = shell("yes dough | head -2000 | $RUN search $BUNDLE | head -1; echo ${PIPESTATUS[2]}", bundle)
    assert done.stdout == "? dough\n0\n"
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_error(bundle: Path) -> None:
    """Said once, not again when the interpreter ends."""
    done = shell("$RUN info $BUNDLE > /dev/full", bundle)
    assert done.returncode == 1
    assert done.stderr == "edge-runtime: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("search $BUNDLE <&-", ""),
        ("info $BUNDLE >&-", ""),
        ("--help >&-", ""),
        ("info $BUNDLE/none 2>&-; [ $? = 1 ]", ""),
        ("duplicates $BUNDLE --threshold 1 2>&-", "no duplicates found\n"),
    ],
)
def test_a_stream_may_be_closed(bundle: Path, command: str, printed: str) -> None:
    """As services and cron jobs have it: nothing comes of it, nothing goes there."""
    done = shell(f"$RUN {command}", bundle)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize("encoding", ["utf8", "latin-1", "ascii", "utf-16"])
def test_json_is_json_in_every_encoding(bundle: Path, encoding: str) -> None:
    """What it lacks is escaped as JSON does it; UTF-8 has everything."""
    command = "$RUN search $BUNDLE --json 'café 👩'"
    done = shell(command, bundle, env={"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert json.loads(done.stdout)["query"] == "café 👩"
    assert ("café 👩" in done.stdout) == (encoding == "utf8")


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0"}])
def test_any_bytes_may_be_asked_anywhere(bundle: Path, environment: dict[str, str]) -> None:
    """Questions that are not UTF-8, in arguments or on stdin, on terminals that know only ASCII."""
    as_argument = r"$RUN search $BUNDLE $'caf\xe9 \xf0\x9f\x8d\x9e'"
    from_stdin = r"printf 'caf\xe9\n\xf0\x9f\x8d\x9e\n' | $RUN search $BUNDLE --json"
    done = shell(
        f"{as_argument} && {from_stdin}", bundle, env=environment, encoding="utf-8", errors="replace"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("bread") > 0
