"""A sweep read from MLflow's own tables, a query each: its client takes ten times as long for a thousand runs."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from sqlalchemy import ColumnElement, Connection, NullPool, create_engine, select

from zeroinit.tracker import Record

MAX_IN = 1000  # values of an IN (...): databases refuse a statement with tens of thousands


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield the items in their order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def connected(uri: str) -> Iterator[Connection]:
    with create_engine(uri, poolclass=NullPool).connect() as connection:
        yield connection


def records(
    uri: str, experiment_id: str, kind: str, identities: Collection[str] | None = None
) -> list[tuple[Record, str]]:
    """The runs of an experiment that are of this kind, newest first, each with the uri of its artifacts.

    Of each metric the last value. With `identities`, those alone that finished and have one of them.
    """
    asked: tuple[ColumnElement[bool], ...] = (
        SqlRun.experiment_id == int(experiment_id),
        SqlRun.lifecycle_stage == "active",
    )
    if identities is not None:
        asked += (SqlRun.status == "FINISHED",)
    if identities is not None and len(identities) <= MAX_IN:  # else it reads all that finished, and drops the rest
        having: Any = select(SqlTag.run_uuid).where(SqlTag.key == "identity", SqlTag.value.in_(identities))
        asked += (SqlRun.run_uuid.in_(having),)
    params: dict[str, dict[str, str]] = defaultdict(dict)
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    metrics: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    with connected(uri) as connection:
        order = SqlRun.start_time.desc(), SqlRun.run_uuid
        columns = SqlRun.run_uuid, SqlRun.name, SqlRun.status, SqlRun.start_time, SqlRun.artifact_uri
        runs = connection.execute(select(*columns).where(*asked).order_by(*order)).all()
        for table, found in ((SqlParam, params), (SqlTag, tags)):
            pairs = select(table.run_uuid, table.key, table.value).join(SqlRun, SqlRun.run_uuid == table.run_uuid)
            for run_id, key, value in connection.execute(pairs.where(*asked)):
                found[run_id][key] = value
        last = SqlLatestMetric
        points = select(last.run_uuid, last.key, last.value, last.step, last.is_nan)
        for run_id, key, value, step, is_nan in connection.execute(
            points.join(SqlRun, SqlRun.run_uuid == last.run_uuid).where(*asked).order_by(last.key)
        ):
            metrics[run_id].append((key, math.nan if is_nan else value, step))
    wanted = {*identities} if identities is not None else set()
    return [
        (Record(name, params[one], tags[one], status, metrics[one], started=start / 1000, run_id=one), place)
        for one, name, status, start, place in runs
        if tags[one].get("kind") == kind and (identities is None or tags[one].get("identity") in wanted)
    ]


def courses(
    uri: str, experiment_id: str, metrics: Sequence[str]
) -> dict[tuple[str, str], list[tuple[str, float, int]]]:
    """{(run id, metric): [(metric, value, step)]} of these metrics of an experiment, by step."""
    found: dict[tuple[str, str], list[tuple[str, float, int]]] = defaultdict(list)
    one = SqlMetric
    columns: Any = one.run_uuid, one.key, one.value, one.step  # of which mypy knows too little
    asked = SqlRun.experiment_id == int(experiment_id), one.key.in_(metrics), ~one.is_nan
    with connected(uri) as connection:
        points = select(*columns).join(SqlRun, SqlRun.run_uuid == one.run_uuid).where(*asked)
        for run_id, key, value, step in connection.execute(points.order_by(one.step)):
            found[run_id, key].append((key, value, step))
    return found
