"""Writes runs by MLflow's client: to a server, or to a database whose tables are not the ones that we know.

A server chooses the id of a run. So each run has a tag with the id that it had before, by which it is searched before
it is made once more. Two processes may search at the same time: a claim here is a best effort, no guarantee.
"""

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from zeroinit.tracker import ENDED, Record, Status, artifacts
from zeroinit.tracker.leases import is_held, make_lease
from zeroinit.tracker.mlflow_sql import chunks
from zeroinit.tracker.tags import MAX_TAG, Kind, Tag


class ServerWriter:
    """Writes the runs of one sweep.

    Args:
        client: The client.
        uri: The server.
        experiment_id: The experiment of the sweep.
        sweep: The name of the sweep.
        opened: When the store was opened, in seconds since the epoch.
    """

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, sweep: str, opened: float) -> None:
        self.client, self.uri, self.experiment_id, self.sweep, self.opened = client, uri, experiment_id, sweep, opened
        self._written: dict[str, int] = {}  # {id of a record: how many of its metrics are in the store}
        self._ids: dict[str, str] = {}  # {id of a record: that of its run on the server}

    def claim(self, records: Sequence[Record]) -> list[Record]:
        """Write each run as RUNNING, unless another process trains or has trained it.

        Returns:
            The runs that were not written.
        """
        held = [record for record in records if self._is_taken(record.identity)]
        for record in records:
            if record not in held:
                record.tags |= make_lease()
                self._begin(record)
        return held

    def _is_taken(self, identity: str) -> bool:
        query = f"tags.{Tag.IDENTITY} = '{identity}'"
        runs = self.client.search_runs([self.experiment_id], query, order_by=["attributes.start_time DESC"])
        return any(
            (run.info.status in ENDED and (run.info.end_time or 0) >= self.opened * 1000)
            or (run.info.status == Status.RUNNING and is_held(run.data.tags))
            for run in runs
        )

    def _begin(self, record: Record) -> str:
        """Return the id of the record's run on the server, which is made if it is not there."""
        if record.run_id in self._ids:
            return self._ids[record.run_id]
        query = f"tags.{Tag.SPOOL_ID} = '{record.run_id}'"
        known = self.client.search_runs([self.experiment_id], query, max_results=1)
        if known:
            run_id = str(known[0].info.run_id)
        else:
            added = {Tag.SWEEP: self.sweep, Tag.KIND: Kind.RUN, Tag.SPOOL_ID: record.run_id}
            run = self.client.create_run(
                self.experiment_id,
                start_time=int(record.started * 1000),
                tags={key: value[:MAX_TAG] for key, value in (record.tags | added).items()},
                run_name=record.name,
            )
            run_id = str(run.info.run_id)
        for chunk in chunks([Param(key, value) for key, value in record.params.items()], 100):
            self.client.log_batch(run_id, params=chunk)
        self._written[record.run_id], self._ids[record.run_id] = 0, run_id
        return run_id

    def write_progress(self, records: Sequence[Record]) -> None:
        """Write the new metrics of runs that train, and renew their lease."""
        for record in records:
            if record.run_id in self._ids:
                self._log_metrics(record)
                self._log_tags(self._ids[record.run_id], make_lease())

    def _log_metrics(self, record: Record) -> None:
        run_id = self._ids[record.run_id]
        stamp = int(record.started * 1000)  # the same each time: a point that is sent again is not a new one
        new = record.metrics[self._written[record.run_id] :]
        for chunk in chunks([Metric(name, value, stamp, step) for name, value, step in new], 1000):
            self.client.log_batch(run_id, metrics=chunk)
            self._written[record.run_id] += len(chunk)

    def _log_tags(self, run_id: str, tags: dict[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(key, value[:MAX_TAG]) for key, value in tags.items()])

    def write(self, records: Sequence[Record]) -> None:
        """Write runs that ended: of each its files, then its metrics and tags, then its status."""
        for record in records:
            run_id = self._begin(record)
            run = self.client.get_run(run_id)
            artifacts.write_files(run.info.artifact_uri, self.uri, record.files)
            self._log_metrics(record)
            self._log_tags(run_id, record.tags)
            self.client.set_terminated(run_id, record.status, int(record.ended_at * 1000))

    def mark_killed(self, run_ids: Sequence[str]) -> int:
        """Mark the runs that are still RUNNING as KILLED. Returns how many."""
        run_ids = [self._ids.get(run_id, run_id) for run_id in run_ids]
        still_running = [run_id for run_id in run_ids if self.client.get_run(run_id).info.status == Status.RUNNING]
        for run_id in still_running:
            self.client.set_terminated(run_id, Status.KILLED)
        return len(still_running)
