"""Trains a single run, and has it stored."""

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.progress import Bar
from zeroinit.sweep.held import await_held
from zeroinit.sweep.runner import ignore, run_jobs
from zeroinit.sweep.sender import Sender
from zeroinit.tracker import Record, Status, Tracker
from zeroinit.tracker.spool import Spool


def train_alone(job: Job, tracker: Tracker, spool: Spool, bar: Bar, is_stacked: bool) -> Record:
    """Train a job, or wait for the process that trains it already.

    Raises:
        BadInput: The store does not take the run; it is in the spool.
    """

    def write_line(line: str) -> None:
        bar.print_line(f"zeroinit: {line}")

    with Sender(tracker, spool, write_line) as sender:
        while True:
            keep = spool.write if tracker.is_persistent else ignore
            [record] = run_jobs([job], tracker, bar.advance, "a single run", is_stacked, keep)
            if record.status != Status.HELD:
                break
            write_line("the run is trained by another process; this command waits for its result")
            ended, _ = await_held([identity_of(job)], tracker, spool)
            if ended:
                return ended[0]
        if tracker.is_persistent:
            sender.finish()
        else:
            tracker.write([record])
    return record
