"""The commands that ask an open bundle: search, similar, duplicates."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import edge_runtime
from edge_runtime.bench import options as bench_options
from edge_runtime.terminal import Percentage, bold, printable, styled, to_json

if TYPE_CHECKING:
    from edge_runtime.duplicates import Duplicate, Passage
    from edge_runtime.hits import Hit
    from edge_runtime.retriever import Retriever
    from edge_runtime.snippets import Snippet

SNIPPET_CHARS = 160

_SPACES = re.compile(r"\s+")


def add(commands: Any) -> None:
    """Adds them to the command line."""
    _add_search(commands)
    _add_similar(commands)
    _add_duplicates(commands)


def _add_search(commands: Any) -> None:
    parser = commands.add_parser("search", help="answer a question, or one a line from standard input")
    _add_bundle(parser)
    parser.add_argument("query", nargs="*", metavar="QUERY", help="the question; its words may be unquoted")
    _add_choice(parser)
    parser.add_argument(
        "--mode", choices=bench_options.MODES, default="hybrid", help="how to search (default: hybrid)"
    )
    parser.add_argument("--encoder", metavar="ID", help=bench_options.ENCODER_HELP)
    parser.add_argument("--threads", type=int, metavar="N", help=bench_options.THREADS_HELP)
    parser.add_argument(
        "--deadline-ms",
        type=float,
        metavar="MS",
        help="answer each question within so many milliseconds, by words alone if need be",
    )
    bench_options.add_rerank(parser)
    parser.set_defaults(run=_search)


def _add_similar(commands: Any) -> None:
    parser = commands.add_parser("similar", help="find the documents most like one of the bundle")
    _add_bundle(parser)
    parser.add_argument("key", metavar="KEY", help="the document's key, as search --json gives it")
    _add_choice(parser)
    parser.set_defaults(run=_similar)


def _add_duplicates(commands: Any) -> None:
    summary = "find pairs of documents with nearly the same passage"
    parser = commands.add_parser("duplicates", help=summary)
    _add_bundle(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.95,
        metavar="COSINE",
        help="of the most similar passages of a pair, up to 1 (default: %(default)s)",
    )
    parser.set_defaults(run=_duplicates)


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    bench_options.add_bundle(parser)
    parser.add_argument(
        "--verify",
        choices=("full", "size"),
        help="hash every file first, or trust an earlier check and compare sizes "
        "(default: size for an installed bundle, else full)",
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", type=int, default=5, metavar="K", help="how many documents (default: 5)")
    parser.add_argument(
        "--where", metavar="JSON", help="""only documents with such metadata: '{"year": {"gte": 2020}}'"""
    )


def _search(options: argparse.Namespace) -> None:
    where = _where(options)
    queries = [" ".join(options.query)] if options.query else _lines(sys.stdin)
    opened = edge_runtime.open(
        options.bundle, encoder=options.encoder, threads=options.threads, verify=options.verify
    )
    with opened as retriever:
        ask = partial(
            retriever.search,
            k=options.k,
            mode=options.mode,
            where=where,
            rerank=options.rerank,
            deadline_ms=options.deadline_ms,
        )
        if options.deadline_ms is not None:
            retriever.warm_up(rerank=bool(options.rerank))
        for query in queries:
            hits = ask(query)
            if options.json:
                found = [dataclasses.asdict(hit) for hit in hits]
                how = {"encoder": hits.encoder, "dropped": hits.dropped}
                print(to_json({"query": query, **how, "hits": found}), flush=True)
            else:
                print(_render(query, hits, [_marked(retriever, hit, query) for hit in hits]), flush=True)


def _similar(options: argparse.Namespace) -> None:
    where = _where(options)
    with edge_runtime.open(options.bundle, verify=options.verify) as retriever:
        hits = retriever.similar(options.key, k=options.k, where=where)
        if options.json:
            print(to_json({"key": options.key, "hits": [dataclasses.asdict(hit) for hit in hits]}))
        else:
            print(_render(options.key, hits, [_beginning(hit.text) for hit in hits]))


def _duplicates(options: argparse.Namespace) -> None:
    progress = Percentage("comparing passages:")
    with edge_runtime.open(options.bundle, verify=options.verify) as retriever:
        found = False
        try:
            for pair in retriever.duplicates(options.threshold, progress=progress):
                found = True
                progress.clear()
                print(to_json(dataclasses.asdict(pair)) if options.json else _render_pair(pair), flush=True)
        finally:
            progress.clear()
        if not found and not options.json:
            print("no duplicates found")


def _where(options: argparse.Namespace) -> Any:
    from edge_runtime import filters

    return None if options.where is None else filters.from_json(options.where)


def _lines(file: Iterable[str]) -> Iterator[str]:
    return (stripped for line in file if (stripped := line.strip()))


def _render(about: str, hits: Sequence[Hit], shown: Sequence[str]) -> str:
    """`shown` is what is printed of each hit's passage."""
    lines = [f"? {printable(about)}"]
    for rank, (hit, text) in enumerate(zip(hits, shown, strict=True), start=1):
        lines.append(f"{rank:3d}. {printable(hit.title or hit.key)}")
        lines.append(f"     {text}")
    return "\n".join(lines if hits else [*lines, "     nothing found"]) + "\n"


def _render_pair(pair: Duplicate) -> str:
    return (
        "\n".join((f"{pair.score:.4f}", *_render_passage(pair.first), *_render_passage(pair.second))) + "\n"
    )


def _render_passage(passage: Passage) -> tuple[str, str]:
    title = f"{passage.title} ({passage.key})" if passage.title else passage.key
    return f"  {printable(title)}, passage {passage.passage}", f"     {_beginning(passage.text)}"


def _beginning(text: str) -> str:
    return printable(textwrap.shorten(text, SNIPPET_CHARS, placeholder=" …"))


def _marked(retriever: Retriever, hit: Hit, query: str) -> str:
    """On one line, with the query's words in bold where the terminal shows that."""
    snippet = retriever.snippet(hit, query, max_chars=SNIPPET_CHARS)
    end = snippet.start + len(snippet.text)
    before = "… " if hit.text[: snippet.start].strip() else ""
    behind = " …" if hit.text[end:].strip() else ""
    return before + _line(snippet, mark=bold if styled() else str) + behind


def _line(snippet: Snippet, *, mark: Callable[[str], str]) -> str:
    pieces, done = [], 0
    for start, end in snippet.spans:
        pieces += [_plain(snippet.text[done:start]), mark(_plain(snippet.text[start:end]))]
        done = end
    return "".join((*pieces, _plain(snippet.text[done:])))


def _plain(text: str) -> str:
    return printable(_SPACES.sub(" ", text))
