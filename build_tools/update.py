"""Documents into and out of a finished bundle: another version of it, with the same encoders.

What does not depend on documents keeps its bytes: encoders and tokenizers. Vectors of kept passages are taken
from the old index as they are, at its scale; only new passages meet the teacher. docs/updating.md says more.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from build_tools import documents, gates, quality, record, redraft, revision, stamp, versions
from build_tools.build import Built
from build_tools.corpus import additions, chunker
from build_tools.corpus.document import Document, Passage
from build_tools.corpus.reader import SkipLog
from build_tools.errors import BuildError
from build_tools.pack import pack
from build_tools.progress import Progress
from build_tools.recipe import Recipe
from build_tools.record import BUNDLE, CURVES, Record
from build_tools.redraft import Change, Old
from build_tools.reduction import MATRIX
from build_tools.swap import nothing_done, recover, require_room, swap_in, unfinished
from build_tools.workspace import STAGES, Workspace, locked
from edge_runtime.bundle import Bundle, sha256
from edge_runtime.schema import shown

if TYPE_CHECKING:
    from build_tools.later_vectors import PassageEncoder


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update is asked for.

    Attributes:
        add: files or folders of the kind that the recipe's corpus is; a document whose key the bundle has
            takes that one's place.
        remove: keys of documents.
    """

    add: tuple[Path, ...] = ()
    remove: tuple[str, ...] = ()

    def absolute(self) -> Changes:
        """The same from every working directory; ``~`` is left to who reads the files."""
        add = (
            path if path.parts[:1] and path.parts[0].startswith("~") else path.absolute() for path in self.add
        )
        return replace(self, add=tuple(add))


def update(
    bundle: Path, changes: Changes, progress: Progress, *, version: str | None = None, out: Path | None = None
) -> Built:
    """Makes the bundle's next version and puts it in the old one's place, or under `out`.

    Where every document is in the bundle as it is given, nothing is made. Whatever goes wrong, the old bundle
    stays as it was and no unfinished one is left. The old version's transport file stays in any case.

    Args:
        bundle: its directory, in its build folder.
        version: of the new bundle; by default the last number rises by one.
        out: makes ``out/NAME`` the new version's build folder, and leaves the old one alone.

    Raises:
        BuildError: nothing is asked for, a key is unknown or asked for twice, the version does not rise or
            was made before, no recipe or teacher is known, or there is no place for the new version.
        CorpusError: a file cannot be read.
        BundleError: the bundle is damaged.
    """
    if not (changes.add or changes.remove):
        raise BuildError("nothing to change: name documents with --add, or keys with --remove")
    stamp.created()  # fails now rather than in the end
    home = record.home_of(bundle)
    with ExitStack() as stack:
        stack.enter_context(locked(home))
        recover(home / BUNDLE)
        built, old = record.need(home), _old(home)
        changes, out = changes.absolute(), out and out.absolute()
        stack.enter_context(record.in_its_directory(built, home, progress))
        name = built.recipe.name
        target = _target(home, out, name)
        made = (*versions.made(home, name), *versions.made(target, name))
        recipe = replace(built.recipe, version=versions.rising(version, old.manifest.version, made))
        require_room(target, _transport(target, recipe))
        change = _change(home, old, recipe, changes, progress)
        if not (change.added or change.removed):
            return _as_it_is(old, home)
        if target != home:
            stack.enter_context(locked(target))
        return _make(old, change, built, target, progress)


def _old(home: Path) -> Old:
    directory = home / BUNDLE
    bundle = Bundle.open(directory)  # every byte is checked
    bundle.close()
    return Old(directory, bundle.manifest, quality.read(directory))


def _target(home: Path, out: Path | None, name: str) -> Path:
    """The build folder of the new version."""
    if out is None or (out / name).resolve() == home:
        return home
    target = (out / name).resolve()
    if target.is_relative_to(home / BUNDLE):
        raise BuildError(f"{out}: lies in the bundle itself; choose another place")
    if (target / BUNDLE).exists():
        raise BuildError(f"{target / BUNDLE}: there is a bundle already; choose another place")
    return target


def _change(home: Path, old: Old, recipe: Recipe, changes: Changes, progress: Progress) -> Change:
    """What is asked for, checked against what there is."""
    given = _read(recipe, changes.add, progress)
    removed = _removed(old, changes.remove, given)
    encoder = _encoder(recipe, home, old, progress) if given else None
    added = {} if encoder is None else revision.differing(old.directory, _cut(given, recipe, encoder))
    alike = len(given) - len(added)
    progress.say(
        f"changes    documents to add or replace: {len(added):,}, to remove: {len(removed):,}"
        + (f", given as they are in the bundle: {alike:,}" if alike else "")
    )
    return Change(recipe, added, removed, encoder)


def _read(recipe: Recipe, paths: Sequence[Path], progress: Progress) -> list[Document]:
    if not paths:
        return []
    skipped = SkipLog()
    given = list(additions.read(recipe.corpus, paths, skipped=skipped))
    if skipped.total:
        progress.say(f"           skipped {skipped.summary()}")
    return given


def _removed(old: Old, keys: Sequence[str], given: Sequence[Document]) -> frozenset[str]:
    present = frozenset(documents.keys(old.directory))
    removed, added = frozenset(keys), frozenset(document.key for document in given)
    if unknown := [key for key in dict.fromkeys(keys) if key not in present]:
        raise BuildError(f"--remove: no document of {old.directory} has the key {_listed(unknown)}")
    if both := sorted(removed & added):
        raise BuildError(
            f"both to add and to remove: {_listed(both)}; --add alone puts a new text in the old one's place"
        )
    if present == removed and not added:
        raise BuildError("--remove: no document would be left; a bundle has one at least")
    return removed


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 10} more" if len(keys) > 10 else ""
    return ", ".join(map(shown, keys[:10])) + more


def _encoder(recipe: Recipe, home: Path, old: Old, progress: Progress) -> PassageEncoder:
    # Not at the top: removing needs none of the seconds that torch takes to import.
    from build_tools.later_vectors import PassageEncoder

    progress.say(f"teacher    {recipe.teacher.model}")
    return PassageEncoder.load(
        recipe, home, scale=old.manifest.index.scale, workspace=Workspace(home / STAGES)
    )


def _cut(given: Sequence[Document], recipe: Recipe, encoder: PassageEncoder) -> dict[str, list[Passage]]:
    count = encoder.teacher.tower.count_tokens
    return {document.key: chunker.chunk(document, recipe.chunk, count) for document in given}


def _as_it_is(old: Old, home: Path) -> Built:
    """The old version, where there is nothing to change."""
    transport = home / f"{old.manifest.name}-{old.manifest.version}.edge"
    if not transport.is_file():
        pack(old.directory, transport)
    return Built(old.directory, transport, old.card, fresh=False)


def _make(old: Old, change: Change, built: Record, target: Path, progress: Progress) -> Built:
    recipe = change.recipe
    draft, transport = unfinished(target / BUNDLE), _transport(target, recipe)
    with nothing_done(draft, transport, built if target == old.directory.parent else None):
        card = redraft.write(old, change, draft, progress)
        _check_size(recipe, draft)
        if target != old.directory.parent:
            _copy_aids(old.directory.parent, target)
        pack(draft, transport)
        # Before the swap: were the machine switched off between the two, a build would else take the new
        # bundle for what the recipe's corpus gives.
        made = Record(built.inputs, sha256(transport), recipe, updated=True, directory=record.here(target))
        record.write(made, target)
        swap_in(draft, target / BUNDLE)
    return Built(target / BUNDLE, transport, card, fresh=True)


def _transport(home: Path, recipe: Recipe) -> Path:
    return home / f"{recipe.name}-{recipe.version}.edge"


def _check_size(recipe: Recipe, draft: Path) -> None:
    """The one gate that can be told without the teacher's exact vectors of all documents."""
    size = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
    gates.check(gates.of_size(recipe.gates, size))


def _copy_aids(home: Path, target: Path) -> None:
    """What lies beside a bundle and speaks of its encoders and its space."""
    if (home / MATRIX).is_file():
        shutil.copyfile(home / MATRIX, target / MATRIX)
    if (home / CURVES).is_dir():
        shutil.copytree(home / CURVES, target / CURVES, dirs_exist_ok=True)
