"""Whether a user's data set function gives the same data each time that it is called.

Each process of a sweep loads the data by itself, and a run is known by a hash of its data. So a function that draws
from a global generator, or from none that is seeded, gives every process other data, and runs that nobody has planned.
"""

import time
from collections.abc import Iterable

import torch

from zeroinit.build import data_hash, load_cached, set_up_torch, stored
from zeroinit.config import Job
from zeroinit.config.code_hash import user_targets
from zeroinit.config.identity import hash_of
from zeroinit.environment import environment
from zeroinit.errors import BadInput
from zeroinit.rng import ForeignStates

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
    before, started = GlobalStates(), time.perf_counter()
    load_cached(*store, device)
    is_slow, has_moved = time.perf_counter() - started > SLOW_SECONDS, before.have_moved()
    if not is_slow or has_moved:
        first, before = data_hash(store, device), GlobalStates()
        second = hash_of(load_cached.__wrapped__(*store, device))
        if first != second:
            is_global = has_moved or before.have_moved()
            source = "it draws from a global generator" if is_global else "it depends on more than its arguments"
            raise BadInput(
                f"dataset._target_={job.values['dataset']['_target_']}: two calls with the same seed gave different "
                f"data ({first} and {second}): {source}; draw from the generator that it is given"
            )
    checked.add((node, variables))


class GlobalStates(ForeignStates):
    """The states of torch's global generator on the CPU, too."""

    def __init__(self) -> None:
        super().__init__()
        self.torch = torch.get_rng_state()

    def have_moved(self) -> bool:
        """Return whether something has drawn from one of the three since."""
        return bool(self.name_moved()) or not torch.equal(torch.get_rng_state(), self.torch)
