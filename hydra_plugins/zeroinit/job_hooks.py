"""Callbacks of a user's own, called for one job of a sweep as Hydra calls them for a single job."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, setup_globals
from omegaconf import DictConfig, open_dict, read_write

from hydra_plugins.zeroinit.callback import SweepCallback

if TYPE_CHECKING:  # they import torch, which listing the plugins must not
    from zeroinit.config import Job
    from zeroinit.tracker import Record


class JobCallbacks:
    """Calls on_job_start and on_job_end of the callbacks that a sweep has, on a copy of them for each job.

    A copy, as runs of a stack start together: a callback that keeps something from start to end has it apart. One that
    cannot be copied to another process is made anew there from the config.
    """

    def __init__(self, job: Job, cfg: DictConfig, callbacks: bytes | None) -> None:
        self.folder, self.overrides, self.cfg, self.pickled = job.folder, job.overrides, cfg, callbacks

    def start(self) -> None:
        from zeroinit import cli

        setup_globals()  # resolvers, which a worker has none of
        made = pickle.loads(self.pickled) if self.pickled else Callbacks(self.cfg).callbacks
        self.callbacks = Callbacks()
        self.callbacks.callbacks = users(made)
        with read_write(self.cfg.hydra.runtime), open_dict(self.cfg.hydra.runtime):
            self.cfg.hydra.runtime.output_dir = os.path.abspath(self.folder)
        with self.hydra_config():
            self.callbacks.on_job_start(config=self.cfg, task_function=cli.task.__wrapped__)

    def end(self, record: Record) -> None:
        """Call on_job_end with the run's best validation accuracy, or with why it failed."""
        from zeroinit.errors import RunFailed
        from zeroinit.sweep.messages import best_val_accuracy

        finished = record.status == "FINISHED"
        with self.hydra_config():
            hydra_node: Any = copy.deepcopy(HydraConfig.instance().cfg)
            returned = JobReturn(
                overrides=self.overrides,
                cfg=task_config(self.cfg),
                hydra_cfg=hydra_node,
                working_dir=os.getcwd(),
                task_name=self.cfg.hydra.job.name,
                status=JobStatus.COMPLETED if finished else JobStatus.FAILED,
                _return_value=best_val_accuracy(record) if finished else RunFailed(record.tags["error"]),
            )
            self.callbacks.on_job_end(config=self.cfg, job_return=returned)

    @contextmanager
    def hydra_config(self) -> Iterator[None]:
        """Hydra's own config is the job's, for those who ask HydraConfig.get()."""
        before = HydraConfig.instance().cfg
        JobRuntime.instance().set("name", self.cfg.hydra.job.name)
        HydraConfig.instance().set_config(self.cfg)
        try:
            yield
        finally:
            HydraConfig.instance().cfg = before


def users(callbacks: Sequence[Any]) -> list[Any]:
    """The callbacks that are not zeroinit's own, which has nothing to do for a job."""
    return [callback for callback in callbacks if not isinstance(callback, SweepCallback)]


def task_config(cfg: DictConfig) -> DictConfig:
    """The config as a task function gets it, without Hydra's node."""
    without = copy.deepcopy(cfg)
    with read_write(without), open_dict(without):
        del without["hydra"]
    return without


def with_callbacks(job: Job, cfg: DictConfig, callbacks: Callbacks) -> Job:
    """The job with the user's callbacks, as they are at the start of the sweep; as it is where there are none."""
    own = users(callbacks.callbacks)
    if not own:
        return job
    try:
        pickled = pickle.dumps(own)
    except Exception:  # an object raises whatever it likes where it holds what cannot be copied
        pickled = None
    return replace(job, hooks=pickle.dumps(JobCallbacks(job, cfg, pickled)))
