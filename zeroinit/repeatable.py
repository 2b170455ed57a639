"""Whether a user's data set function gives the same data each time that it is called.

Each process of a sweep loads the data by itself, and a run is known by a hash of its data. So a function that draws
from a global generator, or from none that is seeded, gives every process other data, and runs that nobody has planned.
"""

import random
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from zeroinit.build import data_hash, load_cached, set_up_torch, stored
from zeroinit.code_hash import user_targets
from zeroinit.config import Job
from zeroinit.config.identity import hash_of
from zeroinit.environment import environment
from zeroinit.errors import BadInput

SLOW_SECONDS = 5  # data that take longer are loaded twice only where a global generator has moved meanwhile

# data sets (node and environment) that this process has loaded twice, or that take too long for it
checked: set[tuple[object, ...]] = set()


def check_repeatable(jobs: Iterable[Job]) -> None:
    """Load the data of each of the users' own data set functions twice, with one seed.

    Raises:
        BadInput: The two differ.
    """
    for job in jobs:
        if user_targets(job.values["dataset"]):
            with environment(job.variables):
                check_job(job)


def check_job(job: Job) -> None:
    """Load the data of a job twice, unless another job with the same data set has been checked."""
    store, device = stored(job.values), set_up_torch(job.values)
    node, _, variables = store
    if (node, variables) in checked:
        return
    before, started = global_generators(), time.perf_counter()
    load_cached(*store, device)
    is_slow, has_moved = time.perf_counter() - started > SLOW_SECONDS, global_generators() != before
    if not is_slow or has_moved:
        first, before = data_hash(store, device), global_generators()
        second = hash_of(load_cached.__wrapped__(*store, device))
        if first != second:
            is_global = has_moved or global_generators() != before
            source = "it draws from a global generator" if is_global else "it depends on more than its arguments"
            raise BadInput(
                f"dataset._target_={job.values['dataset']['_target_']}: two calls with the same seed gave different "
                f"data ({first} and {second}): {source}; draw from the generator that it is given"
            )
    checked.add((node, variables))


def global_generators() -> list[Any]:
    """The states of Python's, numpy's and torch's global generators."""
    _, keys, position, *_ = np.random.get_state(legacy=True)
    return [random.getstate(), (np.asarray(keys).tobytes(), position), torch.get_rng_state().numpy().tobytes()]
