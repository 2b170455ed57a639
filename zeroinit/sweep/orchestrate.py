"""Trains a list of jobs, on worker processes or in this one, and returns their records."""

import signal
import traceback
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import NamedTuple

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.errors import BadInput, SweepEnded
from zeroinit.progress import Bar
from zeroinit.sweep import runner
from zeroinit.sweep.checkpoint import discard
from zeroinit.sweep.held import await_held, find_ended, find_held
from zeroinit.sweep.messages import failure_line, new_warnings
from zeroinit.sweep.pool import Death, Message, Pool
from zeroinit.sweep.resume import find_finished
from zeroinit.sweep.resumption import plan_all
from zeroinit.sweep.sender import Sender
from zeroinit.sweep.sweep_limits import SweepLimits
from zeroinit.tracker import Record, RunWriter, Status, Tracker
from zeroinit.tracker.scores import VAL_SCORES, ScoreValue
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag

NO_TASK = -1  # the number of the task of a run that another process has trained


def orchestrate(
    jobs: Sequence[Job], tracker: Tracker, pool: Pool | None = None, limits: SweepLimits | None = None
) -> list[Record]:
    """Train the jobs, in stacks, under a progress bar.

    A job that fails is reported in a line at once, and the others go on. Runs that another process trains are not
    trained here; their records are taken from the store when they have ended.

    Args:
        jobs: Checked jobs (zeroinit.sweep.checks), in any order.
        tracker: The open tracker of the jobs.
        pool: The worker processes that train; None trains in this process.
        limits: What ends the sweep early, and the memory of its workers.

    Returns:
        The records in the order of the jobs. If the tracker is persistent, a record has only the values of the
        validation score, and of the files only a traceback; the rest is in the store.

    Raises:
        BadInput: The store does not take the runs; they are in the spool.
        SweepEnded: A limit ends the sweep; what is finished is in the store.
    """
    spool = Spool.for_tracker(tracker)
    with Bar(len(jobs)) as bar, Sender(tracker, spool, lambda line: bar.print_line(f"zeroinit: {line}")) as sender:
        training = _Training(jobs, tracker, spool, bar, pool, limits or SweepLimits())
        try:
            training.train(jobs)
            while training.held:
                training.train(training.await_held())  # of what a process left that was killed
        except SweepEnded as end:
            sender.finish()
            end.finished = training.count_finished()
            raise
        except BadInput:  # the store does not answer, so the runs that ended here may not be stored, either
            sender.finish()
            raise
        sender.finish()
    return [training.records[identity_of(job)] for job in jobs]


def orchestrate_missing(
    jobs: Sequence[Job], tracker: Tracker, pool: Pool | None = None, limits: SweepLimits | None = None
) -> list[Record]:
    """Do what `orchestrate` does, but take the records of runs that were trained before from the store."""
    finished = find_finished(jobs, tracker)
    discard(finished)  # a process may have died before it did so
    tracker.load_histories(list(finished.values()), VAL_SCORES)
    missing = [job for job in jobs if identity_of(job) not in finished]
    trained = orchestrate(missing, tracker, pool, limits)
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
    stacked: bool
    tracker: RunWriter
    spool: Spool


class _Training:
    """The stacks of a sweep while they train.

    Attributes:
        records: {planned identity: record} of the runs that ended.
        held: The jobs that another process trains.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        tracker: Tracker,
        spool: Spool,
        bar: Bar,
        pool: Pool | None,
        limits: SweepLimits,
    ) -> None:
        self.records: dict[str, Record] = {}
        self.held: list[Job] = []
        self._tracker, self._spool, self._bar, self._pool = tracker, spool, bar, pool
        self._limits = limits
        self._keep = spool.write if tracker.is_persistent else runner.ignore
        self._jobs = {job.config_hash: job for job in jobs}
        self._tasks: list[_Task | None] = []
        self._shown_warnings: set[str] = set()
        self._is_waiting_announced = False

    def train(self, jobs: Sequence[Job]) -> None:
        """Train the jobs, in stacks."""
        stacks, lines = plan_all(jobs, self._pool.workers if self._pool else 1)
        for line in lines:
            self._bar.print_line(line)
        self._tasks = [
            _Task(members, stack.reason, stack.is_stack or len(members) > 1, self._tracker, self._spool)
            for stack in stacks
            for members in [[jobs[index] for index in stack.jobs]]
        ]
        if self._pool:
            self._train_on(self._pool)
        else:
            self._train_here()

    def count_finished(self) -> int:
        """Return how many runs have finished, with those of stacks that were interrupted."""
        ended = [*self.records.values(), *self._ended_before(self._jobs.values())]
        return len({record.identity for record in ended if record.status == Status.FINISHED})

    def _train_here(self) -> None:
        """Train one stack after the other in this process."""
        for index, task in enumerate(self._tasks):
            assert task
            try:
                records = runner.run_in_worker(*task, partial(self._show_progress, index))
            except Exception:
                self._give_up(index, traceback.format_exc())
            else:
                self._end(index, records)

    def _train_on(self, pool: Pool) -> None:
        """Train the stacks on the workers of the pool."""
        watch = self._limits.watch(task.jobs for task in self._tasks if task)
        with closing(pool.run(runner.run_in_worker, self._tasks, watch)) as messages:
            for message in messages:
                self._handle(message)

    def await_held(self) -> list[Job]:
        """Wait for the held runs, and take those that ended. Return those that nobody trains any more."""
        if not self._is_waiting_announced:
            runs = "1 run is" if len(self.held) == 1 else f"{len(self.held)} runs are"
            self._bar.print_line(f"zeroinit: {runs} trained by another process; this command waits for the results")
            self._is_waiting_announced = True
        by_identity = {identity_of(job): job for job in self.held}
        ended, free = await_held(by_identity, self._tracker, self._spool, self._limits.deadline.check)
        left = by_identity.keys() - free - {record.identity for record in ended}
        self.held = [job for identity, job in by_identity.items() if identity in left]
        self._end(NO_TASK, ended)
        return [job for identity, job in by_identity.items() if identity in free]

    def _handle(self, message: Message) -> None:
        if message.kind == "progress":
            self._show_progress(message.index, message.content)
        elif message.kind == "done":
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
        # a worker that loaded other data has given a run another identity than the planned one
        self.held += [self._jobs[record.tags[Tag.CONFIG_HASH]] for record in records if record.status == Status.HELD]
        ended = [record for record in records if record.status != Status.HELD]
        if not self._tracker.is_persistent:
            self._tracker.write(ended)
        for record in ended:
            job = self._jobs[record.tags[Tag.CONFIG_HASH]]
            self.records[identity_of(job)] = record
            for line in new_warnings(record, self._shown_warnings):
                self._bar.print_line(line)
            if record.status != Status.FINISHED:
                self._bar.print_line(failure_line(job, record))
        self._bar.finish(index, len(ended))
        self._limits.fail_fast.note(ended)

    def _give_up(self, index: int, trace: str) -> None:
        """Mark the members of a task that raised as FAILED, but for those that had ended."""
        self._fail(index, self._take_ended(index), trace.strip().splitlines()[-1], trace)

    def _recover(self, index: int, death: Death, is_retried: bool) -> None:
        """Take the members of a task that had ended when its worker died. Retry the others once, or give them up."""
        task = self._tasks[index]
        assert task
        left = self._take_ended(index)
        error = death.reason or f"its worker died ({_describe_exit(death.exit_code)})"
        if not is_retried:
            self._fail(index, left, error)
        elif not left:
            self._tasks[index] = None
        else:
            ended = len(task.jobs) - len(left)
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            rest = f"; {ended} of its runs had ended and are kept" if ended else ""
            self._bar.print_line(f"tried once more: {' '.join(left[0].overrides)}{more}: {error}{rest}")
            reason = f"{len(left)} left of {task.reason}" if ended else task.reason
            self._tasks[index] = task._replace(jobs=left, reason=reason)

    def _take_ended(self, index: int) -> list[Job]:
        """Take the members of a task that ended, and return the others."""
        task = self._tasks[index]
        assert task
        ended = self._ended_before(task.jobs)
        identities = {record.identity for record in ended}
        discard(identities)
        self._end(index, ended)
        return [job for job in task.jobs if identity_of(job) not in identities]

    def _fail(self, index: int, jobs: Sequence[Job], error: str, trace: str = "") -> None:
        """Mark jobs of a task as FAILED, but for those that another process trains."""
        held: set[str] = set()
        with suppress(BadInput):  # the store does not answer
            held = find_held(self._tracker)
        self.held += [job for job in jobs if identity_of(job) in held]
        lost = [job for job in jobs if identity_of(job) not in held]
        self._end(index, runner.record_lost_jobs(lost, self._keep, error, trace))

    def _ended_before(self, jobs: Iterable[Job]) -> list[Record]:
        """Return the records of the jobs that ended before their worker died; of the spool alone if the store fails."""
        identities = [identity_of(job) for job in jobs]
        in_spool = self._spool.find(identities)
        with suppress(BadInput):
            return find_ended(identities, self._tracker, self._spool)
        return in_spool


def _describe_exit(exit_code: int | None) -> str:
    """Return how a process ended, in words."""
    if exit_code is None:
        return "without an exit code"
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
