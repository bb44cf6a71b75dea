"""What the sections of a report are made of: tables, figures and the names of rungs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from build_tools.report.data import Rung
from build_tools.report.markup import Html, element


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as PNGs for both kinds of display."""

    light: bytes
    dark: bytes


Figures = Mapping[str, Figure]
"""By the names of `plots.available`."""


def figure(figures: Figures, name: str, alternative: str, caption: str) -> Html:
    """A figure with its caption; nothing where it was not drawn."""
    if name not in figures:
        return Html()
    dark, light = _data(figures[name].dark), _data(figures[name].light)
    picture = element(
        "picture",
        element("source", srcset=dark, media="screen and (prefers-color-scheme: dark)"),
        element("img", src=light, alt=alternative),
    )
    return element("figure", picture, element("figcaption", caption), id=f"figure-{name}")


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, words: int = 1) -> Html:
    """A table whose first `words` columns hold words, the others figures.

    On a phone the lines of a wide one become cards; any other that is too wide scrolls by itself.
    """
    kinds = [None if column < words else "figure" for column in range(len(heads))]
    head = [element("th", text, scope="col", class_=kind) for text, kind in zip(heads, kinds, strict=True)]
    body = [
        element(
            "tr",
            *(
                element("td", text, class_=kind, data_label=label)
                for text, kind, label in zip(line, kinds, heads, strict=True)
            ),
        )
        for line in lines
    ]
    whole = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_="cards" if len(heads) > 3 else None,
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=heads[0])


def chip(place: int, rung: Rung) -> Html:
    """A rung's name beside its colour; `place` is its place in the bundle."""
    return element("span", rung.id, class_=f"chip rung-{place}")


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
