"""Writes runs to a database by MLflow's own tables, each stack in one transaction."""

import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
from sqlalchemy import Connection, select, update

from zeroinit.tracker import ENDED, Record, Status, artifacts, bulk
from zeroinit.tracker.leases import is_held, make_lease
from zeroinit.tracker.mlflow_sql import MAX_IN, chunks
from zeroinit.tracker.tags import Tag
from zeroinit.tracker.transactions import make_engine, transaction

CLAIM_SECONDS = 5.0  # to wait for other writers before a run trains without a claim
PROGRESS_SECONDS = 1.0  # while a run trains
WRITE_SECONDS = 2.0  # for runs that ended; it is tried again


class StoredRun(NamedTuple):
    """A run in the database: its ids, its status, and when it ended, in seconds since the epoch; 0 before."""

    run_id: str
    identity: str
    status: str
    ended_at: float


class DatabaseWriter:
    """Writes the runs of one sweep.

    Args:
        uri: The database.
        experiment_id: The experiment of the sweep.
        artifact_root: The folder of the experiment's files, as a uri.
        opened: When the store was opened, in seconds since the epoch.
    """

    def __init__(self, uri: str, experiment_id: str, artifact_root: str, opened: float) -> None:
        self.uri, self.experiment_id, self.artifact_root, self.opened = uri, experiment_id, artifact_root, opened
        self._written: dict[str, int] = {}  # {run id: how many of its metrics are in the store}

    def claim(self, records: Sequence[Record]) -> list[Record]:
        """Write each run as RUNNING, unless another process trains or has trained it.

        Returns:
            The runs that were not written.
        """
        with transaction(make_engine(self.uri, CLAIM_SECONDS)) as connection:
            bulk.lock_experiment(connection, self.experiment_id)
            taken = self._find_taken(connection, {record.identity for record in records})
            free = [record for record in records if record.identity not in taken]
            for record in free:
                record.tags |= make_lease()
            bulk.insert_running(connection, self.experiment_id, self.artifact_root, free)
        self._written |= {record.run_id: 0 for record in free}
        return [record for record in records if record.identity in taken]

    def _find_taken(self, connection: Connection, identities: Collection[str]) -> set[str]:
        """Return the identities that another process trains, or that ended since the store was opened."""
        taken: set[str] = set()
        for run in self._find_runs(connection, identities, (*ENDED, Status.RUNNING.value)):
            is_new = run.status in ENDED and run.ended_at >= self.opened
            if is_new or (run.status == Status.RUNNING and is_held(self._tags_of(connection, run.run_id))):
                taken.add(run.identity)
        return taken

    def _find_runs(
        self, connection: Connection, identities: Collection[str], statuses: Collection[str]
    ) -> list[StoredRun]:
        """Return the runs of the sweep with one of the identities and statuses."""
        columns: Any = SqlRun.run_uuid, SqlRun.status, SqlRun.end_time, SqlTag.value
        conditions = (
            SqlRun.experiment_id == int(self.experiment_id),
            SqlRun.lifecycle_stage == "active",
            SqlRun.status.in_(statuses),
            SqlTag.key == Tag.IDENTITY,
        )
        query = select(*columns).join(SqlTag, SqlTag.run_uuid == SqlRun.run_uuid).where(*conditions)
        return [
            StoredRun(run_id, identity, status, (end or 0) / 1000)
            for chunk in chunks([*identities], MAX_IN)
            for run_id, status, end, identity in connection.execute(query.where(SqlTag.value.in_(chunk)))
        ]

    def _tags_of(self, connection: Connection, run_id: str) -> dict[str, str]:
        columns: Any = SqlTag.key, SqlTag.value
        return {key: value for key, value in connection.execute(select(*columns).where(SqlTag.run_uuid == run_id))}

    def write_progress(self, records: Sequence[Record]) -> None:
        """Write the new metrics of runs that train, and renew their lease."""
        claimed = [record for record in records if record.run_id in self._written]
        if not claimed:
            return
        stamp = int(time.time() * 1000)
        lengths = {record.run_id: len(record.metrics) for record in claimed}
        with transaction(make_engine(self.uri, PROGRESS_SECONDS)) as connection:
            for record in claimed:
                new = record.metrics[self._written[record.run_id] : lengths[record.run_id]]
                bulk.append_points(connection, record, new, stamp)
            bulk.set_tags(connection, [record.run_id for record in claimed], make_lease())
        self._written |= lengths

    def write(self, records: Sequence[Record]) -> None:
        """Write runs that ended, whole, in one transaction.

        A run that another process trained in the same time, because neither could see the other, is left out.
        """
        for record in records:
            artifacts.write_files(f"{self.artifact_root}/{record.run_id}/artifacts", self.uri, record.files)
        with transaction(make_engine(self.uri, WRITE_SECONDS)) as connection:
            bulk.lock_experiment(connection, self.experiment_id)
            doubled = self._find_doubled(connection, records)
            for run_id in doubled:
                mark = update(SqlRun).where(SqlRun.run_uuid == run_id, SqlRun.status == Status.RUNNING.value)
                connection.execute(mark.values(status=Status.KILLED.value, end_time=int(time.time() * 1000)))
            rest = [record for record in records if record.run_id not in doubled]
            bulk.write_whole(connection, self.experiment_id, self.artifact_root, rest)

    def _find_doubled(self, connection: Connection, records: Sequence[Record]) -> set[str]:
        """Return the ids of the runs that have a twin: a run of the same identity that finished after they began."""
        finished = [record for record in records if record.status == Status.FINISHED]
        ends: dict[str, list[tuple[str, float]]] = {}  # {identity: (run id, end in seconds)}
        for run in self._find_runs(connection, {record.identity for record in finished}, (Status.FINISHED.value,)):
            ends.setdefault(run.identity, []).append((run.run_id, run.ended_at))
        doubled: set[str] = set()
        for record in finished:
            twins = ends.setdefault(record.identity, [])
            if any(run_id != record.run_id and end >= record.started for run_id, end in twins):
                doubled.add(record.run_id)
            else:
                twins.append((record.run_id, record.ended_at))
        return doubled

    def mark_killed(self, run_ids: Sequence[str]) -> int:
        """Mark the runs of any sweep that are still RUNNING as KILLED, in one transaction. Returns how many."""
        killed = {"status": Status.KILLED.value, "end_time": int(time.time() * 1000)}
        with transaction(make_engine(self.uri, WRITE_SECONDS)) as connection:
            return sum(
                connection.execute(
                    update(SqlRun)
                    .where(SqlRun.run_uuid.in_(chunk), SqlRun.status == Status.RUNNING.value)
                    .values(killed)
                ).rowcount
                for chunk in chunks(run_ids, MAX_IN)
            )
