"""Surrounds the training of a sweep's jobs: the folder of each job, their environment, and a user's callbacks."""

import pickle
from collections.abc import Callable, Sequence
from typing import Protocol

from zeroinit.config import Job
from zeroinit.environment import environment
from zeroinit.sweep.job_folder import write_config
from zeroinit.tracker import Record, Status


class JobHooks(Protocol):
    """Called for a job in the process that trains it; `Job.hooks` holds it pickled."""

    def start(self) -> None:
        """Run before the job trains."""

    def end(self, record: Record) -> None:
        """Run after the job has trained, with its record."""


def train_in_folders(
    jobs: Sequence[Job],
    train: Callable[[Sequence[Job]], Sequence[Record]],
    give_up: Callable[[Job, str], Record],
) -> list[Record]:
    """Write the config of each job to its folder, and train the jobs in the environment that they set.

    Args:
        jobs: Jobs that train together, with equal variables.
        train: Trains those whose folder can be written to.
        give_up: Makes the record of a job whose folder cannot be written to, with the reason.

    Returns:
        The records in the order of the jobs.
    """
    reasons = [write_config(job) for job in jobs]
    usable = [job for job, reason in zip(jobs, reasons, strict=True) if not reason]
    hooks: list[JobHooks | None] = [pickle.loads(job.hooks) if job.hooks else None for job in usable]
    with environment(jobs[0].variables):  # all have the same
        for hook in hooks:
            if hook:
                hook.start()
        trained = list(train(usable)) if usable else []
    for hook, record in zip(hooks, trained, strict=True):
        if hook and record.status != Status.HELD:  # its other process calls its own hook
            hook.end(record)
    rest = iter(trained)
    return [give_up(job, reason) if reason else next(rest) for job, reason in zip(jobs, reasons, strict=True)]
