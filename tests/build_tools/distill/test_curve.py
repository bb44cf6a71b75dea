"""Which point of a curve is best, and when to stop."""

from __future__ import annotations

import pytest

from build_tools.distill.curve import CurvePoint, best, stalled


def curve(*cosines: float) -> list[CurvePoint]:
    return [CurvePoint(step, 1.0, cosine, 0.0) for step, cosine in enumerate(cosines)]


def test_best() -> None:
    """The highest cosine, the first of several."""
    assert best(curve(0.1, 0.7, 0.3, 0.7)).step == 1


def test_best_by_loss() -> None:
    """The lowest held-out loss where there is one, whatever the cosine."""
    points = [CurvePoint(step, 1.0, 0.9 - step, 0.0, loss) for step, loss in enumerate([3.0, 1.0, 2.0])]
    assert best(points).step == 1


@pytest.mark.parametrize(
    ("cosines", "patience", "expected"),
    [
        ((0.1,), 1, False),
        ((0.1, 0.2), 1, False),
        ((0.2, 0.1), 1, True),
        ((0.2, 0.2), 1, True),
        ((0.2, 0.1), 2, False),
        ((0.1, 0.3, 0.2, 0.25), 2, True),
        ((0.3, 0.2, 0.1), None, False),
    ],
)
def test_stalled(cosines: tuple[float, ...], patience: int | None, expected: bool) -> None:
    """After so many points without a better one; never without patience."""
    assert stalled(curve(*cosines), patience) is expected
