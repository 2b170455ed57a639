"""Runs that are marked RUNNING although nothing trains them: which a later command marks KILLED, and which never."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.stored_runs import end
from mlflow import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from zeroinit import build, process
from zeroinit.config import Job
from zeroinit.process import Process, current_process, process_of_pid
from zeroinit.report import cli
from zeroinit.sweep import runner
from zeroinit.tracker import NEEDED_PARAMS, Record, Tracker, stale
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.stale import mark_dead_runs
from zeroinit.tracker.tags import Tag

pytestmark = pytest.mark.usefixtures("database")

QUICK = ("dataset=digits", "arch=logistic", "steps=5", "probe=none")


def ended_process() -> Process:
    """A process of this host and boot that was alive once."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        alive = process_of_pid(child.pid)
        assert child.stdin
        child.stdin.close()
    return alive


def begin(tracker: Mlflow, name: str, tags: dict[str, str], status: str = "RUNNING") -> Record:
    """Write a run with these tags of a process to the store, as the process would have; without a lease by default."""
    hashes = {"identity": name, "config_hash": name, "cell_hash": name}
    record = Record(name, dict.fromkeys(NEEDED_PARAMS, "0") | {"probe.measure": "[]"}, hashes | tags, status)
    tracker.claim([record])
    run_id = next(run.run_id for run in tracker.records() if run.name == name)
    if Tag.LEASE in tags:
        tracker.client.set_tag(run_id, Tag.LEASE, tags[Tag.LEASE])
    else:
        tracker.client.delete_tag(run_id, Tag.LEASE)
    if status != "RUNNING":
        end(tracker, record)
    return record


def use_client(tracker: Mlflow) -> None:
    """Read and write by MLflow's client, as for a server."""
    tracker.is_database = tracker.is_bulk = False
    vars(tracker).pop("_writer", None)


def opened(sweep: str = "sweep") -> Mlflow:
    tracker = Mlflow(None)
    tracker.open(sweep)
    return tracker


def states() -> dict[str, str]:
    """{name of a run: its status} of the whole store, as MLflow's client has it."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.run_name: run.info.status for run in client.search_runs(experiments)}


@pytest.mark.parametrize("is_database", [True, False])
def test_runs_without_a_process_are_killed_in_every_sweep_and_no_other(is_database: bool) -> None:
    """Of a database, and of a server, which is read and written by MLflow's client."""
    here, gone = current_process(), ended_process()
    tracker, other = opened("one"), opened("other")
    begin(tracker, "dead", gone.tags())
    begin(other, "dead, elsewhere", gone.tags())
    begin(tracker, "pid reused", replace(here, start="1").tags())
    begin(tracker, "finished", gone.tags(), "FINISHED")
    begin(tracker, "failed", gone.tags(), "FAILED")
    begin(tracker, "alive", process_of_pid(os.getppid()).tags())
    begin(tracker, "here", here.tags())
    begin(tracker, "other host", replace(gone, host="another").tags())
    begin(tracker, "other host, elsewhere", replace(gone, host="another").tags())
    begin(tracker, "other boot", replace(gone, boot="another").tags())
    begin(tracker, "expired", replace(gone, host="another").tags() | {Tag.LEASE: str(time.time() - 1)})
    begin(tracker, "leased", replace(gone, host="another").tags() | {Tag.LEASE: str(time.time() + 60)})
    begin(tracker, "old", {})
    if not is_database:
        use_client(tracker)
    killed, unknown = mark_dead_runs(tracker, trains_here=True)
    assert killed == 4
    assert unknown == {stale.OTHER_HOST: 2, stale.OTHER_BOOT: 1, stale.UNTAGGED: 1}
    ended = {"dead": "KILLED", "dead, elsewhere": "KILLED", "pid reused": "KILLED", "expired": "KILLED"}
    ended |= {"finished": "FINISHED", "failed": "FAILED"}
    rest = ("alive", "here", "leased", "other host", "other host, elsewhere", "other boot", "old")
    assert states() == ended | dict.fromkeys(rest, "RUNNING")
    assert mark_dead_runs(tracker, trains_here=False)[0] == 1  # this process trains nothing
    assert states()["here"] == "KILLED"


@pytest.mark.parametrize("is_database", [True, False])
def test_a_run_that_ends_while_it_is_judged_stays_as_it_ended(
    is_database: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may write the end and then be gone, after the store was read and before it is written."""
    tracker, gone = opened(), ended_process()
    if not is_database:
        use_client(tracker)
    record = begin(tracker, "just finished", gone.tags())

    def finish(judged: Process) -> bool:
        assert judged == gone
        record.status = "FINISHED"
        end(tracker, record)
        return False

    monkeypatch.setattr("zeroinit.tracker.leases.is_alive", finish)
    assert mark_dead_runs(tracker, trains_here=True) == (0, {})
    assert states() == {"just finished": "FINISHED"}


def test_a_store_without_dead_runs_costs_one_query() -> None:
    tracker = opened()
    for index in range(3):
        begin(tracker, str(index), current_process().tags())
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    mark_dead_runs(tracker, trains_here=True)
    event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) == 1


def test_any_number_of_dead_runs_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database refuses a statement with tens of thousands of values."""
    tracker, gone = opened(), ended_process()
    for index in range(3):
        begin(tracker, str(index), gone.tags())
    monkeypatch.setattr("zeroinit.tracker.database_writer.MAX_IN", 2)
    assert mark_dead_runs(tracker, trains_here=True) == (3, {})
    assert {*states().values()} == {"KILLED"}


@pytest.mark.parametrize("words", [(), ("-m",), ("mode=plan",), ("-m", "mode=plan"), ("report",)])
def test_every_command_that_opens_a_store_marks_them(
    words: tuple[str, ...],
    zeroinit: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In other sweeps, too; what it cannot judge is counted in one line."""
    tracker, gone = opened("other"), ended_process()
    begin(tracker, "dead", gone.tags())
    begin(tracker, "elsewhere", replace(gone, host="another").tags())
    begin(tracker, "elsewhere, too", replace(gone, host="another").tags())
    if words == ("report",):
        monkeypatch.setattr(sys, "argv", ["zeroinit-report", "other"])
        cli.main()
        err = capfd.readouterr().err
    else:
        ended = zeroinit(*words, *QUICK)
        assert ended.code == 0, ended.err
        err = ended.err
    assert {name: state for name, state in states().items() if name.startswith(("dead", "else"))} == {
        "dead": "KILLED",
        "elsewhere": "RUNNING",
        "elsewhere, too": "RUNNING",
    }
    notes = [line for line in err.splitlines() if "RUNNING" in line]
    assert notes == [
        "zeroinit: 1 run was marked RUNNING without a process that trains; now KILLED",
        "zeroinit: 2 runs of other hosts are still marked RUNNING",
    ]


def test_a_killed_run_is_trained_again_and_has_the_process_that_trained_it(zeroinit: Callable[..., object]) -> None:
    job_tags = ended_process().tags()
    first = zeroinit(*QUICK)
    assert first.code == 0
    [record] = opened("zeroinit").records()
    assert process.process_of_tags(record.tags) == current_process()
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    for key, value in job_tags.items():
        client.set_tag(record.run_id, key, value)
    client.update_run(record.run_id, status="RUNNING")
    assert zeroinit(*QUICK).code == 0
    assert [record.status for record in opened("zeroinit").records()] == ["FINISHED", "KILLED"]


def test_an_interrupted_sweep_leaves_the_runs_of_another_alone(
    zeroinit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same identities, begun later, in the same store: their process is alive."""

    def interrupted(jobs: list[Job], tracker: Tracker, *rest: object, **named: object) -> None:
        for name, owner in (("ours", current_process()), ("theirs", process_of_pid(os.getppid()))):
            hashes = {"identity": build.identity_of(jobs[0]), "config_hash": "", "cell_hash": jobs[0].cell_hash}
            tracker.claim([Record(name, jobs[0].params, hashes | owner.tags())])
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_jobs", interrupted)
    ended = zeroinit("-m", *QUICK, "seed=0,1")
    assert ended.code == 130
    assert states() == {"theirs": "RUNNING", "ours": "KILLED", "summary": "KILLED"}


def test_a_worker_without_its_launcher_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has begun stays RUNNING, for the next command to mark."""
    tracker = opened()
    record = begin(tracker, "orphan", current_process().tags())
    record.metrics.append(("test/accuracy", 0.5, 1))
    record.status = "FINISHED"

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(process, "_launcher", ended_process())
    monkeypatch.setattr(os, "_exit", end)
    for write in (tracker.write_progress, tracker.claim):
        with pytest.raises(SystemExit):
            write([record])
    [there] = tracker.records()
    assert (there.status, there.metrics) == ("RUNNING", [])


def test_a_summary_that_was_cut_short_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of an earlier command, to which another was adding files."""
    tracker, gone = opened(), ended_process()
    tracker.begin_summary({"sweep.json": b""})
    assert states() == {"summary": "RUNNING"}
    tracker.write_summary({"summary.csv": b""}, anew=True)
    assert states() == {"summary": "FINISHED"}
    with monkeypatch.context() as patch:
        patch.setattr("zeroinit.tracker.mlflow.current_process", lambda: gone)
        patch.setattr(tracker, "_write_files", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(tracker.client, "set_terminated", lambda *args: None)  # as SIGKILL leaves no time for it
        with pytest.raises(KeyboardInterrupt):
            tracker.write_summary({"report.html": b""}, anew=False)
    assert states() == {"summary": "RUNNING"}
    assert mark_dead_runs(tracker, trains_here=True) == (0, {})  # it is no training
    assert states() == {"summary": "KILLED"}
