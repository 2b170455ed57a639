"""A run is FINISHED in the store only if all of it is there, whatever write of the store fails."""

import csv
import errno
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from zeroinit.config import Job
from zeroinit.report.archive import collect_rows
from zeroinit.report.cells import outcome_of
from zeroinit.report.cli import main as report
from zeroinit.sweep.messages import failure_line
from zeroinit.sweep.runner import run_jobs as train_jobs
from zeroinit.tracker import TRACEBACK, Record
from zeroinit.tracker.memory import Off
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.tags import Tag

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


class Failing:
    """Writes of MLflow that raise OSError: those of `what`, after the first calls, up to the last.

    `for_good`: once one has failed, each write of whatever kind fails.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, what: str, first: int = 0, last: int = 10**9, for_good: bool = False
    ) -> None:
        self.what, self.first, self.last, self.for_good = what, first, last, for_good
        self.calls, self.failed = 0, False
        real_batch, real_status = SqlAlchemyStore.log_batch, SqlAlchemyStore.update_run_info
        real_files, real_begin = LocalArtifactRepository.log_artifacts, SqlAlchemyStore.create_run

        def log_batch(store: Any, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
            of_end = [tag for tag in tags if tag.key == "last_step"]  # others may write tags, too
            for what, items in (("metrics", metrics), ("params", params), ("tags", of_end)):
                if items:
                    self.meet(what)
            real_batch(store, run_id, metrics, params, tags)

        def update_run_info(store: Any, run_id: str, *rest: Any, **named: Any) -> Any:
            self.meet("status")
            return real_status(store, run_id, *rest, **named)

        def log_artifacts(repository: Any, folder: str, path: Any = None) -> None:
            self.meet("summary" if "sweep.json" in os.listdir(folder) else "files")
            real_files(repository, folder, path)

        def create_run(store: Any, *rest: Any, **named: Any) -> Any:
            self.meet("begin")
            return real_begin(store, *rest, **named)

        patch.setattr(SqlAlchemyStore, "log_batch", log_batch)
        patch.setattr(SqlAlchemyStore, "update_run_info", update_run_info)
        patch.setattr(SqlAlchemyStore, "create_run", create_run)
        patch.setattr(LocalArtifactRepository, "log_artifacts", log_artifacts)

    def meet(self, what: str) -> None:
        self.calls += what == self.what
        if (what == self.what and self.first < self.calls <= self.last) or (self.failed and self.for_good):
            self.failed = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["files", "metrics", "tags", "status", "params"])
def test_a_single_run_that_cannot_be_written_is_not_finished(what: str, zeroinit: Command) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, what)
        ended = zeroinit(*QUICK)
    [state] = states("zeroinit")
    assert (ended.code, state) == (1, "RUNNING" if what == "status" else "FAILED")
    assert "No space left on device" in ended.out
    if what != "status":
        assert "No space left on device" in runs("zeroinit")[0].data.tags["error"]
    again = zeroinit(*QUICK)
    assert again.code == 0, again.err
    assert "It was trained before" not in again.out
    assert [is_whole(run) for run in runs("zeroinit")] == [False, True]
    assert states("zeroinit")[1] == "FINISHED"
    assert "It was trained before" in zeroinit(*QUICK).out


@pytest.mark.parametrize("what", ["files", "metrics", "tags"])
def test_a_store_that_fails_for_good_has_no_finished_run(what: str, zeroinit: Command) -> None:
    """Not even FAILED can be written."""
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, what, for_good=True)
        assert zeroinit(*QUICK).code == 1
    assert states("zeroinit") == ["RUNNING"]


@pytest.mark.parametrize("launcher", ["hydra.launcher.workers=1", "hydra/launcher=basic"])
@pytest.mark.parametrize("what", ["files", "metrics", "tags"])
def test_of_a_sweep_the_run_that_cannot_be_written_is_trained_again(
    what: str, launcher: str, zeroinit: Command
) -> None:
    """The second run of the stack meets the error, and the store takes writes again after it."""
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, what, first=1, last=2)
        ended = zeroinit(*SWEEP, launcher)
    assert ended.code == 1
    [line] = [line for line in ended.err.splitlines() if line.startswith("failed: seed=1 ")]
    assert "No space left on device" in line
    assert states("sweep") == ["FINISHED", "FAILED"]
    first, second = runs("sweep")
    assert is_whole(first)
    assert "outcome" in first.data.tags
    assert " 1 failed" in ended.out
    again = zeroinit(*SWEEP, launcher)
    assert again.code == 0, again.err
    assert "1 of 2 runs were trained before" in again.out
    assert states("sweep") == ["FINISHED", "FAILED", "FINISHED"]
    assert is_whole(runs("sweep")[2])
    assert runs("sweep")[2].data.tags["identity"] == second.data.tags["identity"]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["seed=0,1", "hydra.launcher.workers=1"], 1),  # our sweeper begins with the summary
        (["seed=0,1", "hydra/launcher=basic"], 1),
        (["seed=choice(0,1)", *OPTUNA, "hydra.launcher.workers=1"], 0),
        (["seed=choice(0,1)", *OPTUNA, "hydra/launcher=basic"], 0),
    ],
)
def test_a_run_that_cannot_begin_is_no_success(words: list[str], first: int, zeroinit: Command) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, "begin", first)
        ended = zeroinit("-m", *QUICK, *words)
    assert ended.code == 1
    assert len([line for line in ended.err.splitlines() if line.startswith("failed: ")]) == 2
    assert states("sweep") == []


def test_a_summary_that_cannot_be_written_is_not_finished(zeroinit: Command) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Failing(patch, "summary", first=1)  # the first one is kept before the training
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
    tracker.begin(record)
    record.metrics, record.status = [("test/accuracy", 0.5, 1)], "FINISHED"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
        tracker.end(record)
    assert [stored.status for stored in tracker.records()] == ["FINISHED"]
