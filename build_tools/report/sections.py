"""The sections after the summary, one function each; what is missing is said where it would stand."""

from __future__ import annotations

from collections.abc import Sequence

from build_tools.quality import QualityCard, Row
from build_tools.report import formats
from build_tools.report.data import Comparison, Findings, QueryOutcome, Rung
from build_tools.report.markup import Html, element, join
from build_tools.report.summary import basis
from build_tools.report.widgets import Figures, chip, figure, table
from edge_runtime.bench.report import Latency


def quality_and_latency(findings: Findings, figures: Figures) -> Html:
    """The Pareto plot, and the times behind it."""
    timing = findings.timing
    measured = (
        f"Times are of this machine ({timing.machine}), {timing.started[:10]}, one thread, warm: "
        f"{timing.searches:,} searches a rung and mode over {timing.queries:,} queries of "
        f"{timing.words:g} words in the median."
    )
    warnings = [
        element("p", f"Take the times with care: {text}.", class_="missing") for text in timing.warnings
    ]
    points = "; ".join(
        f"{rung.id}: {formats.quality(rung.quality.ndcg_10)} in {formats.milliseconds(rung.dense.p50)}"
        for rung in findings.rungs
        if rung.quality
    )
    caption = (
        "Up and to the left is better. The grey steps join the rungs than which none is faster and better."
    )
    return join(
        figure(figures, "pareto", f"nDCG@10 over the median time of a search. {points}", caption),
        element("p", measured),
        *warnings,
        _stages(findings),
    )


def _stages(findings: Findings) -> Html:
    heads = ("rung", "encode p50", *(f"{mode} p{n}" for mode in ("search", "hybrid") for n in (50, 90, 95)))
    lines = [
        (
            chip(place, rung),
            formats.milliseconds(rung.encode.p50),
            *_quantiles(rung.dense),
            *_quantiles(rung.hybrid),
        )
        for place, rung in enumerate(findings.rungs)
    ]
    return table(heads, lines)


def _quantiles(latency: Latency) -> tuple[str, str, str]:
    return (
        formats.milliseconds(latency.p50),
        formats.milliseconds(latency.p90),
        formats.milliseconds(latency.p95),
    )


def learning(findings: Findings, figures: Figures) -> Html:
    """How the students learned."""
    trained = [
        f"{rung.id} {rung.curve[-1].step:,} steps in {formats.duration(rung.curve[-1].seconds)}"
        for rung in findings.rungs
        if rung.curve
    ]
    if not trained:
        return element("p", "There are no learning curves beside the bundle.", class_="missing")
    words = f"Trained: {'; '.join(trained)}. The mark is where the weights were kept."
    alternative = "Cosine to the teacher on held-out text, and training loss, over training time."
    return figure(figures, "learning-curves", alternative, words)


def cosines(findings: Findings, figures: Figures) -> Html:
    """What distillation and compiling leave of the teacher's vectors."""
    if not any(rung.to_teacher for rung in findings.rungs):
        return element("p", "The PyTorch students are not there to compare with.", class_="missing")
    texts = f"{findings.held_out:,} held-out texts"
    return join(
        figure(
            figures,
            "cosines-to-teacher",
            "Histogram of each student's cosine to the teacher.",
            f"What distillation leaves: PyTorch students against the teacher, {texts}.",
        ),
        figure(
            figures,
            "cosines-to-pytorch",
            "Histogram of each shipped encoder's cosine to its PyTorch student.",
            f"What compiling leaves: shipped encoders against their PyTorch students, {texts}.",
        ),
    )


def wins_and_losses(findings: Findings, figures: Figures) -> Html:
    """The queries on which rungs and teacher differ most."""
    compared = [
        (place, rung, rung.comparison) for place, rung in enumerate(findings.rungs) if rung.comparison
    ]
    if not compared:
        return element("p", "The teacher is not there to compare with.", class_="missing")
    caption = (
        "One bar a query: nDCG@10 of the rung, through the index, minus the teacher's. In the tables, first "
        "relevant is the place of the first relevant document, of the teacher and of the rung."
    )
    if findings.card.basis == "teacher":
        caption += " The teacher's own answers count as right here, so no rung can win a query."
    return join(
        figure(figures, "wins-and-losses", "Differences of nDCG@10 by query, sorted.", caption),
        *(_compared(place, rung, comparison) for place, rung, comparison in compared),
    )


def _compared(place: int, rung: Rung, comparison: Comparison) -> Html:
    counts = f"{comparison.better:,} better, {comparison.equal:,} equal, {comparison.worse:,} worse"
    mean, low, high = (formats.difference(v, 4) for v in (comparison.mean, comparison.low, comparison.high))
    return element(
        "details",
        element(
            "summary",
            chip(place, rung),
            element("span", f"{counts}; mean {mean} (95 % interval {low} to {high})"),
        ),
        _outcomes("Losses", comparison.losses, "No query is answered worse."),
        _outcomes("Wins", comparison.wins, "No query is answered better."),
        open=place == 0,
    )


def _outcomes(title: str, outcomes: Sequence[QueryOutcome], none: str) -> Html:
    if not outcomes:
        return join(element("h3", title), element("p", none))
    heads = ("query", "teacher", "rung", "difference", "first relevant")
    lines = [
        (
            element("span", formats.text(outcome.query), class_="query", dir="auto"),
            formats.quality(outcome.teacher),
            formats.quality(outcome.rung),
            formats.difference(outcome.difference),
            f"{formats.rank(outcome.teacher_place)} → {formats.rank(outcome.rung_place)}",
        )
        for outcome in outcomes
    ]
    return join(element("h3", title), table(heads, lines))


def index(findings: Findings, figures: Figures) -> Html:
    """What a search finds that looks less or more far."""
    found = findings.index
    how = {
        "exact": "The bundle searches exactly; the graph in its index is what it could search by.",
        "hnsw": f"The bundle searches its graph at expansion {found.shipped}.",
        "two-stage": f"The bundle compares the {found.shipped} best that a graph of fewer dimensions finds.",
        "pq": f"The bundle compares the {found.shipped} best by their product codes.",
    }[found.search]
    truth = "exact float32 search" if found.against == "float32" else "exact search of the same int8 vectors"
    caption = f"Share of the ten nearest, by {truth}, that a search finds; {found.texts:,} queries. {how}"
    lines = [
        (
            f"{point.effort:,}" if point.effort else "exact",
            f"{point.recall:.4f}",
            formats.milliseconds(point.milliseconds),
        )
        for point in (*found.points, found.exact)
    ]
    return join(
        figure(figures, "index-recall", "recall@10 of the index over the expansion of its search.", caption),
        element(
            "details",
            element("summary", "The figures"),
            table(("expansion", "recall@10", "median search"), lines),
        ),
    )


def sizes(findings: Findings, figures: Figures) -> Html:
    """What the parts weigh."""
    parts = "; ".join(f"{part.name} {formats.size(part.bytes)}" for part in findings.parts)
    caption = (
        f"{formats.size(findings.bytes)} in all. A device needs one of the encoders at a time in memory."
    )
    return figure(figures, "sizes", f"Sizes of the bundle's parts: {parts}.", caption)


def card(findings: Findings) -> Html:
    """The quality card, whole."""
    heads = ("system", "nDCG@10", "R@10", "R@100", "MRR@10", "kept", "adds")
    lines = [_card_line(row) for row in findings.card.rows]
    notes = [
        f"{parity.encoder}: cosine of int8 to PyTorch {parity.cosine_mean:.4f} in the mean, "
        f"{parity.cosine_min:.4f} at least, over {parity.texts:,} texts."
        for parity in findings.card.parity
    ]
    if findings.card.index_recall is not None:
        notes.append(f"Index: recall@10 {findings.card.index_recall:.4f} against exact float32 search.")
    return join(
        element("p", "As the build measured it and the bundle carries it. ", basis(findings)),
        table(heads, lines),
        *(element("p", note) for note in notes),
        _dimensions(findings.card),
        _vocabularies(findings.card),
    )


def _dimensions(card: QualityCard) -> Html:
    """What fewer dimensions cost, where the recipe reduces them."""
    if not card.dimensions:
        return Html()
    lines = [
        (
            str(cost.ndim),
            f"{cost.recall_10:.4f}",
            formats.share(cost.variance_kept),
            f"{cost.bytes_per_vector}",
        )
        for cost in card.dimensions
    ]
    heads = ("dimensions", "recall@10 of all", "variance kept", "bytes a vector")
    return join(element("h3", "Dimensions"), table(heads, lines))


def _vocabularies(card: QualityCard) -> Html:
    """What smaller vocabularies saved and cost, where the recipe prunes them."""
    if not card.vocabularies:
        return Html()
    lines = [
        (
            pruned.encoder,
            f"{pruned.entries_before:,}",
            f"{pruned.entries_after:,}",
            formats.size(pruned.bytes_saved),
            formats.share(pruned.respelt),
        )
        for pruned in card.vocabularies
    ]
    heads = ("encoder", "word pieces before", "after", "saved", "texts spelt otherwise")
    return join(element("h3", "Vocabularies"), table(heads, lines))


def _card_line(row: Row) -> tuple[str, ...]:
    figures = (row.ndcg_10, row.recall_10, row.recall_100, row.mrr_10)
    size = "" if row.bytes is None else formats.size(row.bytes)
    return (row.system, *map(formats.quality, figures), formats.share(row.retention), size)


def licences(findings: Findings) -> Html:
    """What the parts may be used for."""
    return table(("part", "licence"), [(entry.part, entry.licence) for entry in findings.licences], words=2)
