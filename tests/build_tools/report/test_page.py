"""The page: well formed, self-contained, complete, and deaf to what queries say."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from build_tools.quality import DimensionCost, PrunedVocabulary
from build_tools.report import PAGE, plots
from build_tools.report.data import Findings
from build_tools.report.page import page
from build_tools.report.widgets import Figure

VOID = {"meta", "img", "source", "br", "link"}


class Page(HTMLParser):
    """Reads a page strictly: every element closed in order, each id once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def values(self, attribute: str) -> list[str]:
        """Those of every element that has it."""
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


@pytest.fixture(scope="module")
def text(written: Path) -> str:
    """The page with everything."""
    return (written / PAGE).read_text("utf-8")


@pytest.fixture(scope="module")
def read(text: str) -> Page:
    """The same, parsed."""
    return Page(text)


def bare(findings: Findings) -> Page:
    """A page of these findings without figures."""
    return Page(page(findings, {}))


def test_sections(read: Page) -> None:
    """All of them, each reached by a link; no link leads nowhere."""
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    links = [href.removeprefix("#") for href in read.values("href")]
    assert links == [
        "summary",
        "quality-and-latency",
        "learning-curves",
        "cosines",
        "wins-and-losses-against-the-teacher",
        "index",
        "sizes",
        "quality-card",
        "licences",
    ]
    assert set(links) <= set(ids)


def test_nothing_comes_from_elsewhere(read: Page, text: str) -> None:
    """Pictures are inside, links stay on the page, styles import nothing, scripts there are none."""
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in read.tags}
    for source in (*read.values("src"), *read.values("srcset")):
        assert source.startswith("data:image/png;base64,")
    assert all(href.startswith("#") for href in read.values("href"))
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    [style] = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    policies = [a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_figure_is_there(read: Page, findings: Findings, written: Path) -> None:
    """On the page in both themes, in words for those who do not see it, and as a file."""
    names = list(plots.available(findings))
    assert [i.removeprefix("figure-") for i in read.values("id") if i.startswith("figure-")] == names
    assert len(read.values("src")) == len(read.values("srcset")) == len(names) == 7
    assert all(read.values("alt"))
    files = {path.name: path.read_bytes() for path in written.iterdir()}
    assert files.keys() == {PAGE, *(f"{name}.png" for name in names)}
    assert all(files[f"{name}.png"].startswith(b"\x89PNG\r\n\x1a\n") for name in names)


def test_hostile_text_is_shown_and_not_run(read: Page, text: str) -> None:
    """Queries, model and licence names, machines, sentences."""
    shown = "".join(read.texts)
    assert "<script>alert('x')</script><img src=http://example.org/x onerror=alert(1)> & \"quoted\"" in shown
    for written in ("<b>a processor</b>", "someone/<model>", "<u>CC0</u>", "<em>thing</em>"):
        assert written in shown
    assert not {"b", "u", "em", "model", "i"} & {tag for tag, _ in read.tags}
    assert "\x00" not in text


def test_queries_may_run_the_other_way(read: Page) -> None:
    """Each is isolated and finds its own direction; very long ones are cut."""
    queries = [attributes for _, attributes in read.tags if attributes.get("class") == "query"]
    assert len(queries) == 4
    assert {attributes["dir"] for attributes in queries} == {"auto"}
    assert max(len(part) for part in read.texts if "אבג" in part) == 300


def test_figures_in_words(read: Page) -> None:
    """What was measured, as a person reads it."""
    shown = " ".join(read.texts)
    for figure in ("0.645", "98.0 %", "2.10 ms", "36.8 MB", "0.9918", "5,183 documents", "25.0 ms a query"):
        assert figure in shown
    assert "1 better, 1 equal, 1 worse; mean +0.0000 (95 % interval −0.5000 to +0.5000)" in shown
    assert "passed" in shown
    assert "missed" in shown


def test_without_labels(findings: Findings) -> None:
    """The page says what its figures mean then."""
    shown = "".join(bare(replace(findings, card=replace(findings.card, basis="teacher"))).texts)
    assert "Nobody has judged queries for this corpus." in shown
    assert "so no rung can win a query" not in shown  # that is the caption of a figure, left out here
    assert "judged queries." not in shown


def test_after_an_update(findings: Findings) -> None:
    """The page says whose documents its figures of quality are of, in the summary and at the card."""
    shown = "".join(bare(replace(findings, card=replace(findings.card, version="1.0.0"))).texts)
    assert shown.count("That was with the documents of 1.0.0: others came or went since.") == 2


def test_a_bundle_alone(findings: Findings) -> None:
    """Every section stays, and says what it lacks."""
    rungs = tuple(
        replace(rung, quality=None, hybrid_quality=None, curve=(), to_teacher=(), comparison=None)
        for rung in findings.rungs
    )
    card = replace(findings.card, rows=(), parity=(), index_recall=None)
    alone = replace(findings, rungs=rungs, card=card, gates=None, teacher=None, parts=())
    read = bare(alone)
    shown = " ".join(read.texts)
    for sentence in (
        "teacher not known",
        "The recipe's gates are not known.",
        "There are no learning curves beside the bundle.",
        "The PyTorch students are not there to compare with.",
        "The teacher is not there to compare with.",
        "A <em>thing</em> is missing.",
    ):
        assert sentence in shown
    assert len(read.values("href")) == 9


def test_a_figure_has_both_versions(findings: Findings) -> None:
    """The dark one for dark screens only: paper is white."""
    text = page(findings, {"sizes": Figure(b"light", b"dark")})
    read = Page(text)
    assert read.values("src") == ["data:image/png;base64,bGlnaHQ="]
    assert read.values("srcset") == ["data:image/png;base64,ZGFyaw=="]
    assert read.values("media") == ["screen and (prefers-color-scheme: dark)"]


def test_what_the_card_may_hold_besides(findings: Findings) -> None:
    """Costs of dimensions and vocabularies, where the recipe cuts them."""
    assert "Dimensions" not in bare(findings).texts
    card = replace(
        findings.card,
        dimensions=(DimensionCost(128, 0.8765, 0.91, 132),),
        vocabularies=(PrunedVocabulary("layers3", 30_522, 8_000, 8_600_000, 0.021),),
    )
    shown = bare(replace(findings, card=card)).texts
    for text in (
        "Dimensions",
        "0.8765",
        "91.0 %",
        "132",
        "Vocabularies",
        "30,522",
        "8,000",
        "8.6 MB",
        "2.1 %",
    ):
        assert text in shown
