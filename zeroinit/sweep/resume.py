"""Finds the runs of a sweep that need not be trained again, and estimates how long the others will take."""

import json
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from zeroinit.build import identity_of, load, set_up_torch, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.environment import environment
from zeroinit.probes.curvature import Curvature
from zeroinit.probes.metrics import all_probes
from zeroinit.tracker import Record, RunReader, Status, readable
from zeroinit.tracker.tags import Tag

# keys that decide at which steps or on what probes measure, and the probes that depend on them
BY_STEPS = {*all_probes()} - {Curvature.name}
SCHEDULE = {
    "probe.first_steps": BY_STEPS,
    "probe.per_decade": BY_STEPS,
    "probe.curvature": {"curvature"},
    "probe.examples": {"activation", "curvature"},
}
SPEED_PARAMS = (
    "arch",
    "dataset",
    "dataset.batch_size",
    "dtype",
)  # runs that have these in common take the same time for a step


def find_finished(jobs: Sequence[Job], tracker: RunReader, report: Callable[[str], None] = print) -> dict[str, Record]:
    """Find the jobs that were trained before, by one query.

    Args:
        jobs: Those with `rerun` count as not trained.
        tracker: An open tracker.
        report: Gets a line on the runs that are FINISHED in the store but not complete.

    Returns:
        {identity: the newest complete run, with all probes and files that the job asks for}.
    """
    wanted = {identity_of(job): job for job in jobs if not job.config.rerun}
    finished: dict[str, Record] = {}
    incomplete: dict[str, Record] = {}
    records, _ = readable(tracker.find_finished(wanted) if wanted else ())
    for record in records:
        if record.status == Status.INCOMPLETE:
            incomplete.setdefault(record.identity, record)
        elif record.identity not in finished and _has_all(record, wanted[record.identity]):
            finished[record.identity] = record
    if lacking := [record for identity, record in incomplete.items() if identity not in finished]:
        first = f"{lacking[0].name}: {lacking[0].tags[Tag.ERROR]}"
        runs = f"1 run ({first}) is" if len(lacking) == 1 else f"{len(lacking)} runs (the first, {first}) are"
        report(f"{runs} FINISHED in the store but not complete, and counted as not done")
    return finished


def _has_all(record: Record, job: Job) -> bool:
    """Whether the run has the probes, the metrics of the user and the weights that the job asks for."""
    wanted = set(job.config.probe.measure)
    is_measured = wanted <= set(json.loads(record.params.get("probe.measure", "[]")))
    has_same_schedule = all(
        record.params.get(key) == job.params[key] for key, probes in SCHEDULE.items() if probes & wanted
    )
    metrics, stored = (json.loads(params.get("metrics", "{}")) for params in (job.params, record.params))
    is_measured = is_measured and metrics.items() <= stored.items()
    return is_measured and has_same_schedule and (not job.config.save or record.params.get("save") == "true")


def seconds_needed(jobs: Sequence[Job], known: Iterable[Record]) -> list[float | None]:
    """Return the seconds that each job will take by itself, or None if no similar run has finished.

    The estimate is the median time of a step of the finished runs of its cell, or else of runs of the same speed. A run
    of a stack counts with its share of the time.
    """
    by_cell: dict[str, list[float]] = {}
    by_speed: dict[str, list[float]] = {}
    for record in known:
        steps = max(record.history(record.score.test), default=0)
        if record.status == Status.FINISHED and steps and Tag.TRAIN_SECONDS in record.tags:
            rate = float(record.tags[Tag.TRAIN_SECONDS]) / int(record.tags.get(Tag.STACK_SIZE, 1)) / steps
            by_cell.setdefault(record.tags[Tag.CELL_HASH], []).append(rate)
            by_speed.setdefault(speed_key(record.params, record.tags[Tag.DEVICE]), []).append(rate)
    seconds: list[float | None] = []
    for job in jobs:
        with environment(job.variables):
            device = set_up_torch(job.config)
            steps_per_epoch = steps_per_epoch_of(job.config, load(job.config, device))
        steps = job.config.duration.count_steps(steps_per_epoch)
        rates = by_cell.get(job.cell_hash) or by_speed.get(speed_key(job.params, device.type))
        seconds.append(median(rates) * steps if rates else None)
    return seconds


def speed_key(params: dict[str, str], device: str) -> str:
    """Return what decides how long a step takes; `device` begins with its type."""
    relevant = {
        key: value
        for key, value in params.items()
        if key in SPEED_PARAMS or key.startswith(("arch.", "dataset.resize"))
    }
    return json.dumps([device.partition(" ")[0].partition(":")[0], relevant], sort_keys=True)
