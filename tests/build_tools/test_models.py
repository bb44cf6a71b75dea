"""What every loader of a model shares."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from transformers.utils import logging as transformers_logging

from build_tools.models import digest_of, quieten, reason


def linear(seed: int = 0) -> nn.Linear:
    """A small module."""
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def test_digest() -> None:
    """The same weights, architecture and parts give the same one; any change gives another."""
    first = digest_of(linear(), None, "a", 1)
    assert digest_of(linear(), None, "a", 1) == first
    others = [
        digest_of(linear(1), None, "a", 1),
        digest_of(linear(), None, "a", 2),
        digest_of(nn.Sequential(linear()), None, "a", 1),
        digest_of(linear().to(torch.bfloat16), None, "a", 1),
    ]
    assert len({first, *others}) == 5


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (OSError("  \n first \n"), "first"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 500), "x" * 200),
    ],
)
def test_reason(error: Exception, line: str) -> None:
    """One line, and never an empty one."""
    assert reason(error) == line


def test_quieten() -> None:
    """Only errors are left."""
    before = logging.getLogger("sentence_transformers").level, transformers_logging.get_verbosity()
    quieten()
    assert logging.getLogger("sentence_transformers").getEffectiveLevel() == logging.ERROR
    assert transformers_logging.get_verbosity() == logging.ERROR
    logging.getLogger("sentence_transformers").setLevel(before[0])
    transformers_logging.set_verbosity(before[1])
    transformers_logging.enable_progress_bar()
