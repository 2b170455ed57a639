"""The trainings of a sweep, on worker processes or in this one: from jobs to records, told on a progress bar."""

import signal
import traceback
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.errors import BadInput
from zeroinit.progress import Bar
from zeroinit.sweep import runner
from zeroinit.sweep.messages import failure_line, new_warnings
from zeroinit.sweep.pool import Death, Message, Pool
from zeroinit.sweep.stacking import Training
from zeroinit.tracker import TRACEBACK, VAL_ACCURACY, Record, Tracker
from zeroinit.tracker.stale import ended_in, kill_dead_runs


class Task(NamedTuple):
    """The arguments of `runs.work` for one training."""

    jobs: list[Job]
    why: str
    sweep: str
    stacked: bool


class Trainings:
    """Jobs of a sweep, as planned to train together; `records`, by planned identity, are of those that have ended."""

    def __init__(
        self, jobs: Sequence[Job], planned: Sequence[Training], sweep: str, tracker: Tracker, bar: Bar
    ) -> None:
        self.tracker, self.bar = tracker, bar
        self.jobs = {job.config_hash: job for job in jobs}
        members = [[jobs[place] for place in training.jobs] for training in planned]
        self.tasks: list[Task | None] = [
            Task(some, training.why, sweep, len(some) > 1) for some, training in zip(members, planned, strict=True)
        ]
        self.records: dict[str, Record] = {}
        self.shown_lines: set[str] = set()  # of the runs' tags

    def train_here(self) -> None:
        """Train one task after the other in this process."""
        for index, task in enumerate(self.tasks):
            assert task
            try:
                records = runner.work(*task, tell=partial(self.show, index))
            except Exception:
                self.give_up(index, traceback.format_exc())
            else:
                self.end(index, records)

    def train_on(self, pool: Pool) -> None:
        """Train the tasks on the pool's workers."""
        with closing(pool.run(runner.work, self.tasks)) as messages:
            for message in messages:
                self.hear(message)

    def hear(self, message: Message) -> None:
        if message.kind == "at":
            self.show(message.place, message.content)
        elif message.kind == "done":
            for record in message.content:
                self.tracker.adopt(record)
            self.end(message.place, message.content)
        elif message.kind == "failed":
            self.give_up(message.place, message.content)
        else:
            self.recover(message.place, message.content, retried=message.kind == "retried")

    def show(self, index: int, content: tuple[float, float | None]) -> None:
        """Show how far a task is: the share of its steps, and a validation accuracy where it was taken."""
        task = self.tasks[index]
        self.bar.at(*content, index, len(task.jobs) if task else 1)

    def end(self, index: int, ended: Sequence[Record]) -> None:
        """Take the records of members of a task that have ended, and tell what is to be told of them."""
        for record in ended:
            # a worker that loaded other data has given the run another identity than the planned one
            job = self.jobs[record.tags["config_hash"]]
            self.records[identity_of(job)] = record
            for line in new_warnings(record, self.shown_lines):
                self.bar.tell(line)
            if record.status != "FINISHED":
                self.bar.tell(failure_line(job, record))
        self.bar.next(index, len(ended))

    def give_up(self, index: int, trace: str) -> None:
        """Mark the members of a task that raised as FAILED."""
        task = self.tasks[index]
        assert task
        self.end(index, runner.lost(task.jobs, self.tracker, trace.strip().splitlines()[-1], trace))

    def recover(self, index: int, death: Death, retried: bool) -> None:
        """Take the members of a task that had ended when its worker died; try the others once more, or give them up."""
        task = self.tasks[index]
        assert task
        ended = self.ended_before(death, task.jobs)
        identities = {record.identity for record in ended}
        left = [job for job in task.jobs if identity_of(job) not in identities]
        self.end(index, ended)
        error = f"its worker died ({describe_exit(death.exit_code)})"
        if not retried:
            self.end(index, runner.lost(left, self.tracker, error))
        elif not left:
            self.tasks[index] = None
        else:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            rest = f"; {len(ended)} of its runs had ended and are kept" if ended else ""
            self.bar.tell(f"tried once more: {' '.join(left[0].overrides)}{more}: {error}{rest}")
            why = f"{len(left)} left of {task.why}" if ended else task.why
            self.tasks[index] = task._replace(jobs=left, why=why)

    def ended_before(self, death: Death, jobs: Iterable[Job]) -> list[Record]:
        """Return the records of the jobs that a worker had brought to their end; mark what it left as KILLED."""
        try:
            kill_dead_runs(self.tracker, trains_here=True)
            ended = ended_in(death.process, [identity_of(job) for job in jobs], self.tracker)
            self.tracker.load_histories(ended, [VAL_ACCURACY])
        except BadInput:  # the store does not answer; the next command reads what it has
            return []
        for record in ended:
            trace = self.tracker.read_file(record, TRACEBACK) if record.status == "FAILED" else None
            record.files |= {TRACEBACK: trace} if trace else {}
        return ended


def describe_exit(exit_code: int | None) -> str:
    """Return how a process ended, in words."""
    if exit_code is None:
        return "without an exit code"
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
