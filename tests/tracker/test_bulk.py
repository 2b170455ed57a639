"""Rows that are written into MLflow's tables in bulk against those that its client writes for the same runs."""

import math
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from mlflow.entities import Metric, Param, RunTag
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from zeroinit.errors import StoreFailed
from zeroinit.tracker import Record, bulk, bulk_support, transactions
from zeroinit.tracker.bulk_support import unsupported_reason
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.transactions import make_engine, transaction

Point = tuple[str, float, int]  # (metric, value, step)

STAMPS = ("timestamp", "end_time")
ENDED = 1800000000.5
ODD = [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308, -1.5, math.nan, 2.0, 2.0, -3.0]
# each value at a step of its own; all at the same step; in falling steps; NaN and a negative number at the last step
POINTS: list[Point] = [("odd/rising", value, step) for step, value in enumerate(ODD)]
POINTS += [("odd/repeated", value, 3) for value in ODD]
POINTS += [("odd/falling", value, 50 - step) for step, value in enumerate(ODD)]
POINTS += [("odd/end", -1.0, 9), ("odd/end", math.nan, 9), ("odd/negative", math.nan, 9), ("odd/negative", -1.0, 9)]
POINTS += [("odd/zero", math.nan, 4), ("odd/zero", 0.0, 4)]
POINTS += [(f"grad/layer{layer}/norm", layer / (1 + step), step) for step in range(5, 400) for layer in range(3)]
LATER = [("odd/end", -7.0, 12), ("odd/falling", 7.0, 1), ("odd/new", math.nan, 0), ("grad/layer0/norm", 7.0, 2)]
TEXTS = {"empty": "", "unicode": "η = 0.1 · 你好 🎲 e\u0301", "lines": "a\nb\t\"c\" 'd' \\ % :e", "long": "ü" * 7000}


def make_record(seed: int, status: str = "FINISHED") -> Record:
    params = {"seeds.init": str(seed), "init": "zero"} | {name: text[:6000] for name, text in TEXTS.items()}
    tags = {"config_hash": f"hash {seed}", **(TEXTS | {"mlflow.user": "Ada"} if seed else {})}
    return Record(f"zero seed {seed} ü", params, tags, status, started=1700000000.1234 + seed)


class ByClient:
    """Writes runs by MLflow's client, in the calls that need the fewest transactions."""

    def __init__(self, tracker: Mlflow) -> None:
        self.client, self.experiment_id, self.sweep = tracker.client, tracker.experiment_id, tracker.sweep

    def begin(self, record: Record) -> None:
        tags = {**record.tags, "sweep": self.sweep, "kind": "run"}
        start = int(record.started * 1000)
        record.run_id = self.client.create_run(self.experiment_id, start, tags, record.name).info.run_id
        self.client.log_batch(record.run_id, params=[Param(*param) for param in record.params.items()])

    def append(self, record: Record, points: list[Point]) -> None:
        stamp = int(time.time() * 1000)
        for first in range(0, len(points), 1000):
            batch = [Metric(name, value, stamp, step) for name, value, step in points[first : first + 1000]]
            self.client.log_batch(record.run_id, metrics=batch)

    def end(self, record: Record) -> None:
        self.client.log_batch(record.run_id, tags=[RunTag(name, tag[:8000]) for name, tag in record.tags.items()])
        self.client.set_terminated(record.run_id, record.status)


def rows_of(database: Path, run_ids: list[str], without: tuple[str, ...] = STAMPS) -> dict[str, list[Any]]:
    """Return the sorted rows of every table, but these columns, with numbers in place of the ids of runs."""

    def as_plain(value: object) -> object:
        for number, run_id in enumerate(run_ids):
            value = value.replace(run_id, f"run {number}") if isinstance(value, str) else value
        return value

    tables: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(database)) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            cursor = connection.execute(f'select * from "{table}"')
            columns = [column[0] for column in cursor.description]
            rows = [
                [as_plain(value) for column, value in zip(columns, row, strict=True) if column not in without]
                for row in cursor
            ]
            tables[table] = sorted(rows, key=repr)
    return tables


def remove_runs(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            connection.execute(f"delete from {table}")
        connection.commit()


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


def test_bulk_leaves_the_rows_of_the_client(
    tracker: Mlflow, engine: Engine, where: tuple[str, str], database: Path, records: list[Record]
) -> None:
    """Every column of every table but the times: while runs train, after their end, and after a second write."""
    batches = [POINTS, LATER]
    by_client = ByClient(tracker)
    for record in records:
        by_client.begin(record)
    for batch in batches:
        for record in records[:3]:  # the last run has no points
            record.metrics += batch
            by_client.append(record, batch)
    ids = [record.run_id for record in records]
    live = rows_of(database, ids)
    assert len(live["metrics"]) > 3000
    for record in records:
        record.tags["long"] = "ü" * 9000
        record.ended_at = ENDED
        by_client.end(record)
    whole = rows_of(database, ids)

    remove_runs(database)
    with transaction(engine) as connection:
        bulk.write_whole(connection, *where, records)
    exact = rows_of(database, ids, without=())
    assert rows_of(database, ids) == whole

    remove_runs(database)
    beginning = [make_record(seed) for seed in range(4)]
    for record, run_id in zip(beginning, ids, strict=True):
        record.run_id = run_id
    with transaction(engine) as connection:
        bulk.lock_experiment(connection, where[0])
        bulk.insert_running(connection, *where, beginning)
    for stamp, batch in enumerate([*batches, POINTS[::7] + LATER]):  # the last was there already
        for record in beginning[:3]:
            with transaction(engine) as connection:
                bulk.append_points(connection, record, batch, stamp)
    assert rows_of(database, ids) == live
    for _ in range(2):
        with transaction(engine) as connection:
            bulk.set_tags(connection, ids, {"lease": "7"})  # of a run that trains
            bulk.write_whole(connection, *where, [records[0], *records])
        assert rows_of(database, ids, without=()) == exact
    assert {row[2] for name in ("metrics", "latest_metrics") for row in exact[name]} == {1800000000500}
    assert exact["runs"][1][7:9] == [1700000001123, 1800000000500]


def test_tags_are_replaced_and_points_added_only_where_a_run_is(
    engine: Engine, where: tuple[str, str], database: Path, records: list[Record]
) -> None:
    for number, record in enumerate(records):
        record.run_id = str(number) * 32
    with transaction(engine) as connection:
        bulk.insert_running(connection, *where, [*records[:2], records[3]])
        bulk.write_whole(connection, *where, records[1:2])  # it ended
    before = rows_of(database, [])
    with transaction(engine) as connection:
        for record in records[1:3]:
            bulk.append_points(connection, record, POINTS, 1)
        bulk.set_tags(connection, [record.run_id for record in records[:3]], {"lease": "7", "config_hash": "ü" * 9000})
    after = rows_of(database, [])
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
