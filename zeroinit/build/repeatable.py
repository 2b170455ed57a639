"""Whether a data set function of the user returns the same data each time that it is called.

Each process of a sweep loads the data itself, and a hash of the data is part of the identity of a run. A function that
draws from a global generator, or from one without a seed, gives each process other data, and so runs that are not in
the plan.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

import torch

from zeroinit.build.data import DataSource, data_hash, data_source, load_cached
from zeroinit.build.torch_settings import set_up_torch
from zeroinit.config import Job
from zeroinit.config.code_hash import user_targets
from zeroinit.config.identity import hash_data
from zeroinit.environment import environment
from zeroinit.errors import BadInput
from zeroinit.rng import ForeignStates

SLOW_SECONDS = 5  # data that take longer are loaded twice only if a global generator moved in the meantime

# data, of any split seed, that this process has loaded twice, or that take too long for that
checked: set[DataSource] = set()


def check_repeatable(jobs: Iterable[Job]) -> None:
    """Load the data of each data set function of the user twice, with one seed.

    Raises:
        BadInput: Two loads give different data.
    """
    for job in jobs:
        if user_targets(job.config.dataset.source.node):
            with environment(job.variables):
                _check_job(job)


def _check_job(job: Job) -> None:
    """Load the data of a job twice, unless another job with the same data set was checked."""
    source, device = data_source(job.config), set_up_torch(job.config)
    any_seed = replace(source, split_seed=0)
    if any_seed in checked:
        return
    before, started = GlobalStates(), time.perf_counter()
    load_cached(source, device)
    is_slow, has_moved = time.perf_counter() - started > SLOW_SECONDS, before.have_moved()
    if not is_slow or has_moved:
        first, before = data_hash(source, device), GlobalStates()
        second = hash_data(load_cached.__wrapped__(source, device))
        if first != second:
            is_global = has_moved or before.have_moved()
            cause = "it draws from a global generator" if is_global else "it depends on more than its arguments"
            raise BadInput(
                f"{source.target}: two calls with the same seed gave different "
                f"data ({first} and {second}): {cause}; draw from the generator that it is given"
            )
    checked.add(any_seed)


class GlobalStates(ForeignStates):
    """The states of the three global generators on the CPU: numpy's, Python's and torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.torch = torch.get_rng_state()

    def have_moved(self) -> bool:
        """Return whether something has drawn from one of them since."""
        return bool(self.name_moved()) or not torch.equal(torch.get_rng_state(), self.torch)
