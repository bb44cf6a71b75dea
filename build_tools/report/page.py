"""The report as one HTML page that needs nothing else: styles and figures are inside, scripts there are none.

Every figure is inside twice, for light and for dark displays; print takes the light one.
"""

from __future__ import annotations

from pathlib import Path

from build_tools.report import formats, sections
from build_tools.report.data import Findings, IndexRecall
from build_tools.report.markup import Html, element, join
from build_tools.report.style import DARK, LIGHT
from build_tools.report.summary import summary
from build_tools.report.widgets import Figures

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Even if a script got into the page, no browser would run it, nor load anything."""


def page(findings: Findings, figures: Figures) -> str:
    """The whole document."""
    contents = {
        "Summary": summary(findings),
        "Quality and latency": sections.quality_and_latency(findings, figures),
        "Learning curves": sections.learning(findings, figures),
        "Cosines": sections.cosines(findings, figures),
        "Wins and losses against the teacher": sections.wins_and_losses(findings, figures),
        "Index": sections.index(findings, figures),
        "Sizes": sections.sizes(findings, figures),
        "Quality card": sections.card(findings),
        "Licences": sections.licences(findings),
    }
    links = [element("a", title, href=f"#{_anchor(title)}") for title in contents]
    body = join(
        _header(findings),
        element("nav", *links, aria_label="Sections"),
        element("main", *(_section(title, content) for title, content in contents.items())),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(findings), element('body', body), lang='en')}\n"


def _head(findings: Findings) -> Html:
    # Not escaped: a style element holds no markup. It is this package's own file.
    style = Html(Path(__file__).with_name("page.css").read_text("utf-8") + _rung_colours(findings))
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{findings.name} {findings.version}: report"),
        element("style", style),
    )


def _rung_colours(findings: Findings) -> str:
    light = "".join(f".rung-{i}{{--rung:{LIGHT.rung(i)}}}" for i in range(len(findings.rungs)))
    dark = "".join(f".rung-{i}{{--rung:{DARK.rung(i)}}}" for i in range(len(findings.rungs)))
    return f"{light}\n@media screen and (prefers-color-scheme: dark){{{dark}}}\n"


def _header(findings: Findings) -> Html:
    facts = (
        f"{findings.documents:,} documents, {findings.passages:,} passages",
        f"{findings.ndim} dimensions",
        _search(findings.index),
        formats.size(findings.bytes),
        f"teacher {findings.teacher.name}" if findings.teacher else "teacher not known",
        f"built {findings.created[:10]}",
    )
    title = element("h1", findings.name, " ", element("span", findings.version, class_="version"))
    return element("header", title, element("p", " · ".join(facts), class_="facts"))


def _search(index: IndexRecall) -> str:
    return {
        "exact": "exact search",
        "hnsw": f"HNSW search, expansion {index.shipped}",
        "two-stage": f"search in two stages, expansion {index.shipped}",
        "pq": f"product codes, expansion {index.shipped}",
    }[index.search]


def _section(title: str, content: Html) -> Html:
    return element("section", element("h2", title), content, id=_anchor(title))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
