"""Rows that are written into MLflow's tables in bulk against those that its client writes for the same runs."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest
from helpers.client_rows import POINTS, check_rows, make_record, rows_of
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from zeroinit.errors import StoreFailed
from zeroinit.tracker import Record, bulk, bulk_support, transactions
from zeroinit.tracker.bulk_support import unsupported_reason
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.transactions import make_engine, transaction


@pytest.fixture
def tracker(database: Path) -> Mlflow:
    tracker = Mlflow(None)
    tracker.open("two")
    return tracker


@pytest.fixture
def engine(tracker: Mlflow) -> Engine:
    return make_engine(tracker.uri, 0.3)


@pytest.fixture
def where(tracker: Mlflow) -> tuple[str, str]:
    """The id of the experiment and the uri of its artifacts."""
    return tracker.experiment_id, tracker.client.get_experiment(tracker.experiment_id).artifact_location


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    monkeypatch.setattr(bulk, "RECORDS_AT_ONCE", 2)  # fewer than the records
    return [make_record(0), make_record(1), make_record(2, "KILLED"), make_record(3, "FAILED")]


def test_bulk_leaves_the_rows_of_the_client(tracker: Mlflow, records: list[Record]) -> None:
    check_rows(tracker, records)


def test_tags_are_replaced_and_points_added_only_where_a_run_is(
    engine: Engine, where: tuple[str, str], database: Path, records: list[Record]
) -> None:
    for number, record in enumerate(records):
        record.run_id = str(number) * 32
    with transaction(engine) as connection:
        bulk.insert_running(connection, *where, [*records[:2], records[3]])
        bulk.write_whole(connection, *where, records[1:2])  # it ended
    before = rows_of(engine, [])
    with transaction(engine) as connection:
        for record in records[1:3]:
            bulk.append_points(connection, record, POINTS, 1)
        bulk.set_tags(connection, [record.run_id for record in records[:3]], {"lease": "7", "config_hash": "ü" * 9000})
    after = rows_of(engine, [])
    new = [[name, value, run * 32] for run in "01" for name, value in (("lease", "7"), ("config_hash", "ü" * 8000))]
    assert [row for row in after["tags"] if row not in before["tags"]] == sorted(new, key=repr)
    assert len(after["tags"]) == len(before["tags"]) + 2
    assert {name: rows for name, rows in after.items() if name != "tags"} == {
        name: rows for name, rows in before.items() if name != "tags"
    }


def test_a_deleted_experiment_takes_no_runs(
    tracker: Mlflow, engine: Engine, where: tuple[str, str], records: list[Record]
) -> None:
    tracker.client.delete_experiment(tracker.experiment_id)
    for write in (bulk.insert_running, bulk.write_whole):
        with pytest.raises(StoreFailed, match="was deleted"), transaction(engine) as connection:
            write(connection, *where, records)


def test_a_transaction_locks_from_its_begin_and_waits_only_as_long_as_it_may(engine: Engine, database: Path) -> None:
    """Whatever the listeners of other modules set: zeroinit.tracker.connection lets others wait for a minute."""
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("pragma busy_timeout").scalar() == transactions.LOCK_MILLISECONDS
        began = time.perf_counter()
        with pytest.raises(OperationalError, match="database is locked"), transaction(engine):
            pass
        assert 0.25 < time.perf_counter() - began < 5


def test_a_commit_waits_for_readers(engine: Engine, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "LOCK_MILLISECONDS", 1)
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as reader:
        reader.execute("begin")
        reader.execute("select * from experiments").fetchall()
        timer = Timer(0.1, reader.rollback)
        with transaction(engine) as connection:
            connection.exec_driver_sql("update experiments set name = 'other' where name = 'two'")
            timer.start()
        timer.join()
        assert ("other",) in reader.execute("select name from experiments").fetchall()
        reader.execute("begin")
        reader.execute("select * from experiments").fetchall()
        with pytest.raises(OperationalError, match="database is locked"), transaction(engine) as connection:
            connection.exec_driver_sql("update experiments set name = 'third' where name = 'other'")
        reader.rollback()
        assert ("other",) in reader.execute("select name from experiments").fetchall()


def test_others_can_read_until_a_transaction_ends(engine: Engine, where: tuple[str, str], database: Path) -> None:
    """Also where it writes more than SQLite's cache holds."""
    with closing(sqlite3.connect(database, timeout=0)) as reader, transaction(engine) as connection:
        connection.exec_driver_sql("pragma cache_size = 10")
        bulk.insert_running(connection, *where, [make_record(1)])
        assert reader.execute("select * from runs").fetchall() == []


def test_a_database_that_is_gone_is_not_made_anew(engine: Engine, database: Path) -> None:
    database.unlink()
    with pytest.raises(OperationalError, match="unable to open"), transaction(engine):
        pass
    assert not database.exists()


def test_bulk_is_for_known_databases_versions_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed version of MLflow is one of them."""
    for uri in ("sqlite:///mlruns/mlflow.db", "postgresql+psycopg2://host/name", "mysql://host/name"):
        assert unsupported_reason(uri) is None
    assert (
        unsupported_reason("mssql+pyodbc://host/name") == "the store is mssql, and not one of sqlite, postgresql, mysql"
    )
    for version, is_known in (
        ("3.4.9", False),
        ("3.5.0rc1", True),
        ("3.18.9", True),
        ("3.19.0", False),
        ("4.0", False),
    ):
        monkeypatch.setattr(bulk_support, "VERSION", version)
        reason = f"MLflow is {version}, and its tables are known from 3.5 to 3.18"
        assert unsupported_reason("sqlite:///a.db") == (None if is_known else reason)
    monkeypatch.setattr(bulk_support, "VERSION", "3.17.2")
    monkeypatch.setitem(bulk_support.COLUMNS, "metrics", bulk_support.COLUMNS["metrics"] - {"is_nan"} | {"older"})
    reason = "MLflow's table metrics differs from the known one in is_nan, older"
    assert unsupported_reason("sqlite:///a.db") == reason
