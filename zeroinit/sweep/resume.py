"""Which runs of a sweep need not be trained again, and how long the others will take."""

import json
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from zeroinit.build import identity_of, load, set_up_torch, steps_of, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.environment import environment
from zeroinit.probes.curvature import Curvature
from zeroinit.probes.metrics import all_probes
from zeroinit.tracker import INCOMPLETE, TEST_ACCURACY, Record, Tracker, readable

# keys by which runs look elsewhere, and the probes for which they do
BY_STEPS = {*all_probes()} - {Curvature.name}
SCHEDULE = {
    "probe.dense": BY_STEPS,
    "probe.a_decade": BY_STEPS,
    "probe.curvature": {"curvature"},
    "probe.examples": {"activation", "curvature"},
}
ALIKE = ("arch", "dataset", "dataset.batch_size", "dtype")  # runs that have these in common take alike a step


def finished(jobs: Sequence[Job], tracker: Tracker, tell: Callable[[str], None] = print) -> dict[str, Record]:
    """{identity: the newest complete run of it that has measured and kept what the job asks for}, by one query.

    None of a job that has `rerun`. `tell` gets a line on the runs that are FINISHED in the store but not complete.
    """
    wanted = {identity_of(job): job for job in jobs if not job.values["rerun"]}
    found: dict[str, Record] = {}
    incomplete: dict[str, Record] = {}
    records, _ = readable(tracker.find_finished(wanted) if wanted else ())
    for record in records:
        if record.status == INCOMPLETE:
            incomplete.setdefault(record.identity, record)
        elif record.identity not in found and has_all(record, wanted[record.identity]):
            found[record.identity] = record
    if lacking := [record for identity, record in incomplete.items() if identity not in found]:
        first = f"{lacking[0].name}: {lacking[0].tags['error']}"
        runs = f"1 run ({first}) is" if len(lacking) == 1 else f"{len(lacking)} runs (the first, {first}) are"
        tell(f"{runs} FINISHED in the store but not complete, and counted as not done")
    return found


def has_all(record: Record, job: Job) -> bool:
    """Whether the run has the probes, and the weights, that the job asks for."""
    asked = set(job.values["probe"]["measure"])
    measured = asked <= set(json.loads(record.params.get("probe.measure", "[]")))
    alike = all(record.params.get(key) == job.params[key] for key, probes in SCHEDULE.items() if probes & asked)
    return measured and alike and (not job.values["save"] or record.params.get("save") == "true")


def seconds_needed(jobs: Sequence[Job], known: Iterable[Record]) -> list[float | None]:
    """What each job will take by itself, from what finished runs took a step: those of its cell, or else those alike.

    A run's share of its stack's time; None where no such run is known.
    """
    by_cell: dict[str, list[float]] = {}
    by_kind: dict[str, list[float]] = {}
    for record in known:
        steps = max(record.history(TEST_ACCURACY), default=0)
        if record.status == "FINISHED" and steps and "seconds" in record.tags:
            rate = float(record.tags["seconds"]) / int(record.tags["stack"]) / steps
            by_cell.setdefault(record.tags["cell_hash"], []).append(rate)
            by_kind.setdefault(kind(record.params, record.tags["device"]), []).append(rate)
    found: list[float | None] = []
    for job in jobs:
        with environment(job.variables):
            device = set_up_torch(job.values)
            steps_per_epoch = steps_per_epoch_of(job.values, load(job.values, device))
        steps = steps_of(job.values, steps_per_epoch)
        rates = by_cell.get(job.cell_hash) or by_kind.get(kind(job.params, device.type))
        found.append(median(rates) * steps if rates else None)
    return found


def kind(params: dict[str, str], device: str) -> str:
    """What decides how long a step takes; `device` begins with its type."""
    own = {key: value for key, value in params.items() if key in ALIKE or key.startswith(("arch.", "dataset.resize"))}
    return json.dumps([device.partition(" ")[0].partition(":")[0], own], sort_keys=True)
