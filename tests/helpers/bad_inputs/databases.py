"""Damaged databases, and what is none."""

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from mlflow import MlflowClient

from helpers.bad_inputs.examples import Entry, Example

NET = ["dataset=xor", "arch=logistic", "steps=3"]
STATEMENTS = [
    *(
        "update alembic_version set version_num='deadbeef0000'",
        "delete from alembic_version",
        "drop table alembic_version",
    ),
    *(
        "drop table runs",
        "drop table experiments",
        "alter table runs rename column status to state",
        "drop table metrics",
    ),
    *("drop table tags", "drop table params", "delete from experiments", "drop table latest_metrics"),
    "update experiments set artifact_location=null where experiment_id = 1",
    "update experiments set artifact_location='s3://nowhere/x' where experiment_id = 1",
    "update experiments set artifact_location='/dev/null/x' where experiment_id = 1",
    "update experiments set artifact_location=x'ff00' where experiment_id = 1",
    "insert into runs (run_uuid, experiment_id, status) values ('a', 0, 'NONSENSE')",
    "create table spam (x); insert into spam select zeroblob(9999)",
    "pragma user_version = 99",
    "pragma journal_mode = wal",
]
OTHERS = [
    "create table bookmarks (url text)",
    "create table experiments (id integer); create table runs (x text)",
    "create table alembic_version (version_num text); insert into alembic_version values ('abc')",
    "create table alembic_version (version_num text); insert into alembic_version values ('451aebb31d03')",
    "create view experiments as select 1 as experiment_id",
]


@cache
def _whole() -> bytes:
    """Return a database with MLflow's tables, and the experiment `zeroinit`."""
    with tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("zeroinit")
        for _ in range(3):
            client.log_param(client.create_run(experiment).info.run_id, "a", "1")
        return Path(folder, "mlflow.db").read_bytes()


@cache
def _changed(statements: str, start: bytes) -> bytes:
    """Return a database after statements."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.db")
        path.write_bytes(start)
        connection = sqlite3.connect(path)
        connection.executescript(statements)
        connection.commit()
        connection.close()
        return path.read_bytes()


def _overwrite(content: bytes, share: float, change: bytes) -> bytes:
    start = int(len(content) * share)
    return content[:start] + change + content[start + len(change) :]


def _example(entry: Entry, extra: tuple[str, Entry] | None) -> Example:
    files: dict[str, Entry] = {"store.db": entry}
    if extra:
        files[extra[0]] = extra[1]
    return Example([*NET, "tracker.uri=sqlite:///store.db"], files, ("tracker.uri",))


def databases() -> st.SearchStrategy[Example]:
    """Return the strategy; the first call makes a database, which takes seconds."""
    whole = _whole()
    shares = st.one_of(st.floats(0, 1), st.floats(0, 100 / len(whole)))
    entries: st.SearchStrategy[Entry] = st.one_of(
        shares.map(lambda share: whole[: 100 + int(len(whole) * share)]),  # an empty file is a new database
        st.tuples(shares, st.binary(min_size=1, max_size=100)).map(lambda pair: _overwrite(whole, *pair)),
        st.tuples(st.integers(0, len(whole) // 4096 - 1), st.binary(min_size=4096, max_size=4096)).map(
            lambda pair: _overwrite(whole, pair[0] * 4096 / len(whole), pair[1])
        ),
        st.integers(1, len(whole) // 4096 - 1).map(
            lambda page: _overwrite(whole, (page * 4096 + 1) / len(whole), bytes(4095))
        ),
        st.sampled_from(STATEMENTS).map(lambda statements: _changed(statements, whole)),
        st.sampled_from(OTHERS).map(lambda statements: _changed(statements, b"")),
        st.binary(min_size=20, max_size=200),
        st.binary(max_size=200).map(lambda rest: b"SQLite format 3\0" + rest),
        st.sampled_from(
            [("fifo", ""), ("folder", ""), ("link", "store.db"), ("link", "/dev/zero"), ("link", "/dev/full")]
        ),
    )
    extras = st.one_of(
        st.none(),
        st.none(),
        st.tuples(
            st.sampled_from(["store.db-wal", "store.db-journal", "store.db-shm", "store.db.lock", "artifacts"]),
            st.one_of(st.binary(max_size=100), st.sampled_from([("folder", ""), ("fifo", "")])),
        ),
    )
    return st.builds(_example, entries, extras)
