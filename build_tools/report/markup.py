"""HTML that cannot forget to escape: text becomes markup only through `element`, which escapes it.

Titles and queries come from anybody's documents, so they may hold tags, control characters or halves of
surrogate pairs.
"""

from __future__ import annotations

import html
import re

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset(["br", "img", "meta", "source", "link"])


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Text as markup; characters that HTML does not allow become U+FFFD."""
    return Html(html.escape(_UNPRINTABLE.sub("\ufffd", text)))


def element(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """An element around `children`; those that are not `Html` are escaped.

    Args:
        attributes: ``class_`` stands for class, other underscores for hyphens. True gives the bare name; None
            and False leave the attribute out.
    """
    start = "".join([name, *(_attribute(key, value) for key, value in attributes.items())])
    if name in _VOID:
        return Html(f"<{start}>")
    return Html(f"<{start}>{join(*children)}</{name}>")


def join(*children: str, between: str = "") -> Html:
    """Children one after another, as in `element`."""
    return Html(between.join(child if isinstance(child, Html) else escape(child) for child in children))


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
