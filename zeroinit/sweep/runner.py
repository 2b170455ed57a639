"""Jobs that train together, from their configs to records in the store."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.config.dataset import as_in_yaml
from zeroinit.errors import BadInput, StoreFailed
from zeroinit.process import current_process
from zeroinit.sweep.failures import as_text, mark_failed
from zeroinit.sweep.hooks import train_in_folders
from zeroinit.sweep.session import Keep, Session
from zeroinit.tracker import TRACEBACK, Record, RunWriter, Status
from zeroinit.tracker.provenance import command_tag, provenance
from zeroinit.tracker.scores import VAL_SCORES, ScoreValue
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag

REPORT_SECONDS = 0.2  # between two reports of how far a training is


def ignore(records: Sequence[Record]) -> None:
    """Keep nothing: the caller gets the records."""


def run_jobs(
    jobs: Sequence[Job],
    tracker: RunWriter,
    report_progress: Callable[[float, ScoreValue | None], None],
    reason: str = "a single run",
    stacked: bool = False,
    keep: Keep = ignore,
) -> list[Record]:
    """Train jobs together, and return their records.

    A run that diverges, raises or calls sys.exit is FAILED, with its traceback among its files. A run that another
    process trains, or has trained since the store was opened, is HELD.

    Args:
        jobs: Jobs that differ only in keys of `stacking.MAY_DIFFER`.
        tracker: The open tracker, which shows how far the runs are.
        report_progress: Is called with the share of the steps done, and with a validation score or None.
        reason: Why the jobs train together, or alone; kept as a tag.
        stacked: Whether a single job trains as a stack, so that it has the bits that it would have among others.
        keep: Is called with records of runs that ended, whole, as soon as they end.
    """
    plan = {Tag.STACK_SIZE: str(len(jobs)), Tag.STACK_REASON: reason}
    records = [record_of(job, plan) for job in jobs]
    held = _claim(records, tracker)
    for record in held:
        record.status = Status.HELD
    claimed = [(job, record) for job, record in zip(jobs, records, strict=True) if record not in held]
    kept: set[str] = set()

    def keep_and_note(some: Sequence[Record]) -> None:
        keep(some)
        kept.update(record.run_id for record in some)

    try:
        if claimed:
            session = Session(claimed[0][0].config, tracker, keep_and_note, report_progress)
            for job, record in claimed:
                session.add(job, record)
            session.train(stacked or len(jobs) > 1)
    except KeyboardInterrupt:
        with suppress(BadInput):  # the next command marks them otherwise
            tracker.mark_killed([record for _, record in claimed if not record.ended_at])
        raise
    except BaseException as error:  # a user's code may raise any
        for _, record in claimed:
            if record.status == Status.RUNNING:
                mark_failed(record, error)
    unkept = [record for _, record in claimed if record.run_id not in kept]
    for record in unkept:
        if not record.ended_at:
            record.close()
    keep(unkept)
    return records


def _claim(records: Sequence[Record], tracker: RunWriter) -> list[Record]:
    """Return the records of runs that another process trains. A store that does not answer holds none."""
    try:
        return tracker.claim(records)
    except StoreFailed:
        return []


def record_of(job: Job, tags: dict[str, str]) -> Record:
    """Return the record of a job before it trains: its params, and its tags with these added."""
    identifying = {
        Tag.IDENTITY: identity_of(job),
        Tag.CONFIG_HASH: job.config_hash,
        Tag.CELL_HASH: job.cell_hash,
        Tag.ARITHMETIC: job.config.arithmetic,
    }
    if size := size_of(job):
        identifying[Tag.SIZE] = size
    return Record(job.name, job.params, provenance() | command_tag() | current_process().tags() | identifying | tags)


def size_of(job: Job) -> str:
    """Return the option of `size`, and what was typed instead of the values that it sets; empty if there is none.

    A folder of images may stand for any data set.
    """
    size, data, duration, dataset = job.config.size, job.config.dataset, job.config.duration, job.params["dataset"]
    if not size:
        return ""
    resize = as_in_yaml(data.resize)
    changed = {
        "dataset": None if dataset in (size.mnist, size.cifar10, "image_folder") else dataset,
        "limit": None if data.max_examples == size.limit else data.max_examples,
        "resize": None if resize == size.pixels else resize,
        "epochs": None if duration.epochs == size.epochs else duration.epochs,
        "steps": duration.steps if any(line.startswith("steps=") for line in job.overrides) else None,
    }
    return ", ".join([size.name, *(f"{key}={value}" for key, value in changed.items() if value is not None)])


def run_in_worker(
    jobs: Sequence[Job],
    reason: str,
    stacked: bool,
    tracker: RunWriter,
    spool: Spool,
    report_progress: Callable[[tuple[float, ScoreValue | None]], None],
) -> list[Record]:
    """Train jobs of a sweep together, in any process, and return their records without what the store keeps.

    The config of each job is written to its folder first. A job whose folder cannot be written to fails alone. Runs
    that ended are written to the spool, if the tracker is persistent. `report_progress` is called with the share of the
    steps done and a score, a few times a second.
    """
    reported, last = 0.0, None

    def report_now_and_then(share: float, value: ScoreValue | None) -> None:
        nonlocal reported, last
        last = value or last
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            report_progress((share, last))
            last = None

    keep = spool.write if tracker.is_persistent else ignore
    records = train_in_folders(
        jobs,
        lambda some: run_jobs(some, tracker, report_now_and_then, reason, stacked, keep),
        lambda job, error: record_lost_jobs([job], keep, error)[0],
    )
    report_progress((1.0, last))
    if tracker.is_persistent:
        for record in records:
            record.metrics = [point for point in record.metrics if point[0] in VAL_SCORES]
            record.files = {name: content for name, content in record.files.items() if name == TRACEBACK}
    return records


def record_lost_jobs(jobs: Sequence[Job], keep: Keep, error: str, trace: str = "") -> list[Record]:
    """Keep the jobs, whose training left no record, as FAILED runs, and return these."""
    records = [record_of(job, {Tag.ERROR: as_text(error).decode()[:5000]}) for job in jobs]
    for record in records:
        record.status = Status.FAILED
        if trace:
            record.files[TRACEBACK] = as_text(trace)
        record.close()
    keep(records)
    return records
