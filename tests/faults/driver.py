"""Changes a store again and again, each time with a fault one system call later, and looks at what is left.

A program of its own: it forks, which a process with an engine's threads should not. Prints a JSON object.

    python driver.py FAULT HOME SOURCE install|receive|repair|rollback|prune

"receive" flashes it over a line, with an rsync that succeeds. HOME is a device as it is before; each attempt
works on a copy of it whose files are hard links, so that a file which is changed in place would be changed
in all of them.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import layer
from sender import Sender

from edge_runtime import manifest as manifests
from edge_runtime import state
from edge_runtime.bundle import Bundle
from edge_runtime.errors import Error, IntegrityError
from edge_runtime.store import layout
from edge_runtime.store.install import install
from edge_runtime.store.mend import repair
from edge_runtime.store.opening import open_bundle
from edge_runtime.store.prune import prune
from edge_runtime.store.receive import Line, receive
from edge_runtime.store.status import status
from edge_runtime.store.switch import rollback

REFUSED, CRASHED = 3, 4
NAME = "tiny"


def main(fault: str, home: Path, source: Path, how: str) -> None:
    """Until an attempt has fewer calls than would let it fail."""
    prepare, goal = preparation(how, source)
    found: Counter[str] = Counter()
    problems: list[str] = []
    before = version(home)
    number, reached = 0, True
    while reached:
        number += 1
        work = copied(home, number)
        reached, ending = attempt(fault, number, work, prepare)
        try:
            after = version(work)
            status()
            state.read(NAME)
            found[after] += 1
            if after not in (before, goal):
                problems.append(f"call {number}: {after} answers")
            if ending == CRASHED or (ending == 0 and after != goal):
                problems.append(f"call {number}: status {ending}, {after} answers")
            # A device whose line broke behind the switch cannot tell of it, and that is no loss.
            if ending == REFUSED and how == "install" and not fault.endswith("+") and after != before:
                problems.append(f"call {number}: it failed, and {after} answers")
            if how == "prune":  # what it has left of the other bundle is all of it
                for bundle in layout.installed(NAME):
                    Bundle.open(layout.folder(NAME) / bundle, verify="full").close()
            install(source, self_test=None)
            if version(work) != "2.0.0" or list(layout.staging().iterdir()):
                problems.append(f"call {number}: cannot be installed afterwards")
        except (Error, OSError) as error:
            problems.append(f"call {number}: {type(error).__name__}: {error}")
        shutil.rmtree(work.parent)
    if version(home) != before:
        problems.append("a file was changed in place")
    print(json.dumps({"calls": number - 1, "found": found, "problems": problems}))


def copied(home: Path, number: int) -> Path:
    """A device like `home`, with a folder beside it."""
    place = home.parent / f"at-{number}"
    (place / "shadow").mkdir(parents=True)
    shutil.copytree(home, place / "home", symlinks=True, copy_function=os.link)
    return place / "home"


def preparation(how: str, source: Path) -> tuple[Callable[[], Callable[[], object]], str]:
    """What gives a process its task, which is to meet the fault; and what answers when that is done."""
    if how == "receive":
        return functools.partial(receiving, Sender(source)), "2.0.0"
    acts: dict[str, tuple[Callable[[], object], str]] = {
        "install": (functools.partial(install, source, self_test=None), "2.0.0"),
        "repair": (functools.partial(repair, source), "2.0.0"),
        "rollback": (functools.partial(rollback, NAME), "1.0.0"),
        "prune": (functools.partial(prune, keep=1), "2.0.0"),
    }
    act, goal = acts[how]
    return lambda: act, goal


def receiving(sender: Sender) -> Callable[[], object]:
    """What takes a flash; `sender` begins it, in a process of its own that no fault reaches."""
    reading, theirs = os.pipe()
    ours, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        os.close(writing)
        with suppress(OSError), os.fdopen(ours, "rb") as heard, os.fdopen(theirs, "wb", buffering=0) as said:
            sender.talk(heard, said)
        os._exit(0)
    os.close(ours)
    os.close(theirs)
    return functools.partial(receive, Line(reading, writing), self_test=None, delta=True)


def attempt(
    fault: str, number: int, work: Path, prepare: Callable[[], Callable[[], object]]
) -> tuple[bool, int]:
    """Whether the call came, and how the process that installed ended."""
    pid = os.fork()
    if pid == 0:
        os.environ["EDGE_RUNTIME_HOME"] = str(work)
        act = prepare()
        count = layer.fail_at(number, fault, work.parent / "shadow")
        ending = 0
        try:
            act()
        except Error:
            ending = REFUSED
        except BaseException:
            traceback.print_exc()
            ending = CRASHED
        os._exit(ending + (0 if count() >= number else 100))
    ending = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return ending < 100, ending % 100


def version(home: Path) -> str:
    """Of what opening by name gives, every byte of it checked; or "none", or "damaged"."""
    os.environ["EDGE_RUNTIME_HOME"] = str(home)
    directory = layout.current(NAME)
    if directory is None:
        return "none"
    open_bundle(NAME).close()
    try:
        bundle = Bundle.open(directory, verify="full")
    except IntegrityError:
        return "damaged"
    bundle.close()
    return bundle.manifest.version


if __name__ == "__main__":
    os.fsync = lambda _: None  # the layer knows what it would have flushed, and nobody cuts the power here
    manifests.parse = functools.lru_cache(manifests.parse)  # of the same few, hundreds of times
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
