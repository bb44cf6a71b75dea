"""Every figure draws what it is given, and what it is given may be little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from build_tools.distill.curve import CurvePoint
from build_tools.report import plots
from build_tools.report.data import Comparison, Findings, RecallPoint, Rung
from build_tools.report.style import DARK, LIGHT, drawing

NAMES = [
    "pareto",
    "learning-curves",
    "cosines-to-teacher",
    "cosines-to-pytorch",
    "wins-and-losses",
    "index-recall",
    "sizes",
]


def drawn(name: str, findings: Findings) -> Figure:
    """A figure laid out as it is saved; warnings are errors here, so one that does not fit is noticed."""
    with drawing(LIGHT):
        figure = plots.available(findings)[name](findings, LIGHT)
        figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> list[str]:
    """All annotations and titles."""
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    return written + [axes.get_title(loc="left") for axes in figure.axes]


def every_rung(findings: Findings, change: Callable[[Rung], Rung]) -> Findings:
    """The findings with each rung changed."""
    return replace(findings, rungs=tuple(map(change, findings.rungs)))


def test_all_of_them(findings: Findings) -> None:
    """By the order of the page."""
    assert list(plots.available(findings)) == NAMES


def test_those_without_data_are_left_out(findings: Findings) -> None:
    """A bundle alone has its index and its sizes."""
    alone = every_rung(
        findings,
        lambda rung: replace(rung, quality=None, curve=(), to_teacher=(), to_pytorch=(), comparison=None),
    )
    assert list(plots.available(alone)) == ["index-recall", "sizes"]


@pytest.mark.parametrize("name", NAMES)
def test_a_png_for_each_theme(findings: Findings, name: str) -> None:
    """Not the same one."""
    draw = plots.available(findings)[name]
    light, dark = (plots.render(draw, findings, theme) for theme in (LIGHT, DARK))
    assert light.startswith(b"\x89PNG\r\n\x1a\n")
    assert light != dark


@pytest.mark.parametrize(
    "name", ["learning-curves", "pareto", "cosines-to-teacher", "wins-and-losses", "sizes"]
)
def test_a_rung_has_its_colour_everywhere(findings: Findings, name: str) -> None:
    """In lines, bars or areas."""
    figure = drawn(name, findings)
    colours = set()
    for axes in figure.axes:
        colours |= {line.get_color() for line in axes.lines}
        colours |= {_hex(patch.get_facecolor()) for patch in (*axes.patches, *axes.collections)}
    assert {LIGHT.rung(0), LIGHT.rung(1)} <= colours


def _hex(colour: object) -> str:
    from matplotlib.colors import to_hex

    try:
        return to_hex(colour)  # type: ignore[arg-type]
    except ValueError:  # a collection has one for each of its members
        return to_hex(colour[0])  # type: ignore[index]


def test_pareto(findings: Findings) -> None:
    """Rungs and reference lines by name; the lines inside the axes."""
    figure = drawn("pareto", findings)
    assert {"static", "layers3", "BM25 0.600", "teacher 0.650"} <= set(texts(figure))
    low, high = figure.axes[0].get_ylim()
    assert low < 0.6 < 0.65 < high


def test_the_frontier_leaves_out_what_is_beaten(findings: Findings) -> None:
    """A rung that is slower and worse than another."""
    slow = replace(findings.rungs[0], id="slow", dense=findings.rungs[1].hybrid)
    figure = drawn("pareto", replace(findings, rungs=(*findings.rungs, slow)))
    [frontier] = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    assert list(frontier.get_xdata()) == [0.3, 2.1]


def test_learning_curves(findings: Findings) -> None:
    """Two panels; a third when students learned from candidates."""
    assert len(drawn("learning-curves", findings).axes) == 2
    listwise = tuple(CurvePoint(step, 0.5, 0.9, step * 10.0, 1 / (step + 1)) for step in range(5))
    changed = replace(findings, rungs=(findings.rungs[0], replace(findings.rungs[1], curve=listwise)))
    figure = drawn("learning-curves", changed)
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 2]
    assert figure.axes[1].lines[0].get_markevery() == [4]


def test_long_training_is_told_in_minutes(findings: Findings) -> None:
    """From three minutes on."""
    assert drawn("learning-curves", findings).axes[-1].get_xlabel() == "training time, s"
    curve = (CurvePoint(1, 0.5, 0.9, 180.0),)
    slow = every_rung(findings, lambda rung: replace(rung, curve=curve))
    assert drawn("learning-curves", slow).axes[-1].get_xlabel() == "training time, min"


@pytest.mark.parametrize("count", [1, 7])
def test_few_and_many_rungs(findings: Findings, count: int) -> None:
    """All of it fits."""
    rungs = tuple(replace(findings.rungs[1], id=f"layers{number}") for number in range(count))
    for name in NAMES:
        drawn(name, replace(findings, rungs=rungs, parts=findings.parts[1:2]))


def test_nothing_lost(findings: Findings) -> None:
    """Perfect figures, of which matplotlib would make ranges without width."""
    alike = Comparison((0.0,), 0.0, 0.0, 0.0, (), ())
    perfect = every_rung(
        findings,
        lambda rung: replace(
            rung,
            curve=(CurvePoint(0, 0.0, 1.0, 0.0),),
            to_teacher=(1.0, 1.0),
            to_pytorch=(1.0000002,),
            comparison=alike,
        ),
    )
    point = RecallPoint(16, 1.0, 0.1)
    index = replace(findings.index, points=(point,), exact=replace(point, effort=None), shipped=16)
    for name in NAMES:
        drawn(name, replace(perfect, index=index))


def test_wins_and_losses_are_counted(findings: Findings) -> None:
    """On each rung's panel."""
    written = texts(drawn("wins-and-losses", findings))
    assert written.count("1 worse") == written.count("1 better") == 2
