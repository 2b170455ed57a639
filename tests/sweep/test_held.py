"""Runs that another process trains: they are waited for, and trained here if that process dies."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Ended
from helpers.stored_runs import end, runs

from zeroinit import build
from zeroinit.config import Job
from zeroinit.errors import BadInput
from zeroinit.process import Process, current_process, process_of_pid
from zeroinit.progress import Bar
from zeroinit.sweep.held import find_held
from zeroinit.sweep.orchestrate import _Task, _Training
from zeroinit.sweep.pool import Death
from zeroinit.sweep.runner import record_of
from zeroinit.sweep.sweep_limits import SweepLimits
from zeroinit.tracker import Record
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag

pytestmark = pytest.mark.usefixtures("database")

Command = Callable[..., Ended]
QUICK = ("dataset=digits", "arch=logistic", "steps=5", "probe=none")


def at_first_look(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Do something when the command has looked once, and waits."""
    monkeypatch.setattr("zeroinit.sweep.held.time", SimpleNamespace(sleep=lambda seconds: action()))


def claim(job: Job, sweep: str, process: Process) -> tuple[Mlflow, Record]:
    """Have another process claim the run of a job."""
    tracker = Mlflow(None)
    tracker.open(sweep)
    record = record_of(job, process.tags())
    assert tracker.claim([record]) == []
    return tracker, record


def finish(tracker: Mlflow, record: Record) -> None:
    record.status = "FINISHED"
    record.metrics = [("val/accuracy", 0.5, 5), ("test/accuracy", 0.25, 5), ("test/loss", 1.0, 5)]
    record.tags |= {Tag.OUTCOME: "learned", Tag.OUTCOME_REASON: "it did", Tag.LAST_STEP: "5"}
    end(tracker, record)


@pytest.mark.parametrize("words", [(), ("-m", "seed=0,1")])
def test_the_result_of_another_process_is_taken(
    words: tuple[str, ...], zeroinit: Command, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = "sweep" if words else "zeroinit"
    tracker, record = claim(job_of(*QUICK), sweep, process_of_pid(os.getppid()))
    at_first_look(monkeypatch, lambda: finish(tracker, record))
    ended = zeroinit(*words, *QUICK)
    assert ended.code == 0, ended.err
    assert "trained by another process; this command waits for" in ended.err
    stored = runs(sweep)
    assert [run.info.status for run in stored] == ["FINISHED"] * (2 if words else 1)
    assert sum(run.data.metrics["test/accuracy"] == 0.25 for run in stored) == 1
    if not words:
        assert "test accuracy 25.0%" in ended.out


@pytest.mark.parametrize("words", [(), ("-m", "seed=0,1")])
def test_a_run_is_trained_here_once_the_other_process_has_died(
    words: tuple[str, ...], zeroinit: Command, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = "sweep" if words else "zeroinit"
    elsewhere = replace(process_of_pid(os.getppid()), host="another")
    tracker, record = claim(job_of(*QUICK), sweep, elsewhere)

    def expire() -> None:
        tracker.client.set_tag(record.run_id, Tag.LEASE, str(int(time.time()) - 1))

    at_first_look(monkeypatch, expire)
    ended = zeroinit(*words, *QUICK)
    assert ended.code == 0, ended.err
    statuses = sorted(run.info.status for run in runs(sweep))
    assert statuses == (["FINISHED", "FINISHED", "KILLED"] if words else ["FINISHED", "RUNNING"])


def test_a_store_that_fails_while_runs_are_awaited_ends_the_command_with_1(
    zeroinit: Command, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with 2, as the other runs were trained."""
    claim(job_of(*QUICK), "sweep", process_of_pid(os.getppid()))

    def fail(tracker: Mlflow) -> list[Record]:
        raise BadInput("the store: its runs cannot be read")

    at_first_look(monkeypatch, lambda: monkeypatch.setattr(Mlflow, "find_running", fail))
    ended = zeroinit("-m", *QUICK, "seed=0,1")
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "zeroinit: the store: its runs cannot be read")


def test_runs_of_another_sweep_are_not_awaited(job_of: Callable[..., Job]) -> None:
    tracker, record = claim(job_of(*QUICK), "other", process_of_pid(os.getppid()))
    assert find_held(tracker) == {record.identity}
    mine = Mlflow(None)
    mine.open("sweep")
    assert find_held(mine) == set()


def test_a_member_that_another_process_trains_does_not_fail_with_its_stack(job_of: Callable[..., Job]) -> None:
    """Its worker exceeded the time limit, or died twice."""
    jobs = [job_of(*QUICK), job_of(*QUICK, "seed=1")]
    tracker, _ = claim(jobs[0], "sweep", process_of_pid(os.getppid()))
    training = _Training(jobs, tracker, Spool.for_tracker(tracker), Bar(2), None, SweepLimits())
    training._tasks = [_Task(jobs, "2", True, tracker, Spool.for_tracker(tracker))]
    training._recover(0, Death(current_process(), -9), is_retried=False)
    assert training.held == jobs[:1]
    assert [record.status for record in training.records.values()] == ["FAILED"]


def test_runs_of_a_stack_that_was_interrupted_count_as_finished(job_of: Callable[..., Job]) -> None:
    jobs = [job_of(*QUICK, f"seed={seed}") for seed in range(3)]
    tracker = Mlflow(None)
    tracker.open("sweep")
    training = _Training(jobs, tracker, Spool.for_tracker(tracker), Bar(3), None, SweepLimits())
    finish(tracker, record_of(jobs[0], {}))
    record = record_of(jobs[1], {})
    record.status = "FINISHED"
    training.records = {record.identity: record}
    assert training.count_finished() == 2


def test_a_claim_is_for_one_process(job_of: Callable[..., Job]) -> None:
    job = job_of(*QUICK)
    tracker, record = claim(job, "sweep", process_of_pid(os.getppid()))
    mine = Mlflow(None)
    mine.open("sweep")
    again = record_of(job, {})
    assert mine.claim([again]) == [again]
    assert [run.info.run_id for run in runs()] == [record.run_id]
    finish(tracker, record)
    assert mine.claim([again]) == [again]  # it ended since `mine` was opened
    assert [run.run_id for run in mine.find_ended([build.identity_of(job)])] == [record.run_id]
    later = Mlflow(None)
    time.sleep(0.01)
    later.open("sweep")
    assert later.claim([again]) == []  # as with rerun=true
    assert Path("mlruns/mlflow.db").is_file()


def test_runs_in_the_spool_count_although_the_store_does_not_answer(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker that died."""
    job = job_of(*QUICK)
    tracker = Mlflow(None)
    tracker.open("sweep")
    spool = Spool.for_tracker(tracker)
    record = record_of(job, {})
    record.status = "FINISHED"
    record.close()
    spool.write([record])

    def fail(*arguments: object) -> None:
        raise BadInput("the runs cannot be read back")

    monkeypatch.setattr(tracker, "find_ended", fail)
    training = _Training([job, job_of(*QUICK, "seed=1")], tracker, spool, Bar(2), None, SweepLimits())
    ended = training._ended_before([job, job_of(*QUICK, "seed=1")])
    assert [run.run_id for run in ended] == [record.run_id]
