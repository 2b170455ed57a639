"""The runs that a store marks as RUNNING: read by one query, and marked as KILLED unless they have ended since."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from sqlalchemy import NullPool, create_engine, select, update

from zeroinit.tracker import Record
from zeroinit.tracker.mlflow_sql import MAX_IN, chunks, connected

PROCESS_TAGS = ("process.host", "process.boot", "process.pid", "process.start")
TAGS = ("kind", "identity", "config_hash", *PROCESS_TAGS)  # without a kind, a run is not of this project


def running_in_tables(uri: str) -> list[Record]:
    """Return every RUNNING run of every sweep of a database, with those of its tags that TAGS names."""
    columns: Any = SqlRun.run_uuid, SqlRun.name, SqlRun.start_time, SqlTag.key, SqlTag.value
    tagged = select(*columns).join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid)
    asked = SqlRun.status == "RUNNING", SqlRun.lifecycle_stage == "active", SqlTag.key.in_(TAGS)
    names: dict[str, tuple[str, int]] = {}
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    with connected(uri) as connection:
        for run_id, name, start_time, key, value in connection.execute(tagged.where(*asked)):
            names[run_id] = name, start_time
            tags[run_id][key] = value
    return [
        Record(name, {}, tags[run_id], started=start_time / 1000, run_id=run_id)
        for run_id, (name, start_time) in names.items()
        if "kind" in tags[run_id]
    ]


def kill_in_tables(uri: str, run_ids: Sequence[str]) -> int:
    """Mark those of the runs as KILLED that are still RUNNING, in one transaction. Returns how many."""
    killed = {"status": "KILLED", "end_time": int(time.time() * 1000)}
    with create_engine(uri, poolclass=NullPool).begin() as connection:
        return sum(
            connection.execute(
                update(SqlRun).where(SqlRun.run_uuid.in_(some), SqlRun.status == "RUNNING").values(killed)
            ).rowcount
            for some in chunks(run_ids, MAX_IN)
        )


def running_of_client(client: MlflowClient) -> list[Record]:
    """Return every RUNNING run of every sweep of a server."""
    found: list[Record] = []
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    token = None
    while experiments:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        found += [
            Record(run.info.run_name, {}, run.data.tags, started=run.info.start_time / 1000, run_id=run.info.run_id)
            for run in page
            if "kind" in run.data.tags
        ]
        token = page.token
        if not token:
            break
    return found


def kill_by_client(client: MlflowClient, run_ids: Sequence[str]) -> int:
    """Mark those of the runs as KILLED that are still RUNNING. Returns how many."""
    still_running = [run_id for run_id in run_ids if client.get_run(run_id).info.status == "RUNNING"]
    for run_id in still_running:
        client.set_terminated(run_id, "KILLED")
    return len(still_running)
