"""Whether a data set function of the user returns the same data each time that it is called.

Each process of a sweep loads the data itself, and a hash of the data is part of the identity of a run. A function that
draws from a global generator, or from one without a seed, gives each process other data, and so runs that are not in
the plan.
"""

import time
from collections.abc import Iterable

import torch

from zeroinit.build.data import data_hash, data_source, load_cached
from zeroinit.build.torch_settings import set_up_torch
from zeroinit.config import Job
from zeroinit.config.code_hash import user_targets
from zeroinit.config.identity import hash_data
from zeroinit.environment import environment
from zeroinit.errors import BadInput
from zeroinit.rng import ForeignStates

SLOW_SECONDS = 5  # data that take longer are loaded twice only if a global generator moved in the meantime

# data sets (node and environment) that this process has loaded twice, or that take too long for that
checked: set[tuple[object, ...]] = set()


def check_repeatable(jobs: Iterable[Job]) -> None:
    """Load the data of each data set function of the user twice, with one seed.

    Raises:
        BadInput: Two loads give different data.
    """
    for job in jobs:
        if user_targets(job.values["dataset"]):
            with environment(job.variables):
                _check_job(job)


def _check_job(job: Job) -> None:
    """Load the data of a job twice, unless another job with the same data set was checked."""
    source, device = data_source(job.values), set_up_torch(job.values)
    node, _, variables = source
    if (node, variables) in checked:
        return
    before, started = GlobalStates(), time.perf_counter()
    load_cached(*source, device)
    is_slow, has_moved = time.perf_counter() - started > SLOW_SECONDS, before.have_moved()
    if not is_slow or has_moved:
        first, before = data_hash(source, device), GlobalStates()
        second = hash_data(load_cached.__wrapped__(*source, device))
        if first != second:
            is_global = has_moved or before.have_moved()
            cause = "it draws from a global generator" if is_global else "it depends on more than its arguments"
            raise BadInput(
                f"dataset._target_={job.values['dataset']['_target_']}: two calls with the same seed gave different "
                f"data ({first} and {second}): {cause}; draw from the generator that it is given"
            )
    checked.add((node, variables))


class GlobalStates(ForeignStates):
    """The states of the three global generators on the CPU: numpy's, Python's and torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.torch = torch.get_rng_state()

    def have_moved(self) -> bool:
        """Return whether something has drawn from one of them since."""
        return bool(self.name_moved()) or not torch.equal(torch.get_rng_state(), self.torch)
