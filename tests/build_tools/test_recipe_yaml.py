"""Recipes from files and --set: what loads, and where each mistake is said to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tools import marked_yaml, recipe, recipe_training, recipe_yaml
from build_tools.errors import RecipeError
from build_tools.recipe import Recipe
from edge_runtime import schema

MINIMAL = "name: docs\ncorpus:\n  source: python\n"
BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


def load(text: str, *overrides: str) -> Recipe:
    return recipe_yaml.parse(text.encode(), "x.yaml", overrides)


def failure(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return str(caught.value)


def outcome(text: str, overrides: list[str]) -> Recipe | str:
    try:
        return recipe_yaml.parse(text.encode("utf-8", "surrogatepass"), "x.yaml", overrides)
    except RecipeError as error:
        return str(error)


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_loads(path: Path) -> None:
    """As written, or with the path that its first lines ask for."""
    needs_path = path.stem.partition("-")[0] in ("beir", "jsonl", "csv", "text")
    assert recipe_yaml.load(path, ["corpus.path=DIR"] if needs_path else []).name


def test_the_beir_recipe_asks_for_its_folder() -> None:
    """It has no path of its own; the error shows the option that gives one."""
    with pytest.raises(RecipeError) as caught:
        recipe_yaml.load(BUNDLES / "beir.yaml")
    assert str(caught.value).endswith(
        "corpus.path: source beir needs a folder; write it here, or add --set corpus.path=PATH"
    )
    loaded = recipe_yaml.load(BUNDLES / "beir.yaml", ["corpus.path=sets/scifact", "name=scifact"])
    assert (loaded.name, loaded.corpus.path, loaded.chunk.max_tokens) == ("scifact", "sets/scifact", None)


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    """Editors on other systems write both."""
    data = b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode()
    assert recipe_yaml.parse(data, "x.yaml").name == "docs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml: empty; a recipe has at least a name and a corpus"),
        ("# nothing yet\n---\n", "x.yaml: empty; a recipe has at least a name and a corpus"),
        ("\n- a\n", "x.yaml:2: expected keys and values such as name: docs; found a list of 1"),
        ("text", "x.yaml:1: expected keys and values such as name: docs; found 'text'"),
        ("# c\nname: a\n", "x.yaml:2: corpus: missing; this key is required"),
        ("name: a\ncorpus:\n  path: x\n", "x.yaml:2: corpus.source: missing; this key is required"),
        ("name: a\n\nname: b\n", "x.yaml:3: the key 'name' stands twice, first on line 1"),
        (MINIMAL + "golden: {a: 1, a: 2}", "x.yaml:4: the key 'a' stands twice, first on line 4"),
        (MINIMAL + "\tgolden: 1\n", "x.yaml:4: a tab where YAML allows none; indent with spaces"),
        (MINIMAL + "---\nname: b\n", "x.yaml:4: a second document begins; expected one"),
        ("name: &n a\nlicence: *n\n", "x.yaml:1: anchors (&n) are not used here; remove it"),
        ("name: a\nlicence: *n\n", "x.yaml:2: aliases (*n) are not used here; write the value out"),
        ("<<: {a: 1}\n", "x.yaml:1: merge keys (<<) are not used here; write the keys out"),
        ("name: !!str a\n", "x.yaml:1: tags (!!str) are not used here; remove it"),
        ("name: !new a\n", "x.yaml:1: tags (!new) are not used here; remove it"),
        (
            "name: !!python/object/apply:os.system [ls]\n",
            "x.yaml:1: tags (!!python/object/apply:os.system) are not used here; remove it",
        ),
        ("? [a]\n: b\n", "x.yaml:1: expected text as key; found a list or a mapping"),
        ("name: 2024\n" + MINIMAL[11:], "x.yaml:1: name: expected text; found 2024; put it in quotes"),
        (
            "name: 010\n",
            "x.yaml:1: expected a plain decimal number, or text in quotes; found 010",
        ),
        ("golden: " + "1" * 6000, "x.yaml:1: a number of too many digits"),
        ("name: a\0b\n", "x.yaml:1: not valid YAML: the character '\\x00'"),
        ('name: "\\0"\n', "x.yaml:1: expected text in UTF-8 without NUL characters"),
        ('name: "\\ud800"\n', "x.yaml:1: expected text in UTF-8 without NUL characters"),
        ('name: "\\UFFFFFFFF"\n', "x.yaml:1: not valid YAML: an escape such as \\U stands for no character"),
        ("name:\n  " + "[" * 100_000, "x.yaml:2: nested deeper than 16 levels"),
        (
            'name: "a\n\n',
            "x.yaml:3: not valid YAML: while scanning a quoted scalar that begins on line 1, "
            "found unexpected end of stream",
        ),
    ],
)
def test_files_that_are_no_recipe_are_one_clear_error(text: str, message: str) -> None:
    """File, line, what was expected and found."""
    assert failure(text) == message


def test_bytes_that_are_not_utf8_are_named_with_their_line() -> None:
    """A file in Latin-1 says so instead of showing mojibake."""
    with pytest.raises(RecipeError) as caught:
        recipe_yaml.parse("name: a\nlicence: caf\xe9\n".encode("latin-1"), "x.yaml")
    assert str(caught.value) == "x.yaml:2: not UTF-8 (byte 0xe9); save the file as UTF-8"


def test_values_are_located_where_they_stand() -> None:
    """In blocks, in flow lists over several lines, and by the key when the value follows below."""
    text = MINIMAL + "encoders:\n  - id: a\n    layers: [0,\n      1,\n      x]\n"
    assert failure(text) == "x.yaml:8: encoders.0.layers.2: expected a whole number; found 'x'"
    assert failure(MINIMAL + "training:\n  steps:\n\n    many\n").startswith("x.yaml:5: training.steps: ")
    unknown = failure("name: a\ncorpus:\n  # c\n  sourc: python\n")
    assert unknown.startswith("x.yaml:4: corpus.sourc: unknown key; allowed here: source, path, ")
    assert unknown.endswith("(did you mean source?)")


def test_files_that_cannot_be_read_are_one_clear_error(tmp_path: Path) -> None:
    """Missing, a folder, too large, an impossible name."""
    (tmp_path / "large.yaml").write_bytes(b"#" * (recipe_yaml.MAX_BYTES + 1))
    for path, expected in [
        (tmp_path / "none.yaml", "no such file; expected a recipe such as bundles/beir.yaml"),
        (tmp_path, "a folder; expected a recipe file in it"),
        (tmp_path / "large.yaml", "larger than 1048576 bytes; this is not a recipe"),
        (Path("a\0b"), "cannot be read (embedded null byte)"),
        (tmp_path / "large.yaml" / "x", "cannot be read (Not a directory)"),
    ]:
        with pytest.raises(RecipeError) as caught:
            recipe_yaml.load(path)
        assert str(caught.value).endswith(expected)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_one_clear_error(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    path = tmp_path / "x.yaml"
    path.write_text(MINIMAL)
    path.chmod(0)
    with pytest.raises(RecipeError, match="Permission denied"):
        recipe_yaml.load(path)


@pytest.mark.parametrize("name", ["2024", "no", "on", "null", "1e5", "010", "1.5", "2024-01-01"])
def test_overrides_of_text_are_taken_as_typed(name: str) -> None:
    """Who types --set name=no means a name, not false."""
    assert load(MINIMAL, f"name={name}").name == name


def test_overrides_set_fields_that_the_file_leaves_out() -> None:
    """Sections appear, lists start from the default."""
    loaded = load(MINIMAL, "encoders.0.layers=[0,1]", "training.minutes=1.5", "chunk.max_tokens=null")
    assert loaded.encoders == (recipe.StudentSpec(layers=(0, 1)),)
    assert loaded.training == recipe.TrainingSpec(minutes=1.5)
    assert loaded.chunk.max_tokens is None
    assert load("name: a\ncorpus:\n", "corpus.source=python").corpus.source == "python"
    assert load("licence: a\n", "name=b", "corpus={source: python}").name == "b"


def test_overrides_reach_into_sections_that_are_absent() -> None:
    """Labels have no default; the first override brings the section."""
    loaded = load(MINIMAL, "queries.labels.path=pairs.csv", "queries.labels.source=csv")
    assert loaded.queries.labels == recipe_training.LabelsSpec(source="csv", path="pairs.csv")
    assert load(MINIMAL, "queries.labels.source=titles", "queries.labels=null").queries.labels is None


def test_later_overrides_win_and_the_files_other_values_stay() -> None:
    """In the order of the command line."""
    text = MINIMAL + "training: {steps: 5, seed: 3}\n"
    loaded = load(text, "training.steps=6", "training.steps=7")
    assert (loaded.training.steps, loaded.training.seed) == (7, 3)
    assert load(text, "training={steps: 8}").training == recipe.TrainingSpec(steps=8)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("teacher.query_prompt=query: ", "query: "),
        ("teacher.query_prompt=", ""),
        ("teacher.query_prompt=null", None),
        ("teacher.query_prompt='null'", "null"),
        ('teacher.query_prompt="a\\tb"', "a\tb"),
        ("teacher.query_prompt=a=b # c", "a=b # c"),
    ],
)
def test_text_overrides_keep_what_the_shell_passes(override: str, value: str | None) -> None:
    """Colons, blanks and # are text; null clears; quotes inside are YAML's."""
    assert load(MINIMAL, override).teacher.query_prompt == value


def test_text_inside_lists_and_sections_is_taken_as_typed() -> None:
    """--set corpus.sections=[1,8] means section names."""
    assert load(MINIMAL, "corpus={source: man, sections: [1, 8]}").corpus.sections == ("1", "8")
    fields = load(
        MINIMAL, "corpus={source: csv, path: 7, fields: {id: null, metadata: [no, 3]}}"
    ).corpus.fields
    assert fields == recipe.Fields(id=None, metadata=("no", "3"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps=abc", "--set training.steps=abc: expected a whole number; found 'abc'"),
        ("training.steps=", "--set training.steps=: expected a whole number; found nothing"),
        ("training.steps", "--set training.steps: expected key.path=value; there is no '='"),
        ("=5", "--set =5: expected key.path=value; there is no key"),
        ("", "--set : expected key.path=value; there is no '='"),
        ("name.x=1", "--set name.x=1: name: this is a single value; there is no 'x' in it"),
        (
            "encoders.x.id=a",
            "--set encoders.x.id=a: encoders: expected a position in the list, counted from 0; found 'x'",
        ),
        (
            "encoders.-1.id=a",
            "--set encoders.-1.id=a: encoders: expected a position in the list, counted from 0; found '-1'",
        ),
        ("encoders.1.id=a", "--set encoders.1.id=a: encoders has no entry 1; the last is 0"),
        (
            "training.steps=010",
            "--set training.steps=010: expected a plain decimal number, or text in quotes; found 010",
        ),
        ("golden={a: 1, a: 2}", "--set golden={a: 1, a: 2}: the key 'a' stands twice, first on line 1"),
        (
            "corpus={path: x}",
            "--set corpus={path: x}: corpus.source: missing; this key is required",
        ),
        ("name=\udce9", "--set 'name=\\udce9': expected text in UTF-8 without NUL characters"),
        ("version=1.0", "--set version=1.0: expected three numbers such as 1.0.0; found '1.0'"),
    ],
)
def test_a_wrong_override_is_quoted_in_its_error(override: str, message: str) -> None:
    """The person sees which option to change."""
    assert failure(MINIMAL, override) == message


def test_an_unknown_key_in_an_override_suggests_the_nearest() -> None:
    """As in a file."""
    message = failure(MINIMAL, "training.stps=5")
    assert message.startswith("--set training.stps=5: training.stps: unknown key; allowed here: losses, ")
    assert message.endswith("(did you mean steps?)")


def test_values_that_fail_together_name_file_and_override() -> None:
    """The file's overlap was fine until the override halved the passage."""
    message = failure(MINIMAL + "chunk:\n  overlap_tokens: 64\n", "chunk.max_tokens=100")
    assert message == (
        "x.yaml:5: chunk.overlap_tokens: expected at most half of max_tokens (50); found 64 "
        "(with --set chunk.max_tokens=100)"
    )


def test_an_override_through_a_wrong_value_blames_the_file() -> None:
    """The file gave a number where a section belongs."""
    assert failure("name: a\ncorpus: 5\n", "corpus.path=x") == (
        "x.yaml:2: corpus: expected keys and values; found 5"
    )
    assert failure(MINIMAL + "encoders: 5\n", "encoders.0.id=x") == (
        "x.yaml:4: encoders: expected a list; found 5"
    )


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
counts = st.integers(1, 10**6)
fractions = st.floats(0, 1)
fields = st.builds(
    recipe.Fields,
    id=st.none() | texts,
    title=st.none() | texts,
    text=texts,
    metadata=st.lists(texts, max_size=3, unique=True).map(tuple),
)
shared = {"on_error": st.sampled_from(["fail", "skip"]), "limit": st.none() | counts}
corpora = st.one_of(
    st.builds(recipe.CorpusSpec, source=st.just("python"), **shared),
    st.builds(recipe.CorpusSpec, source=st.sampled_from(["text", "beir"]), path=texts, **shared),
    st.builds(recipe.CorpusSpec, source=st.just("jsonl"), path=texts, fields=fields, **shared),
    st.builds(
        recipe.CorpusSpec,
        source=st.just("csv"),
        path=texts,
        fields=fields,
        delimiter=st.sampled_from([",", ";", "\t", "|", "=", "\x85"]),
        **shared,
    ),
    st.builds(
        recipe.CorpusSpec,
        source=st.just("man"),
        path=st.none() | texts,
        sections=st.lists(st.from_regex(r"[0-9a-z]+", fullmatch=True), min_size=1, max_size=3).map(tuple),
        **shared,
    ),
)
students = st.builds(
    recipe.StudentSpec,
    id=names,
    base=texts,
    layers=st.sets(st.integers(0, 30), min_size=1, max_size=6).map(lambda layers: tuple(sorted(layers))),
    max_tokens=st.integers(8, 512),
)
recipes = st.builds(
    Recipe,
    name=names,
    corpus=corpora,
    version=st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    licence=texts,
    chunk=st.builds(
        recipe.ChunkSpec,
        max_tokens=st.none() | st.integers(200, 1000),
        overlap_tokens=st.integers(0, 100),
    ),
    teacher=st.builds(recipe.TeacherSpec, model=texts, query_prompt=st.none() | st.just("") | texts),
    encoders=st.lists(students, min_size=1, max_size=3, unique_by=lambda s: s.id).map(tuple),
    queries=st.builds(
        recipe_training.QueriesSpec,
        labels=st.none()
        | st.builds(recipe_training.LabelsSpec, source=st.just("csv"), path=texts, query=texts),
        log=st.none() | texts,
        noise=fractions,
    ),
    training=st.builds(
        recipe.TrainingSpec,
        losses=st.builds(recipe_training.LossWeights, cosine=st.floats(0.1, 10), listwise=fractions),
        steps=counts,
        minutes=st.none() | st.floats(1e-9, 1e9),
        learning_rate=st.floats(1e-9, 1),
        train_embeddings=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
    ),
    lexical=st.builds(recipe.LexicalSpec, stemmer=st.sampled_from(["english", "none"]), b=fractions),
    golden=counts,
    gates=st.builds(recipe.GatesSpec, cosine_mean=fractions, cosine_min=fractions),
)


@given(recipes)
@settings(deadline=None, max_examples=100)
def test_a_recipe_written_as_yaml_loads_as_itself(value: Recipe) -> None:
    """Whatever a recipe holds survives encode, YAML and load."""
    # escaped, because PyYAML's allow_unicode writes a lone U+0085 so that it reads back as a blank
    text = yaml.safe_dump(schema.encode(value), sort_keys=False)
    assert load(text) == value


ODD_LINES = (
    "training:", "  steps: 5", "  - a", "? x", ": y", "&a b", "*a", "!!int x", "<<: {}", "---", "...",
    "|", "\t", "[", "}", "'", '"\\x', "encoders: [{id: b}]", "golden: 0x1", "%TAG ! x",
    "a: b: c", "name: 1:2",
)  # fmt: skip
lines_of_yaml = st.lists(st.sampled_from([*MINIMAL.splitlines(), *ODD_LINES]), max_size=8).map("\n".join)


@given(st.text() | lines_of_yaml, st.lists(st.text() | st.sampled_from(["encoders.0=", "name=", "corpus="])))
@settings(deadline=None, max_examples=250)
def test_any_text_is_a_recipe_or_one_clear_error(text: str, overrides: list[str]) -> None:
    """Neither PyYAML's exceptions nor Python's come through, and messages are one line."""
    for given_overrides in ([], overrides):
        found = outcome(text, given_overrides)
        assert isinstance(found, Recipe) or found.startswith(("x.yaml", "--set "))
        assert isinstance(found, Recipe) or "\n" not in found


@given(st.text() | lines_of_yaml)
@settings(deadline=None, max_examples=100)
def test_any_text_has_lines_for_all_its_keys(text: str) -> None:
    """Every line that the tree gives exists in the text."""
    try:
        node = marked_yaml.parse(text)
    except marked_yaml.MarkedYamlError as error:
        found = [error.line]
    else:
        found = [line for _, line in marked_yaml.lines(node)] if node is not None else []
    assert all(1 <= line <= len(text.splitlines()) + 1 for line in found)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_one_clear_error(data: bytes) -> None:
    """A picture passed by mistake gets a sentence, not a traceback."""
    with pytest.raises(RecipeError):
        recipe_yaml.parse(data, "x.yaml")
