"""Where the document tower works: in this process, in several, or on a Ray cluster.

The corpus goes out in shards and comes back as vectors, in any order; no more shards are under way than
workers can take, so memory does not grow with the corpus. Whoever computes them, the files are the same, and
a build that was interrupted may go on with another executor.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache

import torch

from build_tools.errors import BuildError, ModelError
from build_tools.models import reason
from build_tools.recipe import Recipe
from build_tools.recipe_training import TeacherSpec
from build_tools.shards import Computed, Shard, Spread, one_by_one
from build_tools.towers import Tower

Task = tuple[TeacherSpec, str, Shard[str]]
"""The teacher, the digest that it must have where the task is done, and what it should encode."""


@contextmanager
def documents(recipe: Recipe, tower: Tower) -> Iterator[Spread[str]]:
    """What gives the tower's document vectors of shards of texts, as the recipe wants it done.

    Raises:
        BuildError: Ray is not installed or cannot be reached, or a worker died.
        ModelError: a worker does not have the same model.
    """
    if recipe.executor == "local":
        yield one_by_one(tower.encode_documents)
        return
    spread = {"processes": _processes, "ray": _ray}[recipe.executor]

    def compute(shards: Iterator[Shard[str]]) -> Iterator[Computed]:
        tasks = ((recipe.teacher, tower.digest, shard) for shard in shards)
        return spread(tasks, recipe.workers)

    yield compute


def _processes(tasks: Iterator[Task], workers: int | None) -> Iterator[Computed]:
    count = workers or os.cpu_count() or 1
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with torch's threads may hang
    with ProcessPoolExecutor(count, mp_context=spawn, initializer=_begin, initargs=(count,)) as pool:
        try:
            waiting: set[Future[Computed]] = set()
            for task in tasks:
                waiting.add(pool.submit(_encode, task))
                if len(waiting) == 2 * count:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in as_completed(waiting))
        except BrokenProcessPool:
            raise BuildError(
                "executor: a process that encoded documents was ended, often for want of memory; run again, "
                "with fewer workers or a smaller teacher.batch_size"
            ) from None
        except BaseException:  # Ctrl-C must not wait for a shard
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _begin(workers: int) -> None:
    """In a process of ours: Ctrl-C is for its parent, and the processors are for all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def _ray(tasks: Iterator[Task], workers: int | None) -> Iterator[Computed]:
    if importlib.util.find_spec("ray") is None:
        raise BuildError("executor: ray is not installed; pip install 'edge-runtime[ray]', or use processes")
    import ray
    from ray.util.multiprocessing.pool import Pool, PoolTaskError

    started = not ray.is_initialized()
    try:
        if started:  # the cluster that RAY_ADDRESS names, or one on this machine
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        with Pool(workers) as pool:
            for computed in pool.imap_unordered(_encode, tasks, chunksize=1):
                if isinstance(computed, PoolTaskError):
                    raise computed.underlying
                yield computed
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise BuildError(f"executor: ray: {reason(error)}; what was computed is kept, run again") from None
    finally:
        if started:
            ray.shutdown()


def _encode(task: Task) -> Computed:
    """In the worker."""
    teacher, digest, (number, texts) = task
    return number, _tower(teacher, digest).encode_documents(texts)


@cache
def _tower(teacher: TeacherSpec, digest: str) -> Tower:
    """Loaded once by each worker."""
    tower = Tower.load(teacher)
    if tower.digest != digest:
        raise ModelError(
            f"teacher.model {teacher.model}: a worker has another model by that name; give all the same"
        )
    return tower
