"""Front matter, and text that looks like it."""

from __future__ import annotations

import sys

import pytest

from build_tools.corpus.front_matter import MAX_CHARACTERS, split


@pytest.mark.parametrize(
    ("block", "title"),
    [
        ("---\ntitle: 'Front'\n---\n", "Front"),
        ("---\ntitle: 2024\ndate: 2024-02-30\n...\n", "2024"),
        ("---\ntags: [a]\ntitle: >-\n  folded over\n  two lines\n---\n", "folded over two lines"),
        ("---\ntitle: ~\n---\n", ""),
        ("---\ntitle: [a, b]\n---\n", ""),
        ("---\n? [title]\n: a\n---\n", ""),
        ("---\n---\n", ""),
        ("---  \n\n---\n", ""),
        ('+++\ntitle = "Front"\n[menu]\nx = 1\n+++\n', "Front"),
        ("+++\ntags = ['a']\n+++\n", ""),
    ],
)
def test_mapping_is_dropped(block: str, title: str) -> None:
    """YAML as it is read, or TOML; a title that is no text is none."""
    assert split(f"{block}Body\n\n---\nmore") == (title, "Body\n\n---\nmore")


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(n + 1)}: &{chr(n + 1)} [*{chr(n)}, *{chr(n)}]\n" for n in range(97, 121)
)


def test_bomb_is_not_expanded() -> None:
    """Aliases of aliases are dropped like any mapping, at no cost."""
    assert split(f"---\n{BOMB}---\nBody") == ("", "Body")


@pytest.mark.parametrize(
    "content",
    [
        "---\nIntro paragraph.\n\n---\n\n# Second",
        "---\n# Heading\n---\ntext",
        "---\n* one\n* two\n---\n",
        "---\na: b: c\n---\ntext",
        "---\na: *gone\n---\ntext",
        "---\na: \x01\n---\ntext",
        "---\n" + "[" * 1000 + "\n---\ntext",
        "---\na: " + "x" * MAX_CHARACTERS + "\n---\ntext",
        "---\ntitle: never closed\n",
        "text\n---\na: b\n---\n",
        "",
    ],
)
def test_text_is_kept(content: str) -> None:
    """Text between two thematic breaks is text, and so is what cannot be read."""
    assert split(content) == ("", content)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no TOML parser in the standard library")
@pytest.mark.parametrize("content", ["+++\nplain words\n+++\ntext", "+++\na = " + "[" * 5000 + "\n+++\ntext"])
def test_text_between_plus_signs_is_kept(content: str) -> None:
    """The same for what is no TOML."""
    assert split(content) == ("", content)
