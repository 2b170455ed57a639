"""The launcher of a sweep: its jobs in stacks, on worker processes, under one progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.zeroinit.callback import OURS
from hydra_plugins.zeroinit.compose import Composer, use
from hydra_plugins.zeroinit.job_hooks import with_callbacks

if TYPE_CHECKING:  # they import torch, which listing the plugins must not
    from zeroinit.config import Job
    from zeroinit.tracker import Record


class SweepLauncher(Launcher):
    """`workers` processes, as many as cores where that is null; 1 trains in this one.

    A job that fails is told at once, in one line, and the others go on.
    """

    def __init__(self, workers: int | None) -> None:
        self.asked = workers
        self.jobs: list[Job] = []  # what a sweeper of ours has composed and checked

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from zeroinit import cli
        from zeroinit.config.compose import is_search
        from zeroinit.errors import BadInput
        from zeroinit.sweep.pool import Pool, cores

        self.workers = cores() if self.asked is None else self.asked
        if type(self.workers) is not int or self.workers < 1:
            cli.stop(BadInput(f"hydra.launcher.workers={self.asked}: give a whole number from 1, or null"))
        if config.hydra.job.chdir:
            cli.stop(BadInput("hydra.job.chdir=true: runs of a sweep train together, in one folder; give false"))
        self.composer = Composer(hydra_context.config_loader, config)
        self.callbacks = hydra_context.callbacks
        self.of_ours = config.hydra.sweeper._target_ == OURS
        self.is_search = is_search(config.hydra)
        self.pool = Pool(self.workers) if self.workers > 1 else None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from zeroinit import cli
        from zeroinit.config.variables import environment_of_store
        from zeroinit.errors import BadInput

        try:
            with environment_of_store(self.composer.master.hydra):
                return self.launch_jobs(job_overrides, initial_job_idx)
        except BadInput as error:
            cli.stop(error)

    def launch_jobs(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from zeroinit import build
        from zeroinit.config.check import resolve_device
        from zeroinit.config.compose import sweep_name
        from zeroinit.progress import Bar
        from zeroinit.sweep import resume
        from zeroinit.sweep.orchestrate import Trainings
        from zeroinit.sweep.stacking import plan
        from zeroinit.tracker import VAL_ACCURACY

        setup_globals()
        jobs = self.jobs if self.of_ours else self.checked(job_overrides, initial_job_idx)
        if self.asked is None and self.pool and resolve_device(jobs[0].values["device"]).type == "cuda":
            self.workers = self.pool.workers = 1  # which has the memory to itself
        sweep = sweep_name()
        tracker = build.open_tracker(jobs[0], sweep)
        asked, there = jobs, {} if self.of_ours else resume.finished(jobs, tracker)
        tracker.load_histories(list(there.values()), [VAL_ACCURACY])
        jobs = [job for job in jobs if build.identity_of(job) not in there]
        with Bar(len(jobs)) as bar:
            trainings = Trainings(jobs, plan(jobs, self.workers), sweep, tracker, bar)
            if self.pool:
                trainings.train_on(self.pool)
            else:
                trainings.train_here()
        records = there | trainings.records
        return [self.returned(job, records[build.identity_of(job)]) for job in asked]

    def returned(self, job: Job, record: Record) -> JobReturn:
        """Return what the sweeper is given for a job; a search is given no value of a run that failed."""
        from zeroinit.errors import RunFailed
        from zeroinit.sweep.messages import best_val_accuracy

        if record.status != "FINISHED" and self.is_search:
            error = RunFailed(record.tags["error"])
            return JobReturn(job.overrides, status=JobStatus.FAILED, _return_value=error)
        return JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=best_val_accuracy(record))

    def checked(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
        """Another sweeper's jobs; stops at bad input before any of them trains, as our own sweeper does."""
        from zeroinit import cli
        from zeroinit.config.compose import job_of
        from zeroinit.config.variables import check_one_store
        from zeroinit.errors import BadInput

        try:
            jobs = []
            for index, overrides in enumerate(job_overrides, start=first):
                cfg = self.composer.job(index, overrides)
                use(cfg)
                jobs.append(with_callbacks(job_of(cfg), cfg, self.callbacks))
            check_one_store(job.variables for job in jobs)
            cli.check_jobs(jobs)
        except BadInput as error:
            cli.stop(error)
        return jobs
