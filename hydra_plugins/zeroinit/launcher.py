"""The launcher of a sweep: its jobs in stacks, on worker processes, under one progress bar."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.zeroinit.compose import Composer

if TYPE_CHECKING:  # they import torch, which listing the plugins must not
    from zeroinit.config import Job
    from zeroinit.tracker import Record


class SweepLauncher(Launcher):
    """Trains on `workers` processes, as many as cores if that is null; with 1, in this process.

    A job that fails is reported at once, in one line, and the others go on. `memory` is the most that the processes may
    have together. With a limit on memory or time, one worker is a process of its own, which this one can kill.
    """

    def __init__(self, workers: int | None, memory: Any) -> None:
        self.workers, self.memory = workers, memory

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config.compose import is_search
        from zeroinit.errors import BadInput
        from zeroinit.sweep.pool import open_pool
        from zeroinit.sweep.sweep_limits import SweepLimits

        try:
            if config.hydra.job.chdir:
                raise BadInput("hydra.job.chdir=true: runs of a sweep train together, in one folder; give false")
            self.limits = SweepLimits.parse(_values_of_limits(config), self.memory)
            self.pool = open_pool(self.workers, self.limits.is_killing)
        except BadInput as error:
            cli.exit_with_bad_input(error)
        self.composer = Composer(hydra_context.config_loader, config)
        self.callbacks = hydra_context.callbacks
        self.is_search = is_search(config.hydra)

    def train(self, jobs: Sequence[Job], skip_finished: bool = False) -> list[Record]:
        """Train checked jobs; `skip_finished` takes runs that were trained before from the store."""
        # they import torch, which listing the plugins must not
        from zeroinit.build import open_tracker
        from zeroinit.config.compose import sweep_name
        from zeroinit.sweep import orchestrate

        setup_globals()
        if self.workers is None and self.pool:
            orchestrate.use_one_gpu_worker(jobs, self.pool)
        train = orchestrate.orchestrate_missing if skip_finished else orchestrate.orchestrate
        return train(jobs, open_tracker(jobs[0], sweep_name()), self.pool, self.limits)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train the jobs of another sweeper. Stops at bad input before any of them trains, as our own sweeper does."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.build import open_tracker
        from zeroinit.config.compose import sweep_name
        from zeroinit.config.variables import check_one_store, environment_of_store
        from zeroinit.errors import BadInput, Ended, SweepEnded
        from zeroinit.sweep.checks import check_jobs
        from zeroinit.sweep.sender import send_leftovers

        try:
            with environment_of_store(self.composer.master.hydra):
                setup_globals()
                jobs = self.composer.jobs(job_overrides, self.callbacks, initial_job_idx)
                check_one_store(job.variables for job in jobs)
                check_jobs(jobs)
                send_leftovers(open_tracker(jobs[0], sweep_name()))
                records = self.train(jobs, skip_finished=True)
        except BadInput as error:
            cli.exit_with_bad_input(error)
        except SweepEnded as end:
            sys.stderr.write(f"zeroinit: {end}; what is finished is kept\n")
            raise Ended(1) from None
        return [self._as_return(job, record) for job, record in zip(jobs, records, strict=True)]

    def _as_return(self, job: Job, record: Record) -> JobReturn:
        """Return what the sweeper is given for a job; a search is given no value of a run that failed."""
        # they import torch, which listing the plugins must not
        from zeroinit.errors import RunFailed
        from zeroinit.sweep.messages import best_val_score
        from zeroinit.tracker.tags import Tag

        if record.status != "FINISHED" and self.is_search:
            error = RunFailed(record.tags[Tag.ERROR])
            return JobReturn(job.overrides, status=JobStatus.FAILED, _return_value=error)
        return JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=best_val_score(record))


def _values_of_limits(config: DictConfig) -> dict[str, Any]:
    """Return the keys of the config that may end a run or a sweep early."""
    from zeroinit.config.identity import LIMIT_KEYS  # it imports torch, which listing the plugins must not

    nodes = {key: config[key] for key in LIMIT_KEYS if key in config}
    return {
        key: OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key, node in nodes.items()
    }
