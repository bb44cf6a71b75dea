"""The commands of edge-runtime, with and without --json, and how they fail."""

from __future__ import annotations

import argparse
import dataclasses
import io
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
from edge_runtime import cli, search_commands
from edge_runtime.bench import options as bench_options
from edge_runtime.manifest import EncoderCost, EncoderQuality, EncoderSpec
from edge_runtime.retriever import Mode

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
    assert re.fullmatch(r"tiny 1.0.0: 13 files, 0.1 MB, as built\n", capsys.readouterr().out)
    run("verify", "--json", "--files-only", str(bundle))
    found = json.loads(capsys.readouterr().out)
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    manifest = (bundle / "manifest.yaml").stat().st_size
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
    assert lines[3:] == [f"layers2: not tested, it {reason}"]
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


def test_search_prints_hits(bundle: Path, capsys: Output) -> None:
    """The words of a question need no quotes."""
    run("search", str(bundle), "yeast", "and", "dough", "-k", "2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "? yeast and dough"
    assert re.match(r"  1\. bread ", lines[1])
    assert len(lines) == 6
    assert lines[5] == ""


def test_search_as_json_has_all_of_a_hit(bundle: Path, capsys: Output) -> None:
    """One object a query, a line each."""
    run("search", str(bundle), "--json", "yeast and dough", "-k", "3", "--mode", "lexical")
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["query"] == "yeast and dough"
    with edge_runtime.open(bundle) as retriever:
        hits = retriever.search("yeast and dough", k=3, mode="lexical")
    assert [hit["key"] for hit in found["hits"]] == [hit.key for hit in hits]
    fields = {"key", "score", "title", "text", "metadata", "passage", "dense", "lexical"}
    assert set(found["hits"][0]) == fields
    assert found["hits"][0]["lexical"] == {"rank": 1, "score": hits[0].score, "part": hits[0].score}


@pytest.mark.parametrize(
    "arguments",
    [
        ("BUNDLE", "-k", "1", "wind", "and", "rope"),
        ("-k", "1", "BUNDLE", "wind", "and", "rope"),
        ("BUNDLE", "wind", "-k", "1", "and", "rope"),
        ("BUNDLE", "wind and rope", "-k1"),
        ("BUNDLE", "-k", "1", "--", "wind", "and", "rope"),
    ],
)
def test_options_may_stand_anywhere(bundle: Path, capsys: Output, arguments: tuple[str, ...]) -> None:
    """Before, after and between the words of a question."""
    run("search", *(str(bundle) if argument == "BUNDLE" else argument for argument in arguments))
    assert capsys.readouterr().out.startswith("? wind and rope\n  1. sailing")


def test_search_says_when_there_is_nothing(bundle: Path, capsys: Output) -> None:
    """A word that no document has."""
    run("search", str(bundle), "--mode", "lexical", "zyzzyva")
    assert capsys.readouterr().out == "? zyzzyva\n     nothing found\n\n"


def test_search_takes_options(bundle: Path, capsys: Output) -> None:
    """Each of them."""
    run("search", str(bundle), "-k", "1", "--mode", "dense", "--encoder", "layers2", "--threads", "2", "sail")
    assert capsys.readouterr().out.count("\n  1. ") == 1


def test_search_filters(bundle: Path, capsys: Output) -> None:
    """The words are in no document of this section, but meaning finds some."""
    run("search", str(bundle), "yeast and dough", "--json", "--where", '{"section": {"in": ["radio"]}}')
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [hit["metadata"] for hit in hits] == [{"section": "radio"}] * 5


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_search_reads_questions_from_stdin(
    bundle: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, json_flag: list[str]
) -> None:
    """One a line; blank lines are no questions."""
    monkeypatch.setattr("sys.stdin", io.StringIO("\n  yeast  \n\n \t\nsail\n\n"))
    run("search", str(bundle), "-k", "1", *json_flag)
    out = capsys.readouterr().out
    if json_flag:
        assert [json.loads(line)["query"] for line in out.splitlines()] == ["yeast", "sail"]
    else:
        assert [line for line in out.splitlines() if line.startswith("?")] == ["? yeast", "? sail"]


def test_no_question_at_all_is_no_error(
    bundle: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file of questions gives an empty answer."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    run("search", str(bundle))
    assert capsys.readouterr().out == ""


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
    names = ("info", "verify", "doctor", "search", "similar", "duplicates", "bench", "calibrate")
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


def test_what_is_printed_cannot_steer_the_terminal(bundle: Path, capsys: Output) -> None:
    """Control characters, of the query or of a document, come out as replacement characters."""
    run("search", str(bundle), "dough\x1b[2J\x9b1m\udcff", "-k", "1")
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "? dough\ufffd[2J\ufffd1m\ufffd"
    hit = edge_runtime.Hit("k", 1.0, "a\x1b]0;title\x07", "b\x08\x9b", {}, 0, None, None)
    with edge_runtime.open(bundle) as retriever:
        shown = search_commands._marked(retriever, hit, "b")
    assert search_commands._render("q", [hit], [shown]).splitlines()[1:3] == [
        "  1. a\ufffd]0;title\ufffd",
        "     b\ufffd\ufffd",
    ]


@pytest.mark.parametrize(
    ("variables", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_words_of_the_query_are_bold_on_a_terminal(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Output,
    variables: dict[str, str],
    terminal: bool,
    expected: bool,
) -> None:
    """And nowhere else, nor where it is not wanted."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    run("search", str(bundle), "kneading of yeast", "-k", "1", "--mode", "lexical")
    shown = capsys.readouterr().out
    assert ("\x1b[1myeast\x1b[0m" in shown) == expected
    assert ("\x1b" in shown) == expected


def test_a_snippet_says_what_it_leaves_out(bundle: Path) -> None:
    """Before it and behind it; on one line."""
    text = "One is first. " * 20 + "The dough\nrises here. " + "Last is this. " * 20
    hit = edge_runtime.Hit("k", 1.0, "", text, {}, 0, None, None)
    with edge_runtime.open(bundle) as retriever:
        shown = search_commands._marked(retriever, hit, "dough")
        assert shown.startswith("… The dough rises here. Last")
        assert shown.endswith(" …")
        whole = dataclasses.replace(hit, text=" dough. ")
        assert search_commands._marked(retriever, whole, "dough") == "dough."


def test_similar(bundle: Path, capsys: Output) -> None:
    """Titles and texts, or JSON with all of a hit; an unknown key is one error."""
    run("similar", str(bundle), "bread-0", "-k", "2", "--where", '{"section": "garden"}')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "? bread-0"
    assert re.match(r"  1\. garden ", lines[1])
    assert len(lines) == 6
    run("similar", str(bundle), "bread-0", "-k", "2", "--json")
    found = json.loads(capsys.readouterr().out)
    with edge_runtime.open(bundle) as retriever:
        assert found == {
            "key": "bread-0",
            "hits": [dataclasses.asdict(hit) for hit in retriever.similar("bread-0", k=2)],
        }
    run("similar", str(bundle), "bread-99", status=1)
    expected = "edge-runtime: key: no document has the key 'bread-99'; a hit's `key` is one\n"
    assert capsys.readouterr().err == expected


def test_duplicates(bundle: Path, capsys: Output) -> None:
    """A block a pair, or a line of JSON; progress is for terminals."""
    run("duplicates", str(bundle), "--threshold", "0.9")
    captured = capsys.readouterr()
    score, first, text, second, *_ = captured.out.splitlines()
    assert 0.9 <= float(score) <= 1
    assert re.fullmatch(r"  \w+ \w+ \(\w+-\d\), passage \d", first)
    assert re.fullmatch(r"  \w+ \w+ \(\w+-\d\), passage \d", second)
    assert text.startswith("     ")
    assert captured.err == ""
    run("duplicates", str(bundle), "--threshold", "0.9", "--json")
    with edge_runtime.open(bundle) as retriever:
        expected = [dataclasses.asdict(pair) for pair in retriever.duplicates(0.9)]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected
    run("duplicates", str(bundle), "--threshold", "2", status=1)
    assert "threshold: expected a number above 0 and up to 1; found 2.0" in capsys.readouterr().err


def test_duplicates_on_a_terminal(bundle: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far it is, on a line that is cleared for each pair and at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run("duplicates", str(bundle), "--threshold", "1")
    captured = capsys.readouterr()
    assert captured.err == "\rcomparing passages: 100 %\r\x1b[K"
    assert captured.out


def test_what_the_device_lacks_is_said_on_a_line(
    bundle: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, without a place in the code; the search is answered."""
    home.mkdir()
    (home / "device.yaml").write_text("onnx: {providers: [QNNExecutionProvider]}", "utf-8")
    assert cli.main(["search", str(bundle), "yeast"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("? yeast")
    assert err.startswith("edge-runtime: device.yaml asks for QNNExecutionProvider, which onnxruntime ")
    assert err.endswith("runs instead\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["search", "info", "verify", "calibrate", "bench"])
def test_a_broken_configuration_is_one_line(
    bundle: Path, home: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Whatever the command."""
    home.mkdir()
    (home / "device.yaml").write_text("threads: many", "utf-8")
    words = ["yeast"] if command == "search" else []
    assert cli.main([command, str(bundle), *words]) == cli.FAILED
    err = capsys.readouterr().err
    assert err.startswith(f"edge-runtime: {home}/device.yaml: threads: expected a whole number; found 'many'")
    assert err.count("\n") == 1
