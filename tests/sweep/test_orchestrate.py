"""Jobs to records without Hydra: in this process and on workers."""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zeroinit import build
from zeroinit.config import Job
from zeroinit.errors import Ended
from zeroinit.process import current_process
from zeroinit.report.manifest import Manifest
from zeroinit.sweep import grid, runner
from zeroinit.sweep.checks import check_jobs
from zeroinit.sweep.command import Command
from zeroinit.sweep.fail_fast import FailFast
from zeroinit.sweep.grid import _train_missing
from zeroinit.sweep.orchestrate import orchestrate, orchestrate_missing
from zeroinit.sweep.pool import Death, Message, Pool
from zeroinit.sweep.sweep_limits import SweepLimits
from zeroinit.sweep.watch import Watch
from zeroinit.tracker import Record, Tracker
from zeroinit.tracker.memory import Off

pytestmark = pytest.mark.usefixtures("database")

QUICK = ("dataset=digits", "arch=logistic", "steps=5", "probe=none")
PICKY = """
import os

def weight(tensor, value):
    if value == 2 and os.path.exists("armed"):
        raise ArithmeticError("two is too much")
    tensor.fill_(value)
"""


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool(2)


@pytest.fixture
def jobs_of(job_of: Callable[..., Job]) -> Callable[..., list[Job]]:
    """Checked jobs, one for each of some overrides, each with a folder of its own."""

    def jobs(*changes: str) -> list[Job]:
        made = [
            # absolute, as an idle worker of the pool stays in the folder in which it began
            replace(job_of(*QUICK, *change.split()), folder=str(Path.cwd() / f"jobs/{index}"))
            for index, change in enumerate(changes)
        ]
        check_jobs(made)
        return made

    return jobs


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each training of this process has had."""
    counts: list[int] = []
    real = runner.run_jobs

    def count(jobs: list[Job], *rest: object, **named: object) -> list[Record]:
        counts.append(len(jobs))
        return real(jobs, *rest, **named)

    monkeypatch.setattr(runner, "run_jobs", count)
    return counts


def tracker_of(jobs: list[Job]) -> Tracker:
    """A tracker that is opened now: runs that end later are not trained again."""
    build.open_cached.cache_clear()
    return build.open_tracker(jobs[0], "sweep")


@pytest.mark.parametrize("workers", [1, 2])
def test_records_come_in_the_order_of_the_jobs(workers: int, jobs_of: Callable[..., list[Job]], pool: Pool) -> None:
    """The work is planned in another order: the longest first, and equal optimizers together."""
    jobs = jobs_of("seed=1", "steps=40", "optimizer=sgd", "seed=0", "optimizer.lr=0.5")
    records = orchestrate(jobs, tracker_of(jobs), pool if workers > 1 else None)
    assert [record.status for record in records] == ["FINISHED"] * 5
    assert [record.identity for record in records] == [build.identity_of(job) for job in jobs]
    assert all(record.history("val/accuracy") for record in records)
    assert all(Path(job.folder, ".hydra/config.yaml").is_file() for job in jobs)


def test_workers_and_this_process_give_the_same_runs(jobs_of: Callable[..., list[Job]], pool: Pool) -> None:
    jobs = jobs_of("seed=0", "seed=1", "seed=2", "seed=3")
    here = orchestrate(jobs, tracker_of(jobs))
    there = orchestrate(jobs, tracker_of(jobs), pool)
    assert [record.metrics for record in here] == [record.metrics for record in there]
    assert {record.tags["stack_size"] for record in here} == {"4"}
    assert {record.tags["stack_size"] for record in there} == {"2"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_fails_alone(
    workers: int,
    jobs_of: Callable[..., list[Job]],
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Although it trains in a stack with the others; the failure is printed in one line."""
    Path("picky.py").write_text(PICKY)
    monkeypatch.syspath_prepend(Path.cwd())
    rule = "init.weight._target_=picky.weight +init.weight.value=%d"
    jobs = jobs_of(*(rule % value for value in (1, 2, 3)))
    Path("armed").touch()
    fresh = Pool(2) if workers > 1 else None  # they have the folder and the path of their start
    records = orchestrate(jobs, tracker_of(jobs), fresh)
    assert [record.status for record in records] == ["FINISHED", "FAILED", "FINISHED"]
    assert "two is too much" in records[1].tags["error"]
    [line] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert "two is too much" in line


def test_a_job_whose_folder_cannot_be_written_fails_alone(jobs_of: Callable[..., list[Job]]) -> None:
    jobs = jobs_of("seed=0", "seed=1")
    Path("jobs").mkdir()
    Path(jobs[0].folder).write_text("a file")
    records = orchestrate(jobs, tracker_of(jobs))
    assert [record.status for record in records] == ["FAILED", "FINISHED"]
    assert f"its folder {Path.cwd()}/jobs/0 cannot be written to" in records[0].tags["error"]


def test_a_tracker_in_memory_leaves_all_metrics_in_the_records(jobs_of: Callable[..., list[Job]]) -> None:
    jobs = [
        replace(job, values=job.values | {"tracker": {"_target_": "zeroinit.tracker.memory.Off"}})
        for job in jobs_of("seed=0", "seed=1")
    ]
    tracker = tracker_of(jobs)
    assert isinstance(tracker, Off)
    records = orchestrate(jobs, tracker)
    assert all(record.history("test/accuracy") and record.history("train/loss") for record in records)
    assert {record.name for record in tracker.records()} == {record.name for record in records}


def test_what_was_trained_before_is_taken_from_the_store(jobs_of: Callable[..., list[Job]], trained: list[int]) -> None:
    """With each validation accuracy: the best one is the value of the run for an optimising sweeper."""
    jobs = jobs_of("seed=0", "seed=1", "seed=2")
    tracker = tracker_of(jobs)
    before = orchestrate(jobs[:2], tracker)
    del trained[:]
    records = orchestrate_missing([jobs[2], *jobs[:2]], tracker)
    assert trained == [1]
    assert [record.run_id for record in records[1:]] == [record.run_id for record in before]
    histories = [[record.history("val/accuracy") for record in some] for some in (before, records[1:])]
    assert histories[0] == histories[1]
    del trained[:]
    assert [record.status for record in orchestrate(jobs, tracker)] == ["FINISHED"] * 3
    assert sum(trained) == 3  # without a look into the store


def test_a_job_that_is_given_twice_has_a_record_for_each(jobs_of: Callable[..., list[Job]]) -> None:
    """As a search may ask twice for the same values."""
    jobs = jobs_of("seed=0") * 2
    first, second = orchestrate_missing(jobs, tracker_of(jobs))
    assert first is second
    assert first.status == "FINISHED"


def test_no_jobs_have_no_records(jobs_of: Callable[..., list[Job]]) -> None:
    assert orchestrate([], tracker_of(jobs_of("seed=0"))) == []


def test_failures_alike_end_a_sweep(jobs_of: Callable[..., list[Job]], capfd: pytest.CaptureFixture[str]) -> None:
    """What else ends in the same stack is kept; the command says how many runs are done, and ends with code 1."""
    rates = (1e38, 2e38, 3e38, 5)  # in a stack they are in the order of their texts
    jobs = jobs_of(*(f"optimizer=sgd optimizer.lr={rate}" for rate in rates))
    tracker = tracker_of(jobs)
    limits = SweepLimits(FailFast(3))

    def train(indices: list[int]) -> bool:
        orchestrate([jobs[index] for index in indices], tracker, limits=limits)
        return True

    with pytest.raises(Ended, match="exit code 1"):
        _train_missing([0, 1, 2, 3], 9, train, tracker)
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("zeroinit: fail_fast=3: the first 3 runs failed in the same way (diverged: the loss is ")
    assert last.endswith("); 6 of 9 runs are done, and the same command goes on")
    assert sorted(record.status for record in tracker.records()) == ["FAILED"] * 3 + ["FINISHED"]


class FakePool(Pool):
    """Its worker is killed for a limit while it has the first task; the second task is done here."""

    def __init__(self) -> None:
        self.workers = 1
        self.timeouts: list[float | None] = []

    def run(self, function: Any, tasks: Any, watch: Watch | None = None) -> Generator[Message]:
        assert watch
        watch.start(1, 0)
        self.timeouts.append(watch.timeout)
        yield Message(0, "retried", Death(current_process(), -9, "hydra.launcher.memory=1GB: it had too much"))
        yield Message(0, "died", Death(current_process(), -9, "time_limit.run=5m: it took longer, and was ended"))
        yield Message(1, "done", function(*tasks[1], lambda content: None))


def test_a_run_that_is_killed_for_a_limit_is_failed_with_its_sentence(
    jobs_of: Callable[..., list[Job]], capfd: pytest.CaptureFixture[str]
) -> None:
    pool, jobs = FakePool(), jobs_of("steps=9 time_limit.run=5m", "steps=5 optimizer=sgd")
    records = orchestrate(jobs, tracker_of(jobs), pool, SweepLimits())
    assert [record.status for record in records] == ["FAILED", "FINISHED"]
    assert records[0].tags["error"] == "time_limit.run=5m: it took longer, and was ended"
    assert pool.timeouts == [pytest.approx(300, abs=5)]
    lines = [line.split(": ", 1) for line in capfd.readouterr().err.splitlines() if "limit" in line or "memory" in line]
    assert [line[0] for line in lines] == ["tried once more", "failed"]
    assert lines[0][1].endswith("hydra.launcher.memory=1GB: it had too much")


def test_a_run_that_another_command_ended_while_this_one_started_counts(
    jobs_of: Callable[..., list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended after this command looked for finished runs, and before this command began to train."""

    def find_none_and_train(jobs: list[Job], tracker: Tracker) -> dict[str, Record]:
        orchestrate(jobs, tracker)
        return {}

    def read_records(manifest: Manifest, tracker: Tracker, *rest: object) -> list[Record]:
        return tracker.records()

    build.open_cached.cache_clear()
    monkeypatch.setattr(grid, "find_finished", find_none_and_train)
    monkeypatch.setattr(grid, "conclude", read_records)
    jobs = jobs_of("seed=0")
    grid.run_grid(jobs, Command("", "", "sweep", "", Path("sweep"), "default"), lambda missing: True, None)
