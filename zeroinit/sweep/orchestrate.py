"""Trains a list of jobs, on worker processes or in this one, and returns their records."""

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
from zeroinit.sweep.checkpoint import discard
from zeroinit.sweep.messages import failure_line, new_warnings
from zeroinit.sweep.pool import Death, Message, Pool
from zeroinit.sweep.resume import find_finished
from zeroinit.sweep.resumption import plan_all
from zeroinit.sweep.stacking import StackPlan
from zeroinit.tracker import TRACEBACK, Record, Status, Tracker
from zeroinit.tracker.scores import VAL_SCORES, ScoreValue
from zeroinit.tracker.stale import find_ended_in, kill_dead_runs
from zeroinit.tracker.tags import Tag


def orchestrate(jobs: Sequence[Job], tracker: Tracker, sweep: str, pool: Pool | None = None) -> list[Record]:
    """Train the jobs, in stacks, under a progress bar.

    A job that fails is reported in a line at once, and the others go on.

    Args:
        jobs: Checked jobs (zeroinit.sweep.checks), in any order.
        tracker: The open tracker of the jobs; the processes that train open their own.
        sweep: The name of the sweep of jobs whose config names none.
        pool: The worker processes that train; None trains in this process.

    Returns:
        The records in the order of the jobs. If the tracker is persistent, a record has only the values of the
        validation score, and of the files only a traceback; the rest is in the store.
    """
    with Bar(len(jobs)) as bar:
        stacks, lines = plan_all(jobs, pool.workers if pool else 1)
        for line in lines:
            bar.print_line(line)
        training = _Training(jobs, stacks, sweep, tracker, bar)
        if pool:
            training.train_on(pool)
        else:
            training.train_here()
    return [training.records[identity_of(job)] for job in jobs]


def orchestrate_missing(jobs: Sequence[Job], tracker: Tracker, sweep: str, pool: Pool | None = None) -> list[Record]:
    """Do what `orchestrate` does, but take the records of runs that were trained before from the store."""
    finished = find_finished(jobs, tracker)
    discard(finished)  # a process may have died before it did so
    tracker.load_histories(list(finished.values()), VAL_SCORES)
    missing = [job for job in jobs if identity_of(job) not in finished]
    trained = orchestrate(missing, tracker, sweep, pool)
    records = finished | {identity_of(job): record for job, record in zip(missing, trained, strict=True)}
    return [records[identity_of(job)] for job in jobs]


def use_one_gpu_worker(jobs: Sequence[Job], pool: Pool) -> None:
    """Limit the pool to one worker if the jobs train on CUDA, so that it has the memory to itself."""
    if jobs[0].config.device.type == "cuda":
        pool.workers = 1


class _Task(NamedTuple):
    """The arguments of `runner.run_in_worker` for a stack, but for the last."""

    jobs: list[Job]
    reason: str
    sweep: str
    stacked: bool


class _Training:
    """The stacks of a sweep while they train; `records` has those of the runs that ended, by planned identity."""

    def __init__(
        self, jobs: Sequence[Job], stacks: Sequence[StackPlan], sweep: str, tracker: Tracker, bar: Bar
    ) -> None:
        self.records: dict[str, Record] = {}
        self._tracker, self._bar = tracker, bar
        self._jobs = {job.config_hash: job for job in jobs}
        members = [[jobs[index] for index in stack.jobs] for stack in stacks]
        self._tasks: list[_Task | None] = [
            _Task(group, stack.reason, sweep, stack.is_stack or len(group) > 1)
            for group, stack in zip(members, stacks, strict=True)
        ]
        self._shown_warnings: set[str] = set()

    def train_here(self) -> None:
        """Train one stack after the other in this process."""
        for index, task in enumerate(self._tasks):
            assert task
            try:
                records = runner.run_in_worker(*task, partial(self._show_progress, index))
            except Exception:
                self._give_up(index, traceback.format_exc())
            else:
                self._end(index, records)

    def train_on(self, pool: Pool) -> None:
        """Train the stacks on the workers of the pool."""
        with closing(pool.run(runner.run_in_worker, self._tasks)) as messages:
            for message in messages:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        if message.kind == "progress":
            self._show_progress(message.index, message.content)
        elif message.kind == "done":
            for record in message.content:
                self._tracker.adopt(record)
            self._end(message.index, message.content)
        elif message.kind == "failed":
            self._give_up(message.index, message.content)
        else:
            self._recover(message.index, message.content, is_retried=message.kind == "retried")

    def _show_progress(self, index: int, content: tuple[float, ScoreValue | None]) -> None:
        """Show the share of a task's steps that is done, and its validation score if it was just measured."""
        task = self._tasks[index]
        self._bar.advance(*content, index, len(task.jobs) if task else 1)

    def _end(self, index: int, records: Sequence[Record]) -> None:
        """Take the records of members of a task that ended, and print their warnings and failures."""
        for record in records:
            # a worker that loaded other data has given the run another identity than the planned one
            job = self._jobs[record.tags[Tag.CONFIG_HASH]]
            self.records[identity_of(job)] = record
            for line in new_warnings(record, self._shown_warnings):
                self._bar.print_line(line)
            if record.status != Status.FINISHED:
                self._bar.print_line(failure_line(job, record))
        self._bar.finish(index, len(records))

    def _give_up(self, index: int, trace: str) -> None:
        """Mark the members of a task that raised as FAILED."""
        task = self._tasks[index]
        assert task
        self._end(index, runner.record_lost_jobs(task.jobs, self._tracker, trace.strip().splitlines()[-1], trace))

    def _recover(self, index: int, death: Death, is_retried: bool) -> None:
        """Take the members of a task that had ended when its worker died. Retry the others once, or give them up."""
        task = self._tasks[index]
        assert task
        ended = self._ended_before(death, task.jobs)
        identities = {record.identity for record in ended}
        left = [job for job in task.jobs if identity_of(job) not in identities]
        self._end(index, ended)
        error = f"its worker died ({_describe_exit(death.exit_code)})"
        if not is_retried:
            self._end(index, runner.record_lost_jobs(left, self._tracker, error))
        elif not left:
            self._tasks[index] = None
        else:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            rest = f"; {len(ended)} of its runs had ended and are kept" if ended else ""
            self._bar.print_line(f"tried once more: {' '.join(left[0].overrides)}{more}: {error}{rest}")
            reason = f"{len(left)} left of {task.reason}" if ended else task.reason
            self._tasks[index] = task._replace(jobs=left, reason=reason)

    def _ended_before(self, death: Death, jobs: Iterable[Job]) -> list[Record]:
        """Return the records of the jobs that a worker brought to their end; mark its other runs as KILLED."""
        try:
            kill_dead_runs(self._tracker, trains_here=True)
            ended = find_ended_in(death.process, [identity_of(job) for job in jobs], self._tracker)
            self._tracker.load_histories(ended, VAL_SCORES)
        except BadInput:  # the store does not answer; the next command reads what it has
            return []
        for record in ended:
            trace = self._tracker.read_file(record, TRACEBACK) if record.status == Status.FAILED else None
            record.files |= {TRACEBACK: trace} if trace else {}
        return ended


def _describe_exit(exit_code: int | None) -> str:
    """Return how a process ended, in words."""
    if exit_code is None:
        return "without an exit code"
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
