"""Calls the callbacks of a user for one job of a sweep, as Hydra calls them for a single job."""

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

    Runs of a stack start together, and a callback may store something from the start of its job to the end: hence the
    copy. A callback that cannot be copied to another process is made there from the config.
    """

    def __init__(self, job: Job, cfg: DictConfig, callbacks: bytes | None) -> None:
        self.folder, self.overrides, self.cfg, self.pickled = job.folder, job.overrides, cfg, callbacks

    def start(self) -> None:
        from zeroinit import cli  # it imports torch

        setup_globals()  # registers Hydra's resolvers, which a worker does not have
        made = pickle.loads(self.pickled) if self.pickled else Callbacks(self.cfg).callbacks
        self.callbacks = Callbacks()
        self.callbacks.callbacks = _of_user(made)
        with read_write(self.cfg.hydra.runtime), open_dict(self.cfg.hydra.runtime):
            self.cfg.hydra.runtime.output_dir = os.path.abspath(self.folder)
        with self._hydra_config():
            self.callbacks.on_job_start(config=self.cfg, task_function=cli.task.__wrapped__)

    def end(self, record: Record) -> None:
        """Call on_job_end with the run's best validation accuracy, or with why it failed."""
        # they import torch, which listing the plugins must not
        from zeroinit.errors import RunFailed
        from zeroinit.sweep.messages import best_val_score
        from zeroinit.tracker.tags import Tag

        finished = record.status == "FINISHED"
        with self._hydra_config():
            hydra_node: Any = copy.deepcopy(HydraConfig.instance().cfg)
            returned = JobReturn(
                overrides=self.overrides,
                cfg=_task_config(self.cfg),
                hydra_cfg=hydra_node,
                working_dir=os.getcwd(),
                task_name=self.cfg.hydra.job.name,
                status=JobStatus.COMPLETED if finished else JobStatus.FAILED,
                _return_value=best_val_score(record) if finished else RunFailed(record.tags[Tag.ERROR]),
            )
            self.callbacks.on_job_end(config=self.cfg, job_return=returned)

    @contextmanager
    def _hydra_config(self) -> Iterator[None]:
        """Have HydraConfig.get() return the config of the job."""
        before = HydraConfig.instance().cfg
        JobRuntime.instance().set("name", self.cfg.hydra.job.name)
        HydraConfig.instance().set_config(self.cfg)
        try:
            yield
        finally:
            HydraConfig.instance().cfg = before


def _of_user(callbacks: Sequence[Any]) -> list[Any]:
    """Return the callbacks but for that of zeroinit, which does nothing for a job."""
    return [callback for callback in callbacks if not isinstance(callback, SweepCallback)]


def _task_config(cfg: DictConfig) -> DictConfig:
    """Return the config as a task function gets it, without Hydra's node."""
    without = copy.deepcopy(cfg)
    with read_write(without), open_dict(without):
        del without["hydra"]
    return without


def with_callbacks(job: Job, cfg: DictConfig, callbacks: Callbacks) -> Job:
    """Return the job with the user's callbacks, if there are any, as they are at the start of the sweep."""
    callbacks_of_user = _of_user(callbacks.callbacks)
    if not callbacks_of_user:
        return job
    try:
        pickled = pickle.dumps(callbacks_of_user)
    except Exception:  # an object may raise anything if it holds what cannot be copied
        pickled = None
    return replace(job, hooks=pickle.dumps(JobCallbacks(job, cfg, pickled)))
