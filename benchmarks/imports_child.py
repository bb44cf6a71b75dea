"""The body of the fresh processes that `imports` measures: import, open, answer, and say what each step took.

Arguments: the bundle, the encoder's id, a question, and ``STEP=MODULE MODULE …`` for each import. Nothing is
imported at the top but what Python has loaded anyway: it would be missing in the step that pays for it.
"""

import sys
import time


def main(bundle, encoder, query, *imports):  # type: ignore[no-untyped-def] # typing is one of the costs
    """Prints a list of objects with ``name``, ``ms`` of processor time and ``mb`` of resident memory."""
    steps = [{"name": "Python", "ms": time.process_time() * 1e3, "mb": resident()}]

    def step(name, action):  # type: ignore[no-untyped-def]
        started, before = time.process_time(), resident()
        result = action()
        milliseconds = (time.process_time() - started) * 1e3
        steps.append({"name": name, "ms": milliseconds, "mb": resident() - before})
        return result

    for group in imports:
        name, _, modules = group.partition("=")
        step(name, lambda modules=modules: [__import__(module) for module in modules.split()])
    step("usearch", import_usearch)

    import edge_runtime

    retriever = step("open", lambda: edge_runtime.open(bundle, encoder=encoder, verify="size"))
    step("first answer", lambda: retriever.search(query))

    import json

    print(json.dumps(steps))


def import_usearch():  # type: ignore[no-untyped-def]
    """As the runtime does it."""
    from edge_runtime.lean_import import import_without
    from edge_runtime.usearch_index import UNUSED

    import_without("usearch.index", UNUSED)


def resident():  # type: ignore[no-untyped-def]
    """Resident megabytes; 0 where the system has no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (pathlib is one of the costs)
            return int(file.read().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


if __name__ == "__main__":
    main(*sys.argv[1:])
