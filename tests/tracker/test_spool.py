"""Runs that wait on the disk: whole or not at all, sent once, by one process at a time."""

import math
import time
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.stored_runs import end, runs
from mlflow import MlflowClient

from zeroinit.errors import BadInput
from zeroinit.process import current_process
from zeroinit.sweep.sender import LOCK_NAME, send_files
from zeroinit.tracker import NEEDED_PARAMS, Record
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.server_writer import ServerWriter
from zeroinit.tracker.spool import SUFFIX, Spool, read_destination, read_file
from zeroinit.tracker.tags import Tag


def make_record(name: str = "a", started: float = 100.0) -> Record:
    tags = {Tag.IDENTITY: name, Tag.CONFIG_HASH: name, Tag.CELL_HASH: name} | current_process().tags()
    record = Record(name, dict.fromkeys(NEEDED_PARAMS, "ü\n"), tags, "FINISHED", started=started)
    record.metrics = [("test/accuracy", 0.1, 3), ("loss", math.inf, 1), ("loss", -math.inf, 2), ("loss", math.nan, 3)]
    record.files = {"weights.pt": bytes(range(256)), "init.csv": b""}
    return record


def opened(sweep: str = "sweep") -> Mlflow:
    tracker = Mlflow(None)
    tracker.open(sweep)
    return tracker


@pytest.fixture
def spool() -> Spool:
    return Spool(Path.cwd() / "spool", "sqlite:///somewhere", "sweep")


def test_a_file_gives_back_the_runs(spool: Spool) -> None:
    records = [make_record("a"), make_record("b")]
    for record in records:
        record.close()
    spool.write(records)
    [path] = spool.list_files()
    again = read_file(path)
    assert [repr(vars(record)) for record in again] == [repr(vars(record)) for record in records]  # NaN is not NaN
    assert read_destination(path) == ("sqlite:///somewhere", "sweep")
    assert [record.name for record in spool.find(["b"])] == ["b"]
    assert not [entry for entry in spool.folder.iterdir() if entry != path]


def test_a_file_that_is_not_whole_is_no_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process was killed while it wrote."""

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", die)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)  # such a process removes nothing
    with pytest.raises(KeyboardInterrupt):
        spool.write([make_record()])
    assert spool.list_files() == []
    assert len(list(spool.folder.iterdir())) == 1  # hidden


def test_no_runs_make_no_file(spool: Spool) -> None:
    spool.write([])
    assert spool.list_files() == []


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_damaged_file_is_named(content: bytes, spool: Spool) -> None:
    spool.folder.mkdir()
    path = spool.folder / f"1{SUFFIX}"
    path.write_bytes(content)
    for read in (read_file, read_destination):
        with pytest.raises(BadInput, match=r"1\.zip: it cannot be read as runs that ended"):
            read(path)
    assert spool.find(["a"]) == []


@pytest.mark.usefixtures("database")
def test_one_process_at_a_time_sends() -> None:
    tracker = opened()
    spool = Spool.for_tracker(tracker)
    spool.open()
    record = make_record()
    record.close()
    spool.write([record])
    with FileLock(spool.folder / LOCK_NAME):
        assert send_files(tracker, spool) == 0
    assert send_files(tracker, spool) == 1
    assert spool.list_files() == []
    assert [run.info.status for run in runs()] == ["FINISHED"]


@pytest.mark.usefixtures("database")
def test_a_run_that_is_sent_again_is_stored_once() -> None:
    """The process died after the store had the run, and before the file was removed."""
    tracker, record = opened(), make_record()
    tracker.claim([record])
    end(tracker, record)
    before = runs()
    opened().write([record])
    [after] = runs()
    assert [vars(run.info) for run in before] == [vars(after.info)]
    assert Path(after.info.artifact_uri.removeprefix("file://"), "weights.pt").read_bytes() == bytes(range(256))


@pytest.mark.usefixtures("database")
def test_of_two_runs_that_both_trained_the_one_that_is_stored_first_stays() -> None:
    """Neither could see the other, as the store did not answer when they began."""
    tracker, earlier, later = opened(), make_record(started=100), make_record(started=200)
    for record in (later, earlier):
        end(tracker, record)
    assert [(run.info.run_id, run.info.status) for run in runs()] == [(later.run_id, "FINISHED")]
    again = make_record(started=time.time() + 1)  # as with rerun=true
    end(tracker, again)
    assert [run.info.run_id for run in runs()] == [later.run_id, again.run_id]


@pytest.mark.usefixtures("database")
def test_of_two_runs_that_are_sent_together_one_stays() -> None:
    tracker, pair = opened(), [make_record(started=100), make_record(started=200)]
    for record in pair:
        record.close()
    tracker.write(pair)
    assert [run.info.run_id for run in runs()] == [pair[0].run_id]


@pytest.mark.usefixtures("database")
def test_a_server_has_a_run_once_whoever_sends_it() -> None:
    """The process that trained wrote a part. Another one sends the whole, and dies before the status."""
    tracker, record = opened(), make_record()
    client = MlflowClient(tracker.uri)

    def make_writer() -> ServerWriter:
        return ServerWriter(client, tracker.uri, tracker.experiment_id, "sweep", 0.0)

    record.tags |= {Tag.KIND: "run"}
    trains = make_writer()
    assert trains.claim([record]) == []
    trains.write_progress([record])
    record.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "set_terminated", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_writer().write([record])
    assert [run.info.status for run in runs()] == ["RUNNING"]
    make_writer().write([record])
    [run] = runs()
    assert (run.info.status, run.data.tags[Tag.SPOOL_ID]) == ("FINISHED", record.run_id)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]
    assert Path(run.info.artifact_uri.removeprefix("file://"), "weights.pt").is_file()


@pytest.mark.usefixtures("database")
def test_a_run_of_a_server_is_killed_by_the_id_that_the_server_chose() -> None:
    tracker, record = opened(), make_record()
    record.tags |= {Tag.KIND: "run"}
    writer = ServerWriter(MlflowClient(tracker.uri), tracker.uri, tracker.experiment_id, "sweep", 0.0)
    writer.claim([record])
    assert writer.mark_killed([record.run_id]) == 1
    assert [run.info.status for run in runs()] == ["KILLED"]
