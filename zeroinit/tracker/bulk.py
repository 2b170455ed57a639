"""Writes runs into the tables of MLflow's database, many in one transaction.

MLflow's client takes five transactions for a run and makes an object for each point, in ten times the time. The rows
are the same. The runs of a server are written by the client, as only the server reaches its tables.

All functions take a connection inside a transaction (tracker/transactions.py), so that they can be combined.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow.entities import LifecycleStage, SourceType
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_USER
from mlflow.utils.uri import append_to_uri_path
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from zeroinit.errors import StoreFailed
from zeroinit.tracker import Record, Status
from zeroinit.tracker.mlflow_sql import MAX_IN, chunks
from zeroinit.tracker.tags import MAX_TAG, Kind, Tag

Row = dict[str, Any]

# mypy knows too little of the tables of these models
EXPERIMENTS: Any = SqlExperiment.__table__
RUNS: Any = SqlRun.__table__
TAGS: Any = SqlTag.__table__
PARAMS: Any = SqlParam.__table__
METRICS: Any = SqlMetric.__table__
LATEST: Any = SqlLatestMetric.__table__

RECORDS_AT_ONCE = 16  # whose rows are in memory together
MAX_FLOAT = 1.7976931348623157e308  # what MLflow stores for infinity


def lock_experiment(connection: Connection, experiment_id: str) -> None:
    """Let other processes wait in this function until the transaction ends; on SQLite they wait where they begin."""
    connection.execute(select(EXPERIMENTS.c.name).where(_is_experiment(experiment_id)).with_for_update())


def insert_running(connection: Connection, experiment_id: str, artifact_root: str, records: Sequence[Record]) -> None:
    """Insert runs that begin, each with the id `run_id` of its record: status RUNNING, tags and params.

    Args:
        connection: In a transaction.
        experiment_id: MLflow's id of the sweep.
        artifact_root: The uri of the experiment's artifacts.
        records: Runs that the database does not have. The tags `kind` and `sweep` are added where they lack.

    Raises:
        StoreFailed: if the experiment was deleted.
    """
    sweep = _name_of_active(connection, experiment_id)
    for group in chunks(records, RECORDS_AT_ONCE):
        rows = [
            _run_row(record, experiment_id, artifact_root) | {"status": Status.RUNNING.value, "end_time": None}
            for record in group
        ]
        _insert(connection, RUNS, rows)
        _insert_texts(connection, group, sweep)


def append_points(connection: Connection, record: Record, points: Iterable[tuple[str, float, int]], stamp: int) -> None:
    """Insert points of a run that trains, and keep the last value of each metric up to date.

    A point that is there already, with whatever stamp, stays. A run that is not there or has ended gets none.

    Args:
        connection: In a transaction.
        record: The run, of which only the id is read.
        points: (metric, value, step), new ones and perhaps older ones.
        stamp: The time of these points, in milliseconds since 1970.
    """
    run_id = record.run_id
    rows = _point_rows(run_id, points, stamp)
    is_running = RUNS.c.run_uuid == run_id, RUNS.c.status == Status.RUNNING.value
    if not rows or not connection.execute(select(RUNS.c.run_uuid).where(*is_running)).first():
        return
    columns = METRICS.c.key, METRICS.c.step, METRICS.c.value, METRICS.c.is_nan
    since = METRICS.c.run_uuid == run_id, METRICS.c.step >= min(row["step"] for row in rows)
    present = {tuple(row) for row in connection.execute(select(*columns).where(*since))}
    new = [row for row in rows if (row["key"], row["step"], row["value"], row["is_nan"]) not in present]
    _insert(connection, METRICS, new)
    latest = _latest_rows(new)
    for keys in chunks(sorted(latest), MAX_IN):
        stored = LATEST.c.run_uuid == run_id, LATEST.c.key.in_(keys)
        known = connection.execute(select(LATEST).where(*stored)).mappings().all()
        for row in known:
            if _age(latest[row["key"]]) <= _age(row):
                del latest[row["key"]]
        if older := [row["key"] for row in known if row["key"] in latest]:
            connection.execute(delete(LATEST).where(LATEST.c.run_uuid == run_id, LATEST.c.key.in_(older)))
    _insert(connection, LATEST, list(latest.values()))


def set_tags(connection: Connection, run_ids: Sequence[str], tags: Mapping[str, str]) -> None:
    """Give the same tags to each of these runs that is there, in place of the values that it has."""
    for chunk in chunks(run_ids, MAX_IN):
        present = connection.scalars(select(RUNS.c.run_uuid).where(RUNS.c.run_uuid.in_(chunk))).all()
        connection.execute(delete(TAGS).where(TAGS.c.run_uuid.in_(present), TAGS.c.key.in_([*tags])))
        _insert(connection, TAGS, [row for run_id in present for row in _text_rows(run_id, _cut(tags))])


def write_whole(connection: Connection, experiment_id: str, artifact_root: str, records: Iterable[Record]) -> None:
    """Write runs that ended, with all that their records have but the files, in place of all rows of these runs.

    The tags are those of the record, so the caller sets `artifacts` and `tracking_seconds`. All points have the time
    of the run's end. A second call with the same records leaves the same rows.

    Args:
        connection: In a transaction.
        experiment_id: MLflow's id of the sweep.
        artifact_root: The uri of the experiment's artifacts.
        records: Any number, of this sweep. The tags `kind` and `sweep` are added where they lack.

    Raises:
        StoreFailed: if the experiment was deleted.
    """
    sweep = _name_of_active(connection, experiment_id)
    by_id = {record.run_id: record for record in records}
    for group in chunks([*by_id.values()], RECORDS_AT_ONCE):
        ids = [record.run_id for record in group]
        present = set(connection.scalars(select(RUNS.c.run_uuid).where(RUNS.c.run_uuid.in_(ids))))
        rows = [_run_row(record, experiment_id, artifact_root) for record in group]
        if present:  # in MySQL, a delete that finds nothing would lock rows that others insert
            for table in (TAGS, PARAMS, METRICS, LATEST):
                connection.execute(delete(table).where(table.c.run_uuid.in_(present)))
            # other tables of MLflow may refer to the row of a run
            replaced = update(RUNS).where(RUNS.c.run_uuid == bindparam("present"))
            connection.execute(
                replaced, [row | {"present": row["run_uuid"]} for row in rows if row["run_uuid"] in present]
            )
        _insert(connection, RUNS, [row for row in rows if row["run_uuid"] not in present])
        _insert_texts(connection, group, sweep)
        by_run = [_point_rows(record.run_id, record.metrics, _stamp_of(record)) for record in group]
        _insert(connection, METRICS, [row for points in by_run for row in points])
        _insert(connection, LATEST, [row for points in by_run for row in _latest_rows(points).values()])


def _is_experiment(experiment_id: str) -> Any:
    return EXPERIMENTS.c.experiment_id == int(experiment_id)


def _name_of_active(connection: Connection, experiment_id: str) -> str:
    """Return the name of an experiment. Raises StoreFailed where it is deleted, as MLflow's client does."""
    is_active = EXPERIMENTS.c.lifecycle_stage == LifecycleStage.ACTIVE
    name = connection.scalar(select(EXPERIMENTS.c.name).where(_is_experiment(experiment_id), is_active))
    if name is None:
        raise StoreFailed(f"the store has no experiment {experiment_id} any more: it was deleted")
    return str(name)


def _run_row(record: Record, experiment_id: str, artifact_root: str) -> Row:
    return {
        "run_uuid": record.run_id,
        "name": record.name,
        "source_type": SourceType.to_string(SourceType.UNKNOWN),
        "source_name": "",
        "entry_point_name": "",
        "user_id": record.tags.get(MLFLOW_USER, "unknown"),
        "status": str(record.status),
        "start_time": int(record.started * 1000),
        "end_time": int(record.ended_at * 1000) or None,
        "deleted_time": None,
        "source_version": "",
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "artifact_uri": append_to_uri_path(artifact_root, record.run_id, "artifacts"),  # type: ignore[no-untyped-call]
        "experiment_id": int(experiment_id),
    }


def _insert_texts(connection: Connection, records: Sequence[Record], sweep: str) -> None:
    """Insert the tags and params of these runs, of which the database has none."""
    added = {Tag.KIND: Kind.RUN.value, Tag.SWEEP: sweep}
    tags = {record.run_id: _cut(added | record.tags | {MLFLOW_RUN_NAME: record.name}) for record in records}
    _insert(connection, TAGS, [row for run_id, texts in tags.items() for row in _text_rows(run_id, texts)])
    params = [row for record in records for row in _text_rows(record.run_id, record.params)]
    _insert(connection, PARAMS, params)


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:MAX_TAG] for name, value in tags.items()}


def _text_rows(run_id: str, texts: Mapping[str, str]) -> list[Row]:
    return [{"run_uuid": run_id, "key": str(name), "value": str(value)} for name, value in texts.items()]


def _stamp_of(record: Record) -> int:
    """Return the time of the points of a run that ended, in milliseconds since 1970."""
    return int((record.ended_at or record.started) * 1000)


def _point_rows(run_id: str, points: Iterable[tuple[str, float, int]], stamp: int) -> list[Row]:
    """Return a row for each point that differs from those before it, with MLflow's numbers for NaN and infinity."""
    rows: dict[tuple[str, int, float, bool], Row] = {}
    for name, value, step in points:
        is_nan = math.isnan(value)
        number = 0.0 if is_nan else max(-MAX_FLOAT, min(MAX_FLOAT, float(value)))
        row = {"run_uuid": run_id, "key": name, "timestamp": stamp, "step": step, "value": number, "is_nan": is_nan}
        rows.setdefault((name, step, number, is_nan), row)
    return [*rows.values()]


def _latest_rows(rows: Iterable[Row]) -> dict[str, Row]:
    """Return {metric: its last row}: that of the highest step, then time, then number."""
    latest: dict[str, Row] = {}
    for row in rows:
        last = latest.get(row["key"])
        if last is None or _age(row) > _age(last):
            latest[row["key"]] = row
    return latest


def _age(row: Any) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]


def _insert(connection: Connection, table: Any, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(table), rows)
