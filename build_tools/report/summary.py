"""The report's first section: what the bundle is worth, and whether it passed its gates."""

from __future__ import annotations

from build_tools.gates import Gate
from build_tools.report import formats
from build_tools.report.data import Findings, Rung
from build_tools.report.markup import Html, element, join
from build_tools.report.widgets import chip, table


def summary(findings: Findings) -> Html:
    """What the bundle is worth, and whether it passed."""
    columns = (
        "Rungs are measured through the shipped index. Kept is the share of the teacher's nDCG@10; the "
        "medians are of whole searches on this machine."
    )
    return join(
        element("p", basis(findings)),
        _rungs(findings),
        element("p", columns, class_="note"),
        *(element("p", sentence, class_="missing") for sentence in findings.missing),
        element("h3", "Gates"),
        _gates(findings),
    )


def basis(findings: Findings) -> str:
    """What the figures of quality rest on."""
    card = findings.card
    earlier = (
        ""
        if card.version is None
        else f" That was with the documents of {card.version}: others came or went since."
    )
    if card.basis == "labels":
        return f"Quality is measured on {card.queries:,} judged queries.{earlier}"
    return (
        f"Nobody has judged queries for this corpus. Quality is agreement with the teacher on "
        f"{card.queries:,} held-out texts: its ten best documents count as relevant.{earlier}"
    )


def _rungs(findings: Findings) -> Html:
    """One line an encoder, then the systems that need none or are not in the bundle."""
    heads = ("system", "nDCG@10", "kept", "median", "hybrid nDCG@10", "hybrid median", "size")
    lines = [_rung_line(place, rung) for place, rung in enumerate(findings.rungs)]
    bm25, teacher = findings.bm25_row, findings.teacher_row
    if bm25:
        words, size = formats.milliseconds(findings.timing.bm25.p50), formats.size(bm25.bytes or 0)
        name = _system("BM25", "words alone")
        lines.append(
            (name, formats.quality(bm25.ndcg_10), formats.share(bm25.retention), words, "", "", size)
        )
    if teacher:
        encoding = findings.teacher.milliseconds if findings.teacher else None
        what = "exact float32" + (
            f", {formats.milliseconds(encoding)} a query in PyTorch" if encoding else ""
        )
        lines.append((_system("teacher", what), formats.quality(teacher.ndcg_10), "", "", "", "", ""))
    return table(heads, lines)


def _rung_line(place: int, rung: Rung) -> tuple[str, ...]:
    quality, hybrid = rung.quality, rung.hybrid_quality
    return (
        join(chip(place, rung), element("span", rung.what, class_="what")),
        formats.quality(quality.ndcg_10) if quality else "",
        formats.share(quality.retention) if quality else "",
        formats.milliseconds(rung.dense.p50),
        formats.quality(hybrid.ndcg_10) if hybrid else "",
        formats.milliseconds(rung.hybrid.p50),
        formats.size(rung.bytes),
    )


def _system(name: str, what: str) -> Html:
    return join(element("span", name, class_="system"), element("span", what, class_="what"))


def _gates(findings: Findings) -> Html:
    if findings.gates is None:
        return element("p", "The recipe's gates are not known.", class_="missing")
    lines = [
        (gate.name, ("at most " if gate.at_most else "at least ") + _bound(gate, gate.bound), *_verdict(gate))
        for gate in findings.gates
    ]
    return table(("gate", "asked", "measured", ""), lines)


def _bound(gate: Gate, value: float) -> str:
    return formats.size(int(value)) if gate.in_bytes else f"{value:.4g}"


def _verdict(gate: Gate) -> tuple[str, Html]:
    if gate.found is None:
        return "not measured", element("span", "unknown", class_="verdict")
    verdict = "passed" if gate.passed else "missed"
    measured = formats.size(int(gate.found)) if gate.in_bytes else f"{gate.found:.4f}"
    return measured, element("span", verdict, class_=f"verdict {verdict}")
