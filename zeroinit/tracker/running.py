"""Finds the runs that a store marks as RUNNING by one query, and marks them KILLED unless they have ended since."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from sqlalchemy import NullPool, create_engine, select, update

from zeroinit.process import PROCESS_TAGS
from zeroinit.tracker import Record, Status
from zeroinit.tracker.mlflow_sql import MAX_IN, chunks, connect
from zeroinit.tracker.tags import Tag

TAGS = (
    Tag.KIND,
    Tag.SWEEP,
    Tag.IDENTITY,
    Tag.CONFIG_HASH,
    *PROCESS_TAGS,
)  # a run without a kind is not of this project


def find_running_in_database(uri: str) -> list[Record]:
    """Return every RUNNING run of every sweep of a database, with the tags that TAGS names."""
    columns: Any = SqlRun.run_uuid, SqlRun.name, SqlRun.start_time, SqlTag.key, SqlTag.value
    tagged = select(*columns).join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid)
    conditions = SqlRun.status == Status.RUNNING.value, SqlRun.lifecycle_stage == "active", SqlTag.key.in_(TAGS)
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


def mark_killed_in_database(uri: str, run_ids: Sequence[str]) -> int:
    """Mark the runs that are still RUNNING as KILLED, in one transaction. Returns how many."""
    killed = {"status": Status.KILLED.value, "end_time": int(time.time() * 1000)}
    with create_engine(uri, poolclass=NullPool).begin() as connection:
        return sum(
            connection.execute(
                update(SqlRun).where(SqlRun.run_uuid.in_(chunk), SqlRun.status == Status.RUNNING.value).values(killed)
            ).rowcount
            for chunk in chunks(run_ids, MAX_IN)
        )


def find_running_via_client(client: MlflowClient) -> list[Record]:
    """Return every RUNNING run of every sweep of a server."""
    records: list[Record] = []
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    token = None
    while experiments:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        records += [
            Record(run.info.run_name, {}, run.data.tags, started=run.info.start_time / 1000, run_id=run.info.run_id)
            for run in page
            if Tag.KIND in run.data.tags
        ]
        token = page.token
        if not token:
            break
    return records


def mark_killed_via_client(client: MlflowClient, run_ids: Sequence[str]) -> int:
    """Mark the runs that are still RUNNING as KILLED. Returns how many."""
    still_running = [run_id for run_id in run_ids if client.get_run(run_id).info.status == Status.RUNNING]
    for run_id in still_running:
        client.set_terminated(run_id, Status.KILLED)
    return len(still_running)
