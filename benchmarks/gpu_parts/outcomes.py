"""Part a, second half: varied runs end on this device as they do on the CPU."""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu_parts.files import Row, add_row, read_rows
from gpu_parts.jobs import Task
from gpu_parts.training import open_pool, train
from zeroinit.config import Job
from zeroinit.tracker.tags import Tag


def compare_outcomes(tasks: Sequence[Task], out: Path, deadline: float, workers: int) -> bool:
    """Train each task on its device and on the CPU; a row with both outcomes. Return whether all are there."""
    path = out / "outcomes.jsonl"
    there = {row["run"] for row in read_rows(path)}
    jobs = [task.job for task in tasks if task.part == "outcomes" and task.job.config_hash not in there]
    with open_pool(workers) as pool:
        results = pool.imap_unordered(train_twice, jobs)
        for _ in jobs:
            try:
                add_row(path, results.next(max(0.1, deadline - time.monotonic())))
            except multiprocessing.TimeoutError:
                return False
    return True


def train_twice(job: Job) -> Row:
    """Return how the run ends on its device and on the CPU."""
    here, cpu = ended(job), ended(made_for_cpu(job))
    same = here["outcome"] == cpu["outcome"] and here["error"] == cpu["error"]
    return {
        "run": job.config_hash,
        "name": job.name,
        "device": job.values["device"],
        "same": same,
        "here": here,
        "cpu": cpu,
    }


def made_for_cpu(job: Job) -> Job:
    return replace(job, values=job.values | {"device": "cpu"}, params=job.params | {"device": "cpu"})


def ended(job: Job) -> Row:
    """Return what the run came to."""
    [record] = train([job])
    return {
        "outcome": record.tags.get(Tag.OUTCOME, ""),
        "error": record.tags.get(Tag.ERROR, ""),
        "lint_findings": record.tags.get(Tag.LINT_FINDINGS, ""),
        "skipped_probes": record.tags.get(Tag.SKIPPED_PROBES, ""),
        "accuracy": record.last("test/accuracy"),
        "loss": record.last("test/loss"),
    }
