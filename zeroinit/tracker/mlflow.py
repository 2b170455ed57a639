"""Runs in MLflow: written in few calls, and read back."""

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.entities import Metric, Param, Run, RunTag

from zeroinit.process import current_process, end_if_orphaned
from zeroinit.tracker import ARTIFACTS, INCOMPLETE, MAX_TAG, TRACEBACK, Record, accepted, artifacts, mlflow_sql, running
from zeroinit.tracker.connection import Connection, writing
from zeroinit.tracker.reachable import is_server

MAX_NOTE = 5000  # characters of an experiment's tag in MLflow's own tables
IGNORE_CASE = ("mysql", "mssql")  # databases whose usual collations ignore case


class Mlflow(Connection):
    """Flat MLflow runs in one experiment a sweep, in SQLite under mlruns/ or on the server that `uri` names."""

    keeps = True

    def __init__(self, uri: str | None) -> None:
        super().__init__(uri)
        self.tables = not is_server(self.uri)  # of a database, which can be read without the client
        self.own = ""  # the summary that this process began
        self.written: dict[str, int] = {}  # metrics of each run that are in the store
        self.stamps: dict[str, int] = {}  # time of a run's write that failed: sent again, its metrics are no new ones
        self.complete: set[str] = set()  # runs that were complete when they were last checked
        self.places: dict[str, str] = {}  # uri of each run's artifacts, which the client would read the run for

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the first {name: value} of params, tags or metrics that MLflow never takes: its name, and why."""
        return accepted.find_refused(values, self.uri.startswith(IGNORE_CASE))

    @writing()
    def begin(self, record: Record) -> None:
        """Make the run, with what is known of it before it trains. Raises StoreFailed."""
        began = time.perf_counter()
        end_if_orphaned()
        run = self.client.create_run(
            self.experiment_id,
            start_time=int(record.started * 1000),
            tags={**record.tags, "sweep": self.sweep, "kind": "run"},
            run_name=record.name,
        )
        record.run_id = run.info.run_id
        self.written[record.run_id] = 0
        self.places[record.run_id] = run.info.artifact_uri
        params = [Param(key, value) for key, value in record.params.items()]
        for some in mlflow_sql.chunks(params, 100):
            self.client.log_batch(record.run_id, params=some)
        record.tracking += time.perf_counter() - began

    def flush(self, record: Record) -> None:
        """Write the metrics that are not in the store yet."""
        end_if_orphaned()
        run_id = record.run_id
        stamp = self.stamps.setdefault(run_id, int(time.time() * 1000))
        new = record.metrics[self.written[run_id] :]
        for some in mlflow_sql.chunks([Metric(name, value, stamp, step) for name, value, step in new], 1000):
            self.client.log_batch(run_id, metrics=some)
            self.written[run_id] += len(some)
        del self.stamps[run_id]

    @writing()
    def end(self, record: Record) -> None:
        """Write the run's files, then its metrics and tags, then its status. Raises StoreFailed."""
        if not record.run_id:  # it could not even begin
            return
        began = time.perf_counter()
        self.keep(record.run_id, record.files)
        self.flush(record)
        record.tags[ARTIFACTS] = json.dumps(sorted(record.files))
        record.tags["tracking_seconds"] = f"{record.tracking + time.perf_counter() - began:.3f}"
        self.log_tags(record.run_id, record.tags)
        end_if_orphaned()
        self.client.set_terminated(record.run_id, record.status)
        self.complete.add(record.run_id)

    def mark_failed(self, record: Record) -> None:
        """Write status FAILED, error and traceback of a run that could not be written, each if the store takes it."""
        if not record.run_id:
            return
        end_if_orphaned()
        with suppress(Exception):
            self.client.set_terminated(record.run_id, "FAILED")
        with suppress(Exception):
            self.log_tags(record.run_id, {"error": record.tags["error"]})
        with suppress(Exception):
            self.keep(record.run_id, {name: content for name, content in record.files.items() if name == TRACEBACK})

    def log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(key, value[:MAX_TAG]) for key, value in tags.items()])

    def running(self) -> list[Record]:
        """Return the runs of every sweep of the store that are marked RUNNING, summaries included, with some tags."""
        with self.answering("the runs cannot be read back"):
            return running.running_in_tables(self.uri) if self.tables else running.running_of_client(self.client)

    def kill(self, records: Sequence[Record]) -> int:
        """Mark those of the runs as KILLED that are still RUNNING. Returns how many."""
        run_ids = [record.run_id for record in records]
        with self.answering("the runs whose process is gone cannot be marked"):
            if self.tables:
                return running.kill_in_tables(self.uri, run_ids)
            return running.kill_by_client(self.client, run_ids)

    def hear(self, record: Record) -> None:
        """The store has the record; another process wrote all of it."""
        self.complete.add(record.run_id)

    def keep(self, run_id: str, files: dict[str, bytes]) -> None:
        artifacts.write_files(self.places[run_id], self.uri, files)

    def records(self) -> list[Record]:
        """Every run of the sweep, newest first, with each metric's last value."""
        with self.answering("the runs cannot be read back"):
            return self.kind("run")

    def finished(self, identities: Collection[str]) -> list[Record]:
        """Those finished runs of the sweep that have one of the identities, newest first."""
        with self.answering("the runs cannot be read back"):
            return self.kind("run", identities)

    def everywhere(self) -> list[Record]:
        """Every run of every sweep of the store."""
        with self.answering("the runs cannot be read back"):
            read = mlflow_sql.records if self.tables else self.told_by_client
            ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
            return [record for one in ids for record, _ in read(self.uri, one, "run", None)]

    def kind(self, kind: str, identities: Collection[str] | None = None) -> list[Record]:
        """The runs of the experiment that are of this kind, newest first, with each metric's last value."""
        read = mlflow_sql.records if self.tables else self.told_by_client
        found = read(self.uri, self.experiment_id, kind, identities)
        self.places |= {record.run_id: place for record, place in found}
        records = [record for record, _ in found]
        for record in records:
            if kind == "run" and record.status == "FINISHED" and record.run_id not in self.complete:
                self.check_complete(record)
        return records

    def check_complete(self, record: Record) -> None:
        """Give a record that is FINISHED in the store, but lacks something there, the status INCOMPLETE."""
        lacking = record.lacks(partial(artifacts.list_files, self.places[record.run_id], self.uri))
        if lacking:
            record.status, record.tags["error"] = INCOMPLETE, lacking
        else:
            self.complete.add(record.run_id)

    def told_by_client(
        self, uri: str, experiment_id: str, kind: str, identities: Collection[str] | None
    ) -> list[tuple[Record, str]]:
        """The same from a server, or from any store in ten times the time."""
        found, token, asked = [], None, f"tags.kind = '{kind}'"
        if identities is not None:
            asked += " and attributes.status = 'FINISHED'"
        if identities is not None and len(identities) == 1:
            asked += f" and tags.identity = '{next(iter(identities))}'"
        while True:
            page = self.client.search_runs(
                [experiment_id], asked, order_by=["attributes.start_time DESC"], page_token=token
            )
            found += [
                (as_record(run), run.info.artifact_uri)
                for run in page
                if identities is None or run.data.tags.get("identity") in identities
            ]
            token = page.token
            if not token:
                return found

    def recall(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        """Put the whole course of these metrics into the records, where they have them."""
        with self.answering("the runs cannot be read back"):
            courses = mlflow_sql.courses(self.uri, self.experiment_id, metrics) if self.tables else {}
            for record in records:
                has = [name for name in dict.fromkeys(name for name, _, _ in record.metrics) if name in metrics]
                record.metrics = [point for point in record.metrics if point[0] not in has]
                for name in has:
                    course = courses[record.run_id, name] if self.tables else self.course(record.run_id, name)
                    record.metrics += course

    def course(self, run_id: str, metric: str) -> list[tuple[str, float, int]]:
        history = self.client.get_metric_history(run_id, metric)
        return sorted(((metric, point.value, point.step) for point in history), key=lambda point: point[2])

    def file(self, record: Record, name: str) -> bytes | None:
        """The content of an artifact; None where the run has none of that name."""
        return artifacts.read_file(self.places[record.run_id], self.uri, name)

    def prepare(self, files: dict[str, bytes]) -> None:
        """Begin a summary of a sweep's own with these files; that of an earlier one stays until `summary` anew.

        It is RUNNING until `summary` adds the rest.
        """
        with self.answering("the summary cannot be kept"):
            tags = {"kind": "summary", "sweep": self.sweep} | current_process().tags()
            run = self.client.create_run(self.experiment_id, tags=tags, run_name="summary")
            self.own, self.places[run.info.run_id] = run.info.run_id, run.info.artifact_uri
            self.fill(self.own, files, "RUNNING")

    def fill(self, run_id: str, files: dict[str, bytes], status: str = "FINISHED") -> None:
        """Write the files into a summary, then its status."""
        try:
            self.log_tags(run_id, current_process().tags())  # an older one has those of another process
            self.client.update_run(run_id, "RUNNING")
            self.keep(run_id, files)
            if status != "RUNNING":
                self.client.set_terminated(run_id, status)
        except BaseException as error:
            with suppress(Exception):
                self.client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise

    def summary(self, files: dict[str, bytes], anew: bool) -> str:
        """Keep files in the run named `summary`, in the place of the last one or beside what it holds; says where.

        The artifacts of one that is replaced go with MLflow's own garbage collection.
        """
        with self.answering("the summary cannot be kept"):
            summaries = self.kind("summary")  # newest first
            there = [record.run_id for record in summaries]
            if anew and self.own in there:
                run_id = self.own
                self.fill(run_id, files)
            elif there and not anew:
                run_id = there[0]
                if summaries[0].status == "RUNNING" and run_id != self.own:
                    self.keep(run_id, files)  # its sweep still trains, and writes the status when it ends
                else:
                    self.fill(run_id, files)
            else:
                self.prepare({})
                run_id, there = self.own, [self.own, *there]
                self.fill(run_id, files)
            if anew:
                for older in there[there.index(run_id) + 1 :]:
                    self.client.delete_run(older)
            where = self.places[run_id]
        return os.path.relpath(where.removeprefix("file://")) if where.startswith("file://") else "the run `summary`"

    def summarised(self, name: str) -> bytes | None:
        """The content of a file of the summary; None where there is none."""
        with self.answering("the summary cannot be read"):
            there = self.kind("summary")
            return self.file(there[0], name) if there else None

    def describe(self, text: str) -> None:
        """Say what the sweep is about, where MLflow's UI shows it and no person has written anything."""
        shown, ours = "mlflow.note.content", "zeroinit.note"
        with self.answering("the sweep cannot be described"):
            tags = self.client.get_experiment(self.experiment_id).tags
            if tags.get(shown) == tags.get(ours):
                for tag in (shown, ours):
                    self.client.set_experiment_tag(self.experiment_id, tag, text[:MAX_NOTE])

    def how_to_see(self) -> str:
        """The command to type, where one is needed, and the link that opens the charts of the sweep."""
        page = f"#/experiments/{self.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        if is_server(self.uri):
            parts = urlsplit(self.uri)
            return f"See the runs at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/{page}"
        beside = Path(sys.executable).with_name("mlflow")  # in a virtual environment that is not activated
        command = "mlflow" if shutil.which("mlflow") or not beside.is_file() else os.path.relpath(beside)
        uri = shlex.quote(self.shown)
        return f"See the runs:  {command} ui --backend-store-uri {uri}\nthen open      http://127.0.0.1:5000/{page}"


def as_record(run: Run) -> Record:
    return Record(
        name=run.info.run_name,
        params=run.data.params,
        tags=run.data.tags,
        status=run.info.status,
        metrics=[(point.key, point.value, point.step) for point in run.data.to_proto().metrics],
        started=run.info.start_time / 1000,
        run_id=run.info.run_id,
    )
