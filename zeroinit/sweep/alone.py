"""Trains a single run, and has it stored."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import NoReturn

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.errors import BadInput, TimeOver
from zeroinit.progress import Bar
from zeroinit.sweep.held import await_held
from zeroinit.sweep.run_timer import time_run
from zeroinit.sweep.runner import record_lost_jobs, run_jobs
from zeroinit.sweep.sender import Sender
from zeroinit.tracker import Record, Status, Tracker
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.stale import mark_dead_runs


def train_alone(job: Job, tracker: Tracker, spool: Spool, bar: Bar, is_stacked: bool) -> Record:
    """Train a job, or wait for the process that trains it already.

    A run that takes longer than time_limit.run is FAILED, and ends the process if nothing else can.

    Raises:
        BadInput: The store does not take the run; it is in the spool.
    """

    def write_line(line: str) -> None:
        bar.print_line(f"zeroinit: {line}")

    def train() -> Record:
        try:
            with time_run(job.config.limits.run, give_up):
                [record] = run_jobs([job], tracker, bar.advance, "a single run", is_stacked, keep)
        except TimeOver as error:  # before the training, or after it
            [record] = kept or record_lost_jobs([job], keep, str(error))
        return record

    def give_up(error: str) -> bool:
        if not settled.acquire(blocking=False):  # the run has ended, and is being kept
            return False
        sys.stderr.write(f"zeroinit: {job.name}: {error}\n")
        record_lost_jobs([job], keep, error)
        try:
            sender.finish()
            mark_dead_runs(tracker, trains_here=False)  # the row that was RUNNING
        except BadInput as unsent:
            sys.stderr.write(f"zeroinit: {unsent}\n")
        return True

    def keep(records: Sequence[Record]) -> None:
        if records and not settled.acquire(blocking=False):
            _wait_for_end_of_process()  # another thread has given the run up
        if tracker.is_persistent:
            spool.write(records)
        kept.extend(records)

    kept: list[Record] = []
    settled = threading.RLock()  # the thread that holds it says how the run ended; it is never released
    with Sender(tracker, spool, write_line) as sender:
        while (record := train()).status == Status.HELD:
            write_line("the run is trained by another process; this command waits for its result")
            ended, _ = await_held([identity_of(job)], tracker, spool)
            if ended:
                return ended[0]
        if tracker.is_persistent:
            sender.finish()
        else:
            tracker.write([record])
    return record


def _wait_for_end_of_process() -> NoReturn:
    while True:
        time.sleep(1)
