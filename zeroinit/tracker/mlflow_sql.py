"""Reads a sweep from MLflow's own tables, one query each: its client takes ten times as long for a thousand runs."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from sqlalchemy import ColumnElement, Connection, NullPool, create_engine, select

from zeroinit.process import PROCESS_TAGS
from zeroinit.tracker import Record, Status
from zeroinit.tracker.reachable import file_of
from zeroinit.tracker.renamed import stored_names, translate_metric, translate_params, translate_tags
from zeroinit.tracker.tags import Tag
from zeroinit.tracker.transactions import limit_connecting

# of a run that is RUNNING, by which it is judged; a run without a kind is not of this project
RUNNING_TAGS = (Tag.KIND, Tag.SWEEP, Tag.IDENTITY, Tag.CONFIG_HASH, Tag.LEASE, *PROCESS_TAGS)
Histories = dict[str, dict[str, dict[int, float]]]  # {run id: {metric: {step: value}}}

LOCK_SECONDS = 0.5
CONNECT_SECONDS = 10.0  # for a database that is a server to accept a connection
MAX_IN = 1000  # values of an IN (...); databases refuse a statement with tens of thousands


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield the items in their order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def connect(uri: str) -> Iterator[Connection]:
    """Yield a connection to the database, to read; it waits for a lock for a moment only, as C code cannot be ended."""
    limit = {"timeout": LOCK_SECONDS} if file_of(uri) else limit_connecting(uri, CONNECT_SECONDS)
    with create_engine(uri, poolclass=NullPool, connect_args=limit).connect() as connection:
        yield connection


def records(
    uri: str,
    experiment_id: str,
    kind: str,
    identities: Collection[str] | None = None,
    statuses: Collection[str] = (),
) -> list[tuple[Record, str]]:
    """Return the runs of an experiment that have this kind, newest first, each with the uri of its artifacts.

    A record has the last value of each metric.

    Args:
        uri: The database.
        experiment_id: The experiment.
        kind: The value of the tag `kind`.
        identities: Those of the runs; None for all.
        statuses: Those of the runs; none for all.
    """
    conditions = _conditions(experiment_id, kind, identities, statuses)
    params: dict[str, dict[str, str]] = defaultdict(dict)
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    metrics: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    with connect(uri) as connection:
        order = SqlRun.start_time.desc(), SqlRun.run_uuid
        times: Any = SqlRun.start_time, SqlRun.end_time
        columns = SqlRun.run_uuid, SqlRun.name, SqlRun.status, *times, SqlRun.artifact_uri
        runs = connection.execute(select(*columns).where(*conditions).order_by(*order)).all()
        for table, by_run in ((SqlParam, params), (SqlTag, tags)):
            pairs = select(table.run_uuid, table.key, table.value).join(SqlRun, SqlRun.run_uuid == table.run_uuid)
            for run_id, key, value in connection.execute(pairs.where(*conditions)).all():
                by_run[run_id][key] = value
        last = SqlLatestMetric
        points = select(last.run_uuid, last.key, last.value, last.step, last.is_nan)
        for run_id, key, value, step, is_nan in connection.execute(
            points.join(SqlRun, SqlRun.run_uuid == last.run_uuid).where(*conditions).order_by(last.key)
        ).all():
            metrics[run_id].append((translate_metric(key), math.nan if is_nan else value, step))
    wanted = {*identities} if identities is not None else set()
    translated = {run_id: (translate_params(params[run_id]), translate_tags(tags[run_id])) for run_id, *_ in runs}
    return [
        (
            Record(
                name,
                *translated[run_id],
                status,
                metrics[run_id],
                started=start / 1000,
                ended_at=(end or 0) / 1000,
                run_id=run_id,
            ),
            uri,
        )
        for run_id, name, status, start, end, uri in runs
        if tags[run_id].get(Tag.KIND) == kind and (identities is None or tags[run_id].get(Tag.IDENTITY) in wanted)
    ]


def _conditions(
    experiment_id: str, kind: str, identities: Collection[str] | None, statuses: Collection[str]
) -> tuple[ColumnElement[bool], ...]:
    """Return what the runs must meet; the others of more than MAX_IN identities are dropped later."""
    conditions: tuple[ColumnElement[bool], ...] = (
        SqlRun.experiment_id == int(experiment_id),
        SqlRun.lifecycle_stage == "active",
        SqlRun.run_uuid.in_(select(SqlTag.run_uuid).where(SqlTag.key == Tag.KIND, SqlTag.value == kind)),
    )
    if statuses:
        conditions += (SqlRun.status.in_([str(status) for status in statuses]),)
    if identities is not None and len(identities) <= MAX_IN:
        having: Any = select(SqlTag.run_uuid).where(SqlTag.key == Tag.IDENTITY, SqlTag.value.in_(identities))
        conditions += (SqlRun.run_uuid.in_(having),)
    return conditions


def histories(uri: str, experiment_id: str, metrics: Sequence[str]) -> Histories:
    """Return {run id: {metric: {step: value}}} of these metrics of an experiment, by step."""
    stored: Histories = defaultdict(lambda: defaultdict(dict))
    table = SqlMetric
    columns: Any = table.run_uuid, table.key, table.value, table.step  # mypy knows too little of their types
    names = [name for metric in metrics for name in stored_names(metric)]
    conditions = SqlRun.experiment_id == int(experiment_id), table.key.in_(names), ~table.is_nan
    with connect(uri) as connection:
        points = select(*columns).join(SqlRun, SqlRun.run_uuid == table.run_uuid).where(*conditions)
        for run_id, key, value, step in connection.execute(points).all():  # the database would take longer to sort them
            stored[run_id][key][step] = value
    return {run_id: merge_names(by_name) for run_id, by_name in stored.items()}


def merge_names(by_name: Mapping[str, Mapping[int, float]]) -> dict[str, dict[int, float]]:
    """Return the histories of a run under today's names of the metrics, by step."""
    merged: dict[str, dict[int, float]] = defaultdict(dict)
    for name, history in by_name.items():
        merged[translate_metric(name)] |= history
    return {name: dict(sorted(history.items())) for name, history in merged.items()}


def find_running(uri: str) -> list[Record]:
    """Return every RUNNING run of every sweep of a database, with the tags that RUNNING_TAGS names."""
    columns: Any = SqlRun.run_uuid, SqlRun.name, SqlRun.start_time, SqlTag.key, SqlTag.value
    tagged = select(*columns).join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid)
    conditions = SqlRun.status == Status.RUNNING.value, SqlRun.lifecycle_stage == "active", SqlTag.key.in_(RUNNING_TAGS)
    names: dict[str, tuple[str, int]] = {}
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    with connect(uri) as connection:
        for run_id, name, start_time, key, value in connection.execute(tagged.where(*conditions)):
            names[run_id] = name, start_time
            tags[run_id][key] = value
    return [
        Record(name, {}, tags[run_id], started=start_time / 1000, run_id=run_id)
        for run_id, (name, start_time) in names.items()
        if Tag.KIND in tags[run_id]
    ]
