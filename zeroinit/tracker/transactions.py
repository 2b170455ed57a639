"""Transactions in MLflow's database that wait for a lock a given time, in which Ctrl-C works."""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, NullPool, event
from sqlalchemy.exc import OperationalError

from zeroinit.tracker.reachable import file_of

WAIT = "wait_seconds"  # the execution option of an engine that says how long a transaction waits for a lock
LOCK_MILLISECONDS = 100  # that SQLite's own code waits at a time: Python handles signals only between
CONNECT_TIMEOUT_DRIVERS = ("psycopg2", "psycopg", "pymysql", "mysqldb")  # their `connect` takes connect_timeout


def make_engine(uri: str, wait_seconds: float) -> Engine:
    """Return an engine for `transaction`, which opens a connection for each transaction.

    Threads can share it, and it can be used after a fork. It never makes the file of an SQLite database.

    Args:
        uri: A database of MLflow.
        wait_seconds: How long a transaction waits for a lock, in seconds; MySQL takes whole seconds, 1 at least.
    """
    options: dict[str, Any] = {"poolclass": NullPool, "execution_options": {WAIT: wait_seconds}}
    if path := file_of(uri):
        address = f"{path.as_uri()}?mode=rw"
        options["creator"] = lambda: sqlite3.connect(address, uri=True, isolation_level=None)
    else:
        options["connect_args"] = limit_connecting(uri, wait_seconds)
    engine = sqlalchemy.create_engine(uri, **options)
    event.listen(engine, "begin", _begin)
    return engine


def limit_connecting(uri: str, seconds: float) -> dict[str, int]:
    """Return the argument of a driver's `connect` that limits its time to these seconds, 2 at least."""
    has_limit = sqlalchemy.make_url(uri).get_driver_name() in CONNECT_TIMEOUT_DRIVERS
    return {"connect_timeout": max(2, math.ceil(seconds))} if has_limit else {}


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction, which is committed at the end; on SQLite it locks the database for writing.

    Raises:
        OperationalError: of SQLAlchemy, where the lock is not free in time, or the database does not answer.
    """
    with engine.begin() as connection:
        yield connection
        if connection.dialect.name == "sqlite":
            _wait_for_lock(connection, "COMMIT")  # it waits for readers; what SQLAlchemy then commits is empty


def _begin(connection: Connection) -> None:
    """Begin a transaction that waits no longer than the engine says; also where other listeners set other times."""
    seconds = connection.get_execution_options()[WAIT]
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {LOCK_MILLISECONDS}")
            connection.exec_driver_sql("PRAGMA cache_spill = OFF")  # a full cache would lock readers out before the end
            _wait_for_lock(connection, "BEGIN IMMEDIATE")
        case "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, round(1000 * seconds))}")
        case "mysql":
            connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {max(1, math.ceil(seconds))}")


def _wait_for_lock(connection: Connection, statement: str) -> None:
    """Run a statement of SQLite again while others hold the lock, as long as the engine says."""
    end = time.monotonic() + connection.get_execution_options()[WAIT]
    while True:
        try:
            connection.exec_driver_sql(statement)
            return
        except OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # without the details
            if code != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
