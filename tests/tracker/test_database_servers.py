"""PostgreSQL and MariaDB: the rows of the client, and a sweep that is started twice at once and killed once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers.client_rows import check_rows, make_record
from helpers.database_servers import find_program, serve_mariadb, serve_postgresql

from zeroinit.tracker import bulk
from zeroinit.tracker.mlflow import Mlflow

SERVERS = {
    "postgresql": (serve_postgresql, ("initdb", "postgres"), "psycopg2"),
    "mysql": (serve_mariadb, ("mariadb-install-db", "mariadbd", "mariadb"), "pymysql"),
}
WORDS = ["-m", "dataset=xor", "init=zero,zero_normal", "steps=100,200", "seed=range(3)", "sweep=small"]
WORDS += ["hydra.launcher.workers=1"]
RUNS = 12


@pytest.fixture(scope="module", params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in SERVERS])
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    serve, programs, driver = SERVERS[request.param]
    pytest.importorskip(driver)
    if missing := [program for program in programs if not find_program(program)]:
        pytest.skip(f"this machine has no {missing[0]}")
    with serve() as uri:
        yield uri


def test_rows_and_sweeps_are_those_of_sqlite(
    uri: str, database: Path, zeroinit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "RECORDS_AT_ONCE", 2)  # fewer than the records
    tracker = Mlflow(uri)
    tracker.open("rows")
    check_rows(tracker, [make_record(0), make_record(1), make_record(2, "KILLED"), make_record(3, "FAILED")])

    command = [sys.executable, "-m", "zeroinit", *WORDS]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "OMP_NUM_THREADS": "1"}
    start = partial(
        subprocess.Popen, command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with start() as other, start(start_new_session=True) as killed:
        await_runs(uri, 3)
        os.killpg(killed.pid, signal.SIGKILL)
        errors = other.communicate()[1]
    assert other.returncode == 0, errors
    ended = zeroinit(*WORDS)
    assert ended.code == 0, ended.err
    assert points_of(uri) == points_of(f"sqlite:///{database}")


def await_runs(uri: str, count: int) -> None:
    """Wait until this number of runs has finished."""
    tracker = Mlflow(uri)
    tracker.open("small")
    end = time.monotonic() + 120
    while sum(record.status == "FINISHED" for record in tracker.records()) < count:
        assert time.monotonic() < end
        time.sleep(0.05)


def points_of(uri: str) -> list[tuple[str, str, list[tuple[str, float, int]]]]:
    """Return (identity, name, points) of the finished runs, which are all; each other run is KILLED."""
    tracker = Mlflow(uri)
    tracker.open("small")
    records = tracker.records()
    assert {record.status for record in records} <= {"FINISHED", "KILLED"}
    finished = [record for record in records if record.status == "FINISHED"]
    assert len(finished) == RUNS
    tracker.load_histories(finished, sorted({name for record in finished for name, _, _ in record.metrics}))
    return sorted((record.identity, record.name, sorted(record.metrics)) for record in finished)
