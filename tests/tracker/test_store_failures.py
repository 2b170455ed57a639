"""A run is FINISHED in the store only if all of it is there, whatever write of the store fails."""

import csv
import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from helpers.stored_runs import end
from mlflow import MlflowClient
from mlflow.entities import Run
from sqlalchemy.exc import OperationalError

from zeroinit.config import Job
from zeroinit.report.archive import collect_rows
from zeroinit.report.cells import outcome_of
from zeroinit.report.cli import main as report
from zeroinit.sweep.messages import failure_line
from zeroinit.sweep.runner import run_jobs as train_jobs
from zeroinit.tracker import TRACEBACK, Record, bulk, waiting
from zeroinit.tracker.memory import Off
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag
from zeroinit.tracker.waiting import is_transient

pytestmark = pytest.mark.usefixtures("database")

Command = Callable[..., Ended]
QUICK = ("dataset=digits", "arch.hidden=[4]", "steps=5", "probe.first_steps=2", "probe.per_decade=0")
OPTUNA = ("hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra/sweeper/sampler=grid")
SWEEP = ("-m", *QUICK, "seed=0,1")  # one stack of two runs


def runs(sweep: str, kind: str = "run") -> list[Run]:
    """Return the runs of a sweep as MLflow's own client reads them, by the time they began at, then by seed."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(sweep)
    there = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    return sorted(there, key=lambda run: (run.info.start_time, run.data.params.get("seeds.init", "")))


def states(sweep: str, kind: str = "run") -> list[str]:
    return [run.info.status for run in runs(sweep, kind)]


def files(run: Run) -> set[str]:
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def is_whole(run: Run) -> bool:
    """Whether a run has all that such a run has: metrics of layers and of its last step, files and tags."""
    return (
        files(run) == {"init.csv", "histograms.npz"}
        and run.data.metrics.keys() >= {"grad/hidden1/norm", "test/accuracy", "val/loss"}
        and run.data.tags.keys() >= {"outcome", "train_seconds"}
    )


FULL = os.strerror(errno.ENOSPC)
LOCKED = sqlite3.OperationalError("database is locked")
READ_ONLY = sqlite3.OperationalError("attempt to write a readonly database")


class Failing:
    """A function, or a method, that raises an error in its calls after the first ones, up to the last."""

    def __init__(self, real: Callable[..., Any], error: Exception, first: int = 0, last: int = 10**9) -> None:
        self.real, self.error, self.first, self.last, self.calls = real, error, first, last, 0

    def __get__(self, owner: object, kind: type) -> Callable[..., Any]:
        return partial(self, owner)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.first < self.calls <= self.last:
            raise self.error
        return self.real(*arguments, **named)


@contextmanager
def failing_writes(error: Exception, last: int = 10**9) -> Iterator[None]:
    """Have the store refuse runs that ended, up to that write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "write_whole", Failing(bulk.write_whole, error, last=last))
        patch.setattr("zeroinit.sweep.sender.WAIT_SECONDS", 1.0)
        yield


def spool_files() -> list[Path]:
    return list(Path("mlruns/spool").glob("*/[!.]*.zip"))


@pytest.mark.parametrize("words", [QUICK, SWEEP, (*SWEEP, "hydra/launcher=basic")])
@pytest.mark.parametrize("error", [LOCKED, sqlite3.OperationalError("database or disk is full")])
def test_a_store_that_takes_no_run_for_a_moment_costs_nothing(
    error: Exception, words: tuple[str, ...], zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroinit.sweep.sender.NOTICE_SECONDS", 0)
    with failing_writes(error, last=2):
        ended = zeroinit(*words)
    assert ended.code == 0, ended.err
    assert "finished runs wait in mlruns/spool/" in ended.err
    assert str(error) in ended.err
    assert "the store takes runs again" in ended.err
    stored = runs("sweep" if "-m" in words else "zeroinit")
    assert [run.info.status for run in stored] == ["FINISHED"] * len(stored)
    assert all(map(is_whole, stored))
    assert spool_files() == []


@pytest.mark.parametrize("words", [QUICK, SWEEP])
@pytest.mark.parametrize("error", [LOCKED, READ_ONLY])
def test_runs_that_the_store_does_not_take_stay_in_the_spool(
    error: Exception, words: tuple[str, ...], zeroinit: Command
) -> None:
    """The command says so, and the next command, or `zeroinit sync`, sends them."""
    sweep, count = ("sweep", 2) if "-m" in words else ("zeroinit", 1)
    with failing_writes(error):
        ended = zeroinit(*words)
    assert ended.code == 1
    runs_are = "2 runs are" if count == 2 else "1 run is"
    last = ended.err.splitlines()[-1]
    assert last.startswith(f"zeroinit: {runs_are} in mlruns/spool/{sweep}-")
    assert f" and not in the store (the store does not take the run: OperationalError: {error}); " in last
    assert last.endswith("the same command, or `zeroinit sync`, sends them when the store takes them")
    assert states(sweep) == ["RUNNING"] * count
    assert len(spool_files()) == 1
    if error is LOCKED:
        assert zeroinit("sync").out == f"{sweep}: {runs_are} in sqlite:///mlruns/mlflow.db now.\n"
        assert zeroinit("sync").out == "There are no runs in mlruns/spool.\n"
    again = zeroinit(*words)
    assert again.code == 0, again.err
    assert "trained before" in again.out
    assert states(sweep) == ["FINISHED"] * count
    assert all(map(is_whole, runs(sweep)))
    assert spool_files() == []


def test_a_sync_that_fails_says_so(zeroinit: Command) -> None:
    with failing_writes(READ_ONLY):
        zeroinit(*QUICK)
        ended = zeroinit("sync")
    assert (ended.code, "1 run is in mlruns/spool/" in ended.err) == (1, True)
    for uri in ("sqlite:///other.db", "nonsense"):
        assert zeroinit("sync", f"--uri={uri}") == Ended(
            1,
            "",
            f"zeroinit: --uri={uri}: no run waits for this store; the runs in mlruns/spool are for "
            "sqlite:///mlruns/mlflow.db\n",
        )
    assert len(spool_files()) == 1


def test_the_folder_of_a_sweep_may_be_moved(zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_writes(READ_ONLY):
        zeroinit(*QUICK)
    moved = Path("moved").absolute()
    moved.mkdir()
    Path("mlruns").rename(moved / "mlruns")
    monkeypatch.chdir(moved)
    assert zeroinit("sync").out == "zeroinit: 1 run is in sqlite:///mlruns/mlflow.db now.\n"
    assert states("zeroinit") == ["FINISHED"]


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"damaged"), os.mkfifo, Path.mkdir])
def test_a_damaged_file_of_the_spool_keeps_no_other_from_the_store(
    make: Callable[[Path], object], zeroinit: Command
) -> None:
    with failing_writes(READ_ONLY):
        zeroinit(*QUICK)
    [path] = spool_files()
    damaged = path.with_name("0.zip")  # which is read first
    make(damaged)
    ended = zeroinit("sync")
    assert (ended.code, ended.out) == (1, "zeroinit: 1 run is in sqlite:///mlruns/mlflow.db now.\n")
    assert ended.err.startswith(f"zeroinit: {damaged.absolute()}: it cannot be read as runs that ended (")
    assert len(ended.err.splitlines()) == 1
    assert spool_files() == [damaged]
    ended = zeroinit("sync")
    assert (ended.code, ended.out) == (1, "")


@pytest.mark.parametrize("failures", [1, 2])
def test_a_record_that_cannot_be_kept_is_no_finished_run(failures: int, job_of: Callable[..., Job]) -> None:
    """It is kept at the second attempt, or the training raises."""
    attempts: list[list[str]] = []

    def keep(records: Sequence[Record]) -> None:
        attempts.append([record.status for record in records])
        if len(attempts) <= failures:
            raise MemoryError

    with pytest.raises(MemoryError) if failures == 2 else nullcontext():
        train_jobs([job_of(*QUICK)], Off(), lambda share, score: None, keep=keep)
    assert attempts == [["FINISHED"]] * 2


@pytest.mark.parametrize(
    "text",
    [
        "canceling statement due to lock timeout",
        "deadlock detected",
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
        "(1213, 'Deadlock found when trying to get lock; try restarting transaction')",
        "(1040, 'Too many connections')",
        "No space left on device",
    ],
)
def test_errors_that_end_by_themselves(text: str) -> None:
    assert is_transient(OperationalError("insert", {}, Exception(text)))
    assert not is_transient(OperationalError("insert", {}, Exception("no such table: runs")))


def test_a_store_that_takes_no_claim_does_not_keep_a_run_from_training(
    zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "insert_running", Failing(bulk.insert_running, LOCKED))
    ended = zeroinit(*SWEEP)
    assert ended.code == 0, ended.err
    assert states("sweep") == ["FINISHED"] * 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_run_is_waited_for(
    number: int, zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(Spool, "_write", Failing(Spool._write, OSError(number, os.strerror(number)), last=3))
    ended = zeroinit(*SWEEP)
    assert ended.code == 0, ended.err
    assert f"2 runs cannot be written to {Path.cwd()}/mlruns/spool/" in ended.err
    assert f"([Errno {number}] {os.strerror(number)}); the command waits" in ended.err
    assert states("sweep") == ["FINISHED"] * 2


def test_a_damaged_file_of_the_spool_stops_the_command_with_its_name(zeroinit: Command) -> None:
    with failing_writes(READ_ONLY):
        zeroinit(*QUICK)
    [path] = spool_files()
    path.write_bytes(path.read_bytes()[:100])
    ended = zeroinit(*QUICK)
    assert ended.code == 1
    assert f"{path.absolute()}: it cannot be read as runs that ended" in ended.err
    path.unlink()
    assert zeroinit(*QUICK).code == 0


def test_a_summary_that_cannot_be_written_is_not_finished(zeroinit: Command) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroinit.tracker.connection.WAIT_SECONDS", 0)
        patch.setattr(Mlflow, "_write_files", Failing(Mlflow._write_files, OSError(errno.ENOSPC, FULL), first=1))
        ended = zeroinit(*SWEEP)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == (
        "zeroinit: tracker.uri=sqlite:///mlruns/mlflow.db: the summary cannot be kept ([Errno 28] No space left on "
        "device)"
    )
    assert (states("sweep"), states("sweep", "summary")) == (["FINISHED"] * 2, ["FAILED"])
    again = zeroinit(*SWEEP)
    assert again.code == 0, again.err
    assert "2 of 2 runs were trained before" in again.out
    assert states("sweep", "summary") == ["FINISHED"]
    assert files(runs("sweep", "summary")[0]) >= {"summary.csv", "report.html", "sweep.json"}


def test_a_finished_run_that_lacks_something_is_trained_again(zeroinit: Command) -> None:
    """A file that is gone, one that is empty, and the end of the metrics; then as a run of an older version."""
    grid = ("-m", *QUICK, "seed=0,1,2,3")
    assert zeroinit(*grid).code == 0
    for run, name in zip(runs("sweep"), ("init.csv", "histograms.npz"), strict=False):
        path = Path(run.info.artifact_uri.removeprefix("file://"), name)
        path.unlink()
        if name == "histograms.npz":
            path.touch()
    short, old = (run.info.run_id for run in runs("sweep")[2:])
    with sqlite3.connect("mlruns/mlflow.db") as database:
        for table in ("metrics", "latest_metrics"):
            set_step = f"update or replace {table} set step = 4 where run_uuid = '{short}' and key = 'test/accuracy'"
            database.execute(set_step)
        database.execute(f"delete from tags where run_uuid = '{old}' and key in ('artifacts', 'last_step')")
    plan = zeroinit(*grid, "mode=plan")
    assert "1 of 4 runs are done, 3 are not" in plan.out
    again = zeroinit(*grid)
    assert again.code == 0, again.err
    [said] = [line for line in again.out.splitlines() if "not complete" in line]
    assert said.startswith("3 runs (the first, fnn default x1 seed ")
    assert said.endswith(" are FINISHED in the store but not complete, and counted as not done")
    assert "1 of 4 runs were trained before" in again.out
    assert states("sweep") == ["FINISHED"] * 7
    assert "4 of 4 runs were trained before" in zeroinit(*grid).out


def test_a_report_counts_no_incomplete_run(
    zeroinit: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert zeroinit(*SWEEP).code == 0
    first, _ = runs("sweep")
    Path(first.info.artifact_uri.removeprefix("file://"), "init.csv").unlink()
    monkeypatch.setattr("sys.argv", ["zeroinit-report", "sweep", "--to", "made"])
    report()
    [row] = csv.DictReader(Path("made/summary.csv").read_text().splitlines())
    assert row["n"] == "1"
    assert "1 incomplete" in row["outcomes"]
    tracker = Mlflow(None)
    tracker.find("sweep")
    assert sorted(row["status"] for row in collect_rows(tracker, [])) == ["FINISHED", "INCOMPLETE"]


@pytest.mark.parametrize(
    ("status", "tags", "outcome"),
    [
        ("FINISHED", {"outcome": "learned"}, "learned"),
        ("FINISHED", {}, "finished"),
        ("FAILED", {"outcome": "diverged"}, "diverged"),
        ("FAILED", {"outcome": "learned", "error": "the store does not take the run"}, "failed"),
        ("RUNNING", {"outcome": "learned"}, "running"),
        ("INCOMPLETE", {"outcome": "learned"}, "incomplete"),
    ],
)
def test_an_outcome_counts_for_a_finished_run_alone(status: str, tags: dict[str, str], outcome: str) -> None:
    assert outcome_of(Record("run", {}, tags, status)) == outcome


def test_a_traceback_that_cannot_be_written_costs_no_other_run(job_of: Callable[..., Job]) -> None:
    job = replace(job_of(*QUICK, "tracker=off"), folder="blocked/0")
    Path("blocked").write_text("")
    record = Record("run", {}, {"error": "ValueError: no"}, "FAILED", files={TRACEBACK: b"Traceback"})
    assert failure_line(job, record).endswith(
        "ValueError: no (no traceback in blocked/0/traceback.txt: Not a directory)"
    )


def test_counts_that_are_too_long_for_a_tag_are_left_out(
    job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut, they could not be read."""
    job = job_of(*QUICK, "tracker=off")
    [record] = train_jobs([job], Off(), lambda share, accuracy: None)
    assert len(json.loads(record.tags[Tag.TEST_CLASS_COUNTS])) == 10
    monkeypatch.setattr("zeroinit.sweep.session.MAX_TAG", 20)
    [record] = train_jobs([job], Off(), lambda share, accuracy: None)
    assert (record.status, Tag.TEST_CLASS_COUNTS in record.tags) == ("FINISHED", False)


def test_a_long_command_and_long_tags_do_not_prevent_a_sweep() -> None:
    tracker = Mlflow(None)
    tracker.open("long")
    tracker.describe("zeroinit " + "x" * 30_000)
    assert len(tracker.client.get_experiment_by_name("long").tags["mlflow.note.content"]) == 5000
    record = Record("run", {}, {"identity": "a", "quotient": "x" * 10_000})
    tracker.claim([record])
    record.metrics, record.status = [("test/accuracy", 0.5, 1)], "FINISHED"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
        end(tracker, record)
    assert [stored.status for stored in tracker.records()] == ["FINISHED"]
