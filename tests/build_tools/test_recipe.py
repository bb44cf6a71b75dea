"""What a recipe refuses: values out of range and combinations that cannot be built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from build_tools.recipe import CorpusSpec, Fields, Recipe, StudentSpec
from build_tools.recipe_compile import CompileSpec, Form
from edge_runtime import schema
from edge_runtime.manifest import NAME_PATTERN
from edge_runtime.schema import SchemaError

MINIMAL: Mapping[str, Any] = {"name": "docs", "corpus": {"source": "python"}}


def problem(**changes: object) -> tuple[str, str]:
    """Where and why the minimal recipe with `changes` is refused."""
    with pytest.raises(SchemaError) as caught:
        schema.decode(Recipe, {**MINIMAL, **changes})
    return schema.dotted(caught.value.path), caught.value.problem


def test_forms_of_an_encoder() -> None:
    """The first engine's keeps the id, a table has one form, and no length is beyond the longest query."""
    both = CompileSpec(engines=("tflite", "onnx"), lengths=(16, 48))
    assert both.forms(StudentSpec(id="a", max_tokens=32)) == (
        Form("a", "tflite", (16, 32)),
        Form("a-onnx", "onnx"),
    )
    assert both.forms(StudentSpec(id="a", max_tokens=64))[0].lengths == (16, 48)
    assert both.forms(StudentSpec(id="a", max_tokens=12))[0].lengths == (12,)
    assert both.forms(StudentSpec(id="t", kind="static")) == (Form("t", "static"),)
    assert CompileSpec(engines=("tflite",)).forms(StudentSpec(id="a")) == (Form("a", "tflite", ()),)


def test_forms_in_two_precisions() -> None:
    """The first form keeps the id, whatever it is; the others have engine or precision behind it."""
    student = StudentSpec(id="a", max_tokens=48)
    blockwise = Form("a", "onnx", precision="blockwise")
    assert CompileSpec(precisions=("blockwise",)).forms(student) == (blockwise,)
    assert CompileSpec(precisions=("blockwise", "int8")).forms(student) == (blockwise, Form("a-onnx", "onnx"))
    three = CompileSpec(engines=("onnx", "tflite"), precisions=("int8", "blockwise")).forms(student)
    assert three == (
        Form("a", "onnx"),
        Form("a-blockwise", "onnx", precision="blockwise"),
        Form("a-tflite", "tflite"),
    )


def test_name_and_corpus_are_enough() -> None:
    """All else has a default, and the defaults are a valid recipe."""
    recipe = schema.decode(Recipe, dict(MINIMAL))
    assert recipe == Recipe(name="docs", corpus=CorpusSpec(source="python"))
    assert recipe.encoders == (StudentSpec(),)


@pytest.mark.parametrize("name", ["", "Docs", "-docs", "a b", "a/b", "..", "é", "a" * 65, "docs\n"])
def test_names_follow_the_manifests_rule(name: str) -> None:
    """A name that the manifest would refuse after an hour's build is refused before it."""
    rule = "1 to 64 lower-case letters, digits, '.', '_' or '-', a letter or digit first"
    assert NAME_PATTERN.fullmatch(name) is None
    assert problem(name=name)[1].startswith(f"expected {rule}; found ")
    assert problem(encoders=[{"id": name}]) == ("encoders.0.id", problem(name=name)[1])


@pytest.mark.parametrize("version", ["1.0", "1.0.0.0", "v1.0.0", "1.0.x", "١.٠.٠", "1.0.0\n", ""])
def test_versions_are_three_numbers(version: str) -> None:
    """As in the manifest; digits of other scripts are none."""
    where, why = problem(version=version)
    assert where == "version"
    assert why.startswith("expected three numbers such as 1.0.0; found ")


@pytest.mark.parametrize("source", ["jsonl", "csv", "text", "beir"])
@pytest.mark.parametrize("given", [{}, {"path": None}, {"path": ""}])
def test_sources_that_read_files_need_a_path(source: str, given: dict[str, object]) -> None:
    """Left out, null or empty (an unset shell variable): the error says how to give it."""
    where, why = problem(corpus={"source": source, **given})
    kind = "file" if source in ("jsonl", "csv") else "folder"
    assert where == "corpus.path"
    assert why == f"source {source} needs a {kind}; write it here, or add --set corpus.path=PATH"


def test_the_machines_manual_pages_need_no_path() -> None:
    """`man` takes the machine's own pages, or those under a path."""
    assert CorpusSpec(source="man").path is None
    assert CorpusSpec(source="man", path="pages").path == "pages"


@pytest.mark.parametrize(
    ("corpus", "where", "why"),
    [
        (
            {"source": "jsonl", "path": "x", "delimiter": ";"},
            "corpus.delimiter",
            "only for source csv, and the source is jsonl; remove it",
        ),
        (
            {"source": "text", "path": "x", "fields": {"text": "body"}},
            "corpus.fields",
            "only for source jsonl or csv, and the source is text; remove it",
        ),
        (
            {"source": "python", "sections": ["3"]},
            "corpus.sections",
            "only for source man, and the source is python; remove it",
        ),
        (
            {"source": "python", "path": "x"},
            "corpus.path",
            "source python reads the running interpreter; remove the path",
        ),
    ],
)
def test_fields_of_another_source_are_refused(corpus: dict[str, object], where: str, why: str) -> None:
    """A field that would be ignored is a mistake worth saying."""
    assert problem(corpus=corpus) == (where, why)


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", "\r", '"', "\\t"])
def test_delimiters_are_one_character_that_can_separate(delimiter: str) -> None:
    """Line ends and quotes mean something else in CSV."""
    where, why = problem(corpus={"source": "csv", "path": "x", "delimiter": delimiter})
    assert where == "corpus.delimiter"
    assert why.startswith('expected one character such as "," or "\\t"; found ')


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"corpus": {"source": "python", "limit": 0}}, "corpus.limit"),
        ({"corpus": {"source": "man", "path": ""}}, "corpus.path"),
        ({"corpus": {"source": "man", "sections": []}}, "corpus.sections"),
        ({"corpus": {"source": "man", "sections": ["1", "../x"]}}, "corpus.sections.1"),
        ({"corpus": {"source": "csv", "path": "x", "fields": {"id": ""}}}, "corpus.fields.id"),
        (
            {"corpus": {"source": "csv", "path": "x", "fields": {"metadata": ["a", "a"]}}},
            "corpus.fields.metadata",
        ),
        ({"filters": {"indexed": ["a", "a"]}}, "filters.indexed"),
        ({"filters": {"indexed": [""]}}, "filters.indexed"),
        ({"licence": ""}, "licence"),
        ({"chunk": {"max_tokens": 15}}, "chunk.max_tokens"),
        ({"chunk": {"overlap_tokens": -1}}, "chunk.overlap_tokens"),
        ({"chunk": {"max_tokens": 40}}, "chunk.overlap_tokens"),
        ({"teacher": {"model": ""}}, "teacher.model"),
        ({"teacher": {"batch_size": 0}}, "teacher.batch_size"),
        ({"encoders": []}, "encoders"),
        ({"encoders": [{"id": "a"}, {"id": "a"}]}, "encoders"),
        ({"encoders": [{"base": ""}]}, "encoders.0.base"),
        ({"encoders": [{"layers": []}]}, "encoders.0.layers"),
        ({"encoders": [{"layers": [2, 1]}]}, "encoders.0.layers"),
        ({"encoders": [{"layers": [1, 1]}]}, "encoders.0.layers"),
        ({"encoders": [{"layers": [-1, 0]}]}, "encoders.0.layers"),
        ({"encoders": [{"max_tokens": 7}]}, "encoders.0.max_tokens"),
        ({"encoders": [{"id": "a", "kind": "static", "layers": [0]}]}, "encoders.0.layers"),
        ({"encoders": [{"bigrams": 10}]}, "encoders.0.bigrams"),
        ({"encoders": [{"kind": "static", "bigrams": -1}]}, "encoders.0.bigrams"),
        ({"encoders": [{"kind": "static", "probe": 2}]}, "encoders.0.probe"),
        ({"encoders": [{"probe": 0}]}, "encoders.0.probe"),
        ({"encoders": [{"probe": 2, "steps": 0}]}, "encoders.0.probe"),
        ({"encoders": [{"steps": -1}]}, "encoders.0.steps"),
        ({"encoders": [{"learning_rate": 0}]}, "encoders.0.learning_rate"),
        ({"encoders": [{"batch_size": 0}]}, "encoders.0.batch_size"),
        ({"teacher": {"ndim": 7}}, "teacher.ndim"),
        ({"teacher": {"reduction": "random"}}, "teacher.reduction"),
        ({"training": {"steps": 0}}, "training.steps"),
        ({"training": {"patience": 0}}, "training.patience"),
        ({"training": {"minutes": 0}}, "training.minutes"),
        ({"training": {"learning_rate": -1e-4}}, "training.learning_rate"),
        ({"queries": {"held_out": 15}}, "queries.held_out"),
        ({"queries": {"generated": -1}}, "queries.generated"),
        ({"queries": {"noise": 1.5}}, "queries.noise"),
        ({"queries": {"log": ""}}, "queries.log"),
        ({"queries": {"generator": ""}}, "queries.generator"),
        ({"queries": {"generator_queries": 0}}, "queries.generator_queries"),
        ({"queries": {"labels": {"source": "excel"}}}, "queries.labels.source"),
        ({"queries": {"labels": {"split": ""}}}, "queries.labels.split"),
        ({"training": {"seed": -1}}, "training.seed"),
        ({"training": {"seed": 2**32}}, "training.seed"),
        ({"training": {"cross_encoder": ""}}, "training.cross_encoder"),
        ({"training": {"losses": {"cosine": -1}}}, "training.losses.cosine"),
        ({"training": {"candidates": {"count": 1}}}, "training.candidates.count"),
        ({"training": {"candidates": {"depth": 5}}}, "training.candidates.depth"),
        ({"training": {"candidates": {"margin": 0}}}, "training.candidates.margin"),
        ({"training": {"candidates": {"temperature": 0}}}, "training.candidates.temperature"),
        ({"index": {"connectivity": 1}}, "index.connectivity"),
        ({"compile": {"engines": []}}, "compile.engines"),
        ({"compile": {"engines": ["onnx", "onnx"]}}, "compile.engines"),
        ({"compile": {"engines": ["coreml"]}}, "compile.engines.0"),
        ({"compile": {"precisions": []}}, "compile.precisions"),
        ({"compile": {"precisions": ["int8", "int8"]}}, "compile.precisions"),
        ({"compile": {"precisions": ["int4"]}}, "compile.precisions.0"),
        ({"compile": {"engines": ["tflite"], "precisions": ["blockwise"]}}, "compile.precisions"),
        ({"compile": {"lengths": [0, 16]}}, "compile.lengths"),
        ({"compile": {"lengths": [48, 16]}}, "compile.lengths"),
        (
            {"encoders": [{"id": "a"}, {"id": "a-tflite"}], "compile": {"engines": ["onnx", "tflite"]}},
            "encoders",
        ),
        ({"lexical": {"b": 1.1}}, "lexical.b"),
        ({"lexical": {"k1": -0.1}}, "lexical.k1"),
        ({"fusion": {"k": 0}}, "fusion.k"),
        ({"fusion": {"balance": 21}}, "fusion.balance"),
        ({"fusion": {"balance": float("nan")}}, "fusion.balance"),
        ({"fusion": {"method": "rrf", "labels": {"source": "beir"}}}, "fusion.labels"),
        ({"evaluation": {"split": "../test"}}, "evaluation.split"),
        ({"evaluation": {"queries": 0}}, "evaluation.queries"),
        ({"golden": 0}, "golden"),
        ({"gates": {"cosine_min": 1.01}}, "gates.cosine_min"),
        ({"gates": {"ndcg_10": 2}}, "gates.ndcg_10"),
        ({"gates": {"retention": 0}}, "gates.retention"),
        ({"gates": {"latency_ratio": 0}}, "gates.latency_ratio"),
        ({"gates": {"bytes": 0}}, "gates.bytes"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, object], where: str) -> None:
    """Each at its own key, with what was expected and found."""
    found_at, why = problem(**changes)
    assert found_at == where
    assert "found" in why or "same id twice" in why or "remove it" in why


@pytest.mark.parametrize(
    ("changes", "where", "why"),
    [
        ({"training": {"losses": {"cosine": 0}}}, "training.losses", "expected at least one weight above 0"),
        (
            {"training": {"losses": {"triplet": 1}}},
            "training.losses",
            "contrastive and triplet learn from labelled pairs; say where they are in queries.labels",
        ),
        (
            {"training": {"losses": {"kl": 1}}},
            "training.cross_encoder",
            "margin_mse, kl and preference need one; name it",
        ),
        (
            {
                "queries": {"labels": {"source": "beir"}},
                "training": {"losses": {"contrastive": 1}},
                "fusion": {"labels": {"source": "beir"}},
            },
            "fusion.labels",
            "the students learn from these pairs, which flatters them; name another split or file",
        ),
        ({"queries": {"labels": {"source": "csv"}}}, "queries.labels.path", "source csv needs a file"),
        (
            {"queries": {"labels": {"source": "titles", "split": "dev"}}},
            "queries.labels.split",
            "only for source beir, and the source is titles; remove it",
        ),
        (
            {"queries": {"labels": {"source": "titles", "path": "x"}}},
            "queries.labels.path",
            "source titles reads the corpus itself; remove the path",
        ),
    ],
)
def test_what_losses_and_labels_need(changes: dict[str, object], where: str, why: str) -> None:
    """Said before anything is read."""
    assert problem(**changes) == (where, why)


def test_whole_documents_take_any_overlap() -> None:
    """With max_tokens null nothing is cut, so there is nothing to overlap."""
    recipe = schema.decode(Recipe, {**MINIMAL, "chunk": {"max_tokens": None}})
    assert recipe.chunk.max_tokens is None


def test_records_may_lack_ids_and_titles() -> None:
    """Null is a choice there: number the records, have no titles."""
    assert Fields(id=None, title=None).text == "text"
