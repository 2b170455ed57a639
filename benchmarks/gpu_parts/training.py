"""What trains the jobs of a file, as the command does, and keeps nothing but their records."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool, ThreadPool

from gpu_parts.files import Row
from gpu_parts.jobs import Task
from zeroinit.config import Job
from zeroinit.kernels import pin_kernels
from zeroinit.report.archive import row_of
from zeroinit.sweep import runner
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off
from zeroinit.tracker.tags import Tag


class Memory(Off):
    """Keeps records in memory, with all that is measured of them."""

    is_persistent = True


def train(jobs: Sequence[Job]) -> list[Record]:
    """Train the jobs together, with the probes of their configs."""
    return runner.run_jobs(jobs, Memory(), lambda share, accuracy: None, reason=f"{len(jobs)} together")


def train_rows(tasks: Sequence[Task]) -> list[Row]:
    """Train the tasks together; a row of docs/results.csv for each run and sweep, and how long the call took."""
    started = time.perf_counter()
    records = train([task.job for task in tasks])
    taken = time.perf_counter() - started
    return [
        {
            "run": task.job.config_hash,
            "name": task.job.name,
            "arch": task.arch,
            "call_seconds": taken,
            "error": record.tags.get(Tag.ERROR, ""),
            "traceback": record.files.get(runner.TRACEBACK, b"").decode()[-2000:],
            "rows": [row_of(sweep, record, []) for sweep in task.sweeps],
        }
        for task, record in zip(tasks, records, strict=True)
    ]


def open_pool(workers: int) -> Pool:
    """Return a pool of processes; of one thread of this process for 0 workers."""
    if not workers:
        return ThreadPool(1)
    return multiprocessing.get_context("spawn").Pool(workers, initializer=pin_kernels)
