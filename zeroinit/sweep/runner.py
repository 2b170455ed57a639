"""Jobs that train together: data, models, inits, optimizers, loop, tracker, from their configs to their records."""

import time
from collections.abc import Callable, Sequence

from zeroinit.build import identity_of, open_tracker
from zeroinit.config import Job
from zeroinit.environment import environment
from zeroinit.process import current_process
from zeroinit.signals import hold_signals
from zeroinit.sweep.failures import as_text, mark_failed, write_end
from zeroinit.sweep.hooks import train_in_folders
from zeroinit.sweep.session import Session
from zeroinit.tracker import TRACEBACK, VAL_ACCURACY, Record, Tracker
from zeroinit.tracker.provenance import command_tag, provenance

REPORT_SECONDS = 0.2  # between two reports of how far a training is


def run(
    jobs: Sequence[Job],
    tracker: Tracker,
    tell: Callable[[float, float | None], None],
    why: str = "a single run",
    stacked: bool = False,
) -> list[Record]:
    """Data, models, inits, optimizers, loop, tracker: jobs that train together, from their configs to their records.

    `tell` hears the share of the steps done, and a validation accuracy where it is taken. A run that diverges is
    FAILED, and so is one that raises, or calls sys.exit, with its traceback among the files; one that is interrupted is
    written as KILLED before KeyboardInterrupt goes on. `why` they train together, or alone, is kept as a tag. A
    `stacked` job is the last of a stack whose others have ended: it has the bits that it would have had among them.
    """
    plan = {"stack": str(len(jobs)), "plan": why}
    records = [record_of(job, plan) for job in jobs]
    try:
        for record in records:
            with hold_signals():
                tracker.begin(record)
        session = Session(jobs[0].values, tracker, tell)
        for job, record in zip(jobs, records, strict=True):
            session.add(job, record)
        session.train(stacked or len(jobs) > 1)
    except BaseException as error:
        for record in records:
            if record.status == "RUNNING":
                mark_failed(record, error)
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        with hold_signals():
            for record in records:
                if not record.ended:
                    write_end(record, tracker)
    return records


def record_of(job: Job, tags: dict[str, str]) -> Record:
    identifying = {
        "identity": identity_of(job),
        "config_hash": job.config_hash,
        "cell_hash": job.cell_hash,
        "arithmetic": job.values["arithmetic"],
    }
    if size := size_of(job):
        identifying["size"] = size
    return Record(job.name, job.params, provenance() | command_tag() | current_process().tags() | identifying | tags)


def size_of(job: Job) -> str:
    """The option of `size`, and what was typed in the place of what it sets; images of one's own may be any.

    Empty of a job without one, or of one that has no name.
    """
    if not job.values.get("size", {}).get("name"):
        return ""
    size, data, dataset = job.values["size"], job.values["dataset"], job.params["dataset"]
    changed = {
        "dataset": None if dataset in (size.get("mnist"), size.get("cifar10"), "image_folder") else dataset,
        "limit": None if data["limit"] == size.get("limit") else data["limit"],
        "resize": None if data["resize"] == size.get("pixels") else data["resize"],
        "epochs": None if job.values["epochs"] == size.get("epochs") else job.values["epochs"],
        "steps": job.values["steps"] if any(line.startswith("steps=") for line in job.overrides) else None,
    }
    return ", ".join([size["name"], *(f"{key}={value}" for key, value in changed.items() if value is not None)])


def work(
    jobs: Sequence[Job], why: str, sweep: str, stacked: bool, tell: Callable[[tuple[float, float | None]], None]
) -> list[Record]:
    """One training of a sweep, in whatever process: its records, of which what the store keeps is left out.

    Writes the config of each job to its folder first; a job whose folder cannot be written to fails alone. `tell` hears
    of the training a few times a second.
    """
    reported, last = 0.0, None

    def report_now_and_then(share: float, accuracy: float | None) -> None:
        nonlocal reported, last
        last = last if accuracy is None else accuracy
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            tell((share, last))
            last = None

    with environment(jobs[0].variables):
        tracker = open_tracker(jobs[0], sweep)
    records = train_in_folders(
        jobs,
        lambda some: run(some, tracker, report_now_and_then, why, stacked),
        lambda job, reason: lost([job], tracker, reason)[0],
    )
    tell((1.0, last))
    if tracker.is_persistent:
        for record in records:
            record.metrics = [point for point in record.metrics if point[0] == VAL_ACCURACY]
            record.files = {name: content for name, content in record.files.items() if name == TRACEBACK}
    return records


def lost(jobs: Sequence[Job], tracker: Tracker, error: str, trace: str = "") -> list[Record]:
    """Jobs whose training is gone without a record, as runs that FAILED."""
    records = [record_of(job, {"error": as_text(error).decode()[:5000]}) for job in jobs]
    for record in records:
        if trace:
            record.files[TRACEBACK] = as_text(trace)
        try:
            tracker.begin(record)
        except Exception as gone:  # the store is, too; it is told all the same
            mark_failed(record, gone)
        record.status = "FAILED"
        write_end(record, tracker)
    return records
