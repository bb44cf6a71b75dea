"""The commands that answer from a bundle: search, similar and duplicates, and how they print."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import pytest

import edge_runtime
from edge_runtime import cli, search_commands

Output = pytest.CaptureFixture[str]


def run(*arguments: str, status: int = 0) -> None:
    """Runs a command in this process."""
    assert cli.main(arguments) == status


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
    assert set(found["hits"][0]) == fields | {"rerank"}
    assert found["hits"][0]["lexical"] == {"rank": 1, "score": hits[0].score, "part": hits[0].score}


@pytest.mark.parametrize(("option", "read"), [(("--rerank",), 6), (("--rerank-depth", "2"), 2)])
def test_search_reranks(reranked_bundle: Path, capsys: Output, option: tuple[str, ...], read: int) -> None:
    """As deep as the bundle or the caller says; a question may follow the option."""
    run("search", str(reranked_bundle), "--json", "-k", "9", *option, "yeast and dough")
    found = json.loads(capsys.readouterr().out)
    assert (found["query"], found["dropped"]) == ("yeast and dough", [])
    assert [hit["rerank"] is not None for hit in found["hits"]] == [True] * read + [False] * (9 - read)
    run("search", str(reranked_bundle), "--json", *option, "--deadline-ms", "1e7", "yeast and dough")
    assert json.loads(capsys.readouterr().out)["hits"] == found["hits"][:5]


def test_search_cannot_rerank(bundle: Path, capsys: Output) -> None:
    """One line for a bundle without a reranker, also with a deadline."""
    for more in ((), ("--deadline-ms", "5")):
        run("search", str(bundle), "yeast", "--rerank", *more, status=1)
        assert capsys.readouterr().err.startswith("edge-runtime: rerank: bundle tiny has no reranker")


def test_info_and_verify_tell_of_a_reranker(reranked_bundle: Path, capsys: Output) -> None:
    """What it is, and that it gives what it gave."""
    run("info", str(reranked_bundle))
    expected = "reranker   onnx, 2 layers, 64 tokens a pair; reads the first 6 unless a search says otherwise"
    assert expected in capsys.readouterr().out.splitlines()
    run("verify", str(reranked_bundle))
    assert re.search(
        r"^reranker: \d+ golden pairs as built, scores to 0\.0000 \(", capsys.readouterr().out, re.M
    )


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


def test_a_word_may_be_a_number_below_zero(bundle: Path, capsys: Output) -> None:
    """Behind the others, as in front of them."""
    for words in (("-5", "wind"), ("wind", "-5"), ("wind", "-5.5")):
        run("search", str(bundle), "-k", "1", *words)
        assert capsys.readouterr().out.startswith(f"? {' '.join(words)}\n  1. sailing")


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


def test_search_with_a_deadline(ladder: Path, capsys: Output) -> None:
    """Warmed up first; JSON says who answered and what was dropped."""
    run("search", str(ladder), "yeast", "--deadline-ms", "0.0001", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["encoder"], answer["dropped"]) == (None, ["dense"])
    run("search", str(ladder), "yeast", "--deadline-ms", "60000", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert (answer["encoder"], answer["dropped"]) == ("layers2", [])
    run("search", str(ladder), "yeast", "--deadline-ms", "-1", status=1)
    assert capsys.readouterr().err == "edge-runtime: deadline_ms: expected a number above 0; found -1.0\n"
