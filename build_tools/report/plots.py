"""The figures of a report, one function each: findings and a theme in, a matplotlib figure out.

Figures are made without pyplot, so drawing leaves nothing behind and needs no display.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from build_tools.distill.curve import best
from build_tools.report import formats
from build_tools.report.data import Findings, RecallPoint, Rung
from build_tools.report.style import WIDTH, Theme, drawing, finer_log_ticks, label_ends, mark, png

Draw = Callable[[Findings, Theme], Figure]

BINS = 60

LEARNED = {
    "held_out_cosine": "cosine to the teacher,\nheld-out text",
    "held_out_loss": "loss over candidates,\nheld-out queries",
    "loss": "training loss",
}
"""The panels of the learning curves: fields of a point, with their labels."""

NARROWEST = 0.001
"""The least that a histogram of cosines spans."""


def learning_curves(findings: Findings, theme: Theme) -> Figure:
    """What each student knows of held-out text, and its loss, over training time; marked where it is kept."""
    shown = [(place, rung) for place, rung in enumerate(findings.rungs) if rung.curve]
    longest = max(rung.curve[-1].seconds for _, rung in shown)
    unit, seconds = ("min", 60.0) if longest >= 180 else ("s", 1.0)
    points = [point for _, rung in shown for point in rung.curve]
    fields = [field for field in LEARNED if any(getattr(point, field) is not None for point in points)]
    figure, panels = _stacked(len(fields), height=2.1)
    for axes, field in zip(panels, fields, strict=True):
        ends = []
        for place, rung in shown:
            curve = [point for point in rung.curve if getattr(point, field) is not None]
            times = [point.seconds / seconds for point in curve]
            values = [getattr(point, field) for point in curve]
            if not values:
                continue
            kept = curve.index(best(curve))
            marked = [kept] if field.startswith("held_out") else []
            axes.plot(
                times, values, color=theme.rung(place), marker=mark(place), markevery=marked, markersize=5
            )
            ends.append((times[-1], values[-1], rung.id, theme.rung(place)))
        axes.set_ylabel(LEARNED[field])
        label_ends(axes, ends)
    panels[-1].set_xlabel(f"training time, {unit}")
    panels[-1].set_xlim(left=0, right=max(longest / seconds, 1e-3) * 1.02)
    return figure


def pareto(findings: Findings, theme: Theme) -> Figure:
    """Quality through the index over the median time of a search, with BM25 and the teacher as lines."""
    shown = [(place, rung) for place, rung in enumerate(findings.rungs) if rung.quality]
    figure, (axes,) = _stacked(1, height=3.4)
    axes.set_xscale("log")
    for place, rung in shown:
        assert rung.quality
        point = (rung.dense.p50, rung.quality.ndcg_10)
        axes.plot([point[0], rung.dense.p95], [point[1]] * 2, color=theme.rung(place), lw=1, alpha=0.6)
        axes.plot(*point, mark(place), color=theme.rung(place), ms=8)
    _frontier(axes, [rung for _, rung in shown], theme)
    low = min(rung.dense.p50 for _, rung in shown) / 2
    high = max(rung.dense.p95 for _, rung in shown) * 2.2
    axes.set_xlim(low, high)
    finer_log_ticks(axes.xaxis, low, high)
    _reference_lines(axes, findings, theme)
    _pad(axes)
    for place, rung in shown:
        assert rung.quality
        _name(axes, rung.id, (rung.dense.p50, rung.quality.ndcg_10), theme.rung(place))
    axes.set_xlabel("time of a search, ms: median, and line to the 95th percentile")
    axes.set_ylabel(_ndcg_label(findings))
    return figure


def cosines_to_teacher(findings: Findings, theme: Theme) -> Figure:
    """How near each PyTorch student comes to the teacher on held-out text."""
    values = [rung.to_teacher for rung in findings.rungs]
    return _histograms(findings.rungs, values, "cosine to the teacher, held-out text", theme)


def cosines_to_pytorch(findings: Findings, theme: Theme) -> Figure:
    """How near each compiled encoder comes to its PyTorch student on held-out text."""
    values = [rung.to_pytorch for rung in findings.rungs]
    return _histograms(findings.rungs, values, "cosine of the shipped encoder to PyTorch", theme)


def wins_and_losses(findings: Findings, theme: Theme) -> Figure:
    """Each rung's nDCG@10 minus the teacher's, one bar a query, from the worst to the best."""
    shown = [(place, rung) for place, rung in enumerate(findings.rungs) if rung.comparison]
    figure, panels = _stacked(len(shown), height=1.5)
    for axes, (place, rung) in zip(panels, shown, strict=True):
        assert rung.comparison
        differences = np.array(rung.comparison.differences)
        queries = np.arange(len(differences)) + 0.5
        axes.fill_between(queries, differences, step="mid", color=theme.rung(place), lw=0)
        axes.axhline(0, color=theme.muted, lw=0.8)
        axes.set(xlim=(0, len(differences)), ylim=(-1.08, 1.08), yticks=(-1, 0, 1), ylabel="Δ nDCG@10")
        axes.grid(visible=False, axis="x")
        _count(axes, f"{rung.comparison.worse} worse", "left", theme)
        _count(axes, f"{rung.comparison.better} better", "right", theme)
        axes.set_title(rung.id, loc="left", fontsize=9, color=theme.rung(place), pad=3)
    panels[-1].set_xlabel("queries, from the greatest loss to the greatest win")
    return figure


def index_recall(findings: Findings, theme: Theme) -> Figure:
    """recall@10 by how far a search looks; the line is exact search of the same int8 vectors."""
    found = findings.index
    figure, (axes,) = _stacked(1, height=3.0)
    efforts = [point.effort or 0 for point in found.points]
    axes.set_xscale("log", base=2)
    axes.plot(efforts, [point.recall for point in found.points], "-", color=theme.ink)
    axes.plot(efforts, [point.recall for point in found.points], "o", color=theme.ink, ms=3.5)
    axes.axhline(found.exact.recall, color=theme.muted, lw=1, ls=(0, (5, 3)))
    axes.set_xticks(efforts, [str(effort) for effort in efforts])
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", labelsize=8)
    _pad(axes, below=0.1, above=0.16)
    _above_line(axes, found.exact, theme)
    shipped = next(point for point in found.points if point.effort == found.shipped)
    axes.plot(shipped.effort or 0, shipped.recall, "o", ms=9, mfc="none", mec=theme.ink, mew=1.4)
    words = "in the manifest" if found.search == "exact" else "shipped"
    axes.annotate(
        f"{words}: {shipped.recall:.3f}, {shipped.milliseconds:.2f} ms",
        (shipped.effort or 0, shipped.recall),
        xytext=(6, -15),
        textcoords="offset points",
    )
    axes.set_xlabel(
        "expansion (passages compared)" if found.search == "pq" else "expansion (HNSW candidates)"
    )
    against = "exact float32 search" if found.against == "float32" else "exact int8 search"
    axes.set_ylabel(f"recall@10 against {against}")
    return figure


def sizes(findings: Findings, theme: Theme) -> Figure:
    """What each part of the bundle weighs."""
    places = {rung.id: place for place, rung in enumerate(findings.rungs)}
    figure, (axes,) = _stacked(1, height=0.45 + 0.3 * len(findings.parts))
    widths = [part.bytes / 1e6 for part in findings.parts]
    colours = [theme.rung(places[part.rung]) if part.rung else theme.neutral for part in findings.parts]
    bars = axes.barh(range(len(widths)), widths, color=colours, height=0.62)
    axes.bar_label(bars, [formats.size(part.bytes) for part in findings.parts], padding=4)
    axes.set_yticks(range(len(widths)), [part.name for part in findings.parts], color=theme.ink)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("MB")
    return figure


def available(findings: Findings) -> dict[str, Draw]:
    """The figures that these findings have the data for, by name, in the order of the page."""
    rungs = findings.rungs
    figures: list[tuple[Draw, bool]] = [
        (pareto, any(rung.quality for rung in rungs)),
        (learning_curves, any(rung.curve for rung in rungs)),
        (cosines_to_teacher, any(rung.to_teacher for rung in rungs)),
        (cosines_to_pytorch, any(rung.to_pytorch for rung in rungs)),
        (wins_and_losses, any(rung.comparison for rung in rungs)),
        (index_recall, True),
        (sizes, True),
    ]
    return {draw.__name__.replace("_", "-"): draw for draw, has_data in figures if has_data}


def render(draw: Draw, findings: Findings, theme: Theme) -> bytes:
    """One figure as a PNG."""
    with drawing(theme):
        return png(draw(findings, theme))


def _stacked(count: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """Panels one above the other, `height` inches each, over one x axis."""
    figure = Figure(figsize=(WIDTH, height * count + (0.3 if count > 1 else 0)))
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(panels)


def _frontier(axes: Axes, rungs: Sequence[Rung], theme: Theme) -> None:
    """Joins the rungs than which none is both faster and better."""
    points: list[tuple[float, float]] = []
    for rung in sorted(rungs, key=lambda rung: rung.dense.p50):
        assert rung.quality
        if not points or rung.quality.ndcg_10 > points[-1][1]:
            points.append((rung.dense.p50, rung.quality.ndcg_10))
    axes.step(*zip(*points, strict=True), where="post", color=theme.neutral, lw=1, zorder=1)


def _reference_lines(axes: Axes, findings: Findings, theme: Theme) -> None:
    """Horizontal lines, named at the left end."""
    for name, row in (("BM25", findings.bm25_row), ("teacher", findings.teacher_row)):
        if row is not None:
            axes.axhline(row.ndcg_10, color=theme.muted, lw=1, ls=(0, (5, 3)), zorder=1)
            axes.annotate(
                f"{name} {row.ndcg_10:.3f}",
                (0, row.ndcg_10),
                xycoords=("axes fraction", "data"),
                xytext=(4, 3),
                textcoords="offset points",
                color=theme.muted,
            )


def _name(axes: Axes, text: str, point: tuple[float, float], colour: str) -> None:
    halo = [withStroke(linewidth=3, foreground=axes.get_facecolor())]  # no line crosses the name
    axes.annotate(
        text,
        point,
        xytext=(0, -15),
        textcoords="offset points",
        color=colour,
        ha="center",
        path_effects=halo,
    )


def _above_line(axes: Axes, exact: RecallPoint, theme: Theme) -> None:
    axes.annotate(
        f"exact search of the int8 vectors: {exact.recall:.3f}, {exact.milliseconds:.2f} ms",
        (0, exact.recall),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        color=theme.muted,
    )


def _count(axes: Axes, text: str, side: str, theme: Theme) -> None:
    """At the corner where the bars of this side are not."""
    x, y, vertical = (0.0, 0.96, "top") if side == "left" else (1.0, 0.04, "bottom")
    offset = (4, 0) if side == "left" else (-4, 0)
    axes.annotate(
        text,
        (x, y),
        xycoords="axes fraction",
        xytext=offset,
        textcoords="offset points",
        ha=side,
        va=vertical,
        color=theme.ink,
    )


def _pad(axes: Axes, *, below: float = 0.14, above: float = 0.12) -> None:
    """Room for labels below and above what is drawn, reference lines included."""
    axes.autoscale_view()
    low, high = axes.get_ylim()
    room = max(high - low, 0.02)
    axes.set_ylim(low - below * room, high + above * room)


def _histograms(rungs: Sequence[Rung], values: Sequence[Sequence[float]], label: str, theme: Theme) -> Figure:
    """One histogram a rung over the same bins, with mean and minimum in words."""
    shown = [
        (place, rung, np.array(own)) for place, (rung, own) in enumerate(zip(rungs, values, strict=True))
    ]
    shown = [(place, rung, own.clip(max=1)) for place, rung, own in shown if len(own)]  # 1.0000001 occurs
    lowest = min(float(own.min()) for _, _, own in shown)
    bins = np.linspace(min(lowest, 1 - NARROWEST), 1, BINS + 1).tolist()
    figure, panels = _stacked(len(shown), height=1.5)
    for axes, (place, rung, own) in zip(panels, shown, strict=True):
        axes.hist(own, bins, weights=np.full(len(own), 1 / len(own)), color=theme.rung(place))
        axes.axvline(float(own.mean()), color=theme.ink, lw=1, ls=(0, (2, 2)))
        axes.set_title(
            f"{rung.id}: mean {own.mean():.4f}, least {own.min():.4f}",
            loc="left",
            fontsize=9,
            color=theme.rung(place),
            pad=3,
        )
        axes.set_ylabel("of texts")
        axes.yaxis.set_major_locator(MaxNLocator(2))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    panels[-1].set_xlabel(label)
    return figure


def _ndcg_label(findings: Findings) -> str:
    relevant = "" if findings.card.basis == "labels" else "\n(relevant: the teacher's ten best)"
    return f"nDCG@10 through the index{relevant}"
