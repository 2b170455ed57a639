"""Writes runs to MLflow in few calls, and reads them back."""

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from zeroinit.process import current_process, end_if_orphaned
from zeroinit.tracker import TRACEBACK, Record, Status, accepted, artifacts, charts, mlflow_client, mlflow_sql, running
from zeroinit.tracker.connection import DEFAULT_URI, Connection, writing
from zeroinit.tracker.reachable import file_of, is_server
from zeroinit.tracker.scores import Score
from zeroinit.tracker.tags import MAX_TAG, Kind, Tag

MAX_NOTE = 5000  # characters of an experiment's tag in MLflow's own tables
NOTE = "mlflow.note.content"  # the tag that the UI shows as a description
MAIN_FIGURES = ("differences.png", "comparison.png", "map.png")  # in the description of a summary
IGNORE_CASE = ("mysql", "mssql")  # databases whose usual collations ignore case


class Mlflow(Connection):
    """Keeps a sweep as one experiment of flat MLflow runs, in SQLite under mlruns/ or in the store of `uri`."""

    is_persistent = True

    def __init__(self, uri: str | None) -> None:
        super().__init__(uri)
        self.is_database = not is_server(self.uri)  # a database can be read without the client
        self._summary_id = ""  # of the summary that this process began
        self._written: dict[str, int] = {}  # {run id: how many of its metrics are in the store}
        # {run id: time of a write that failed}; metrics that are sent again with their first time are not new ones
        self._stamps: dict[str, int] = {}
        self._complete: set[str] = set()  # ids of the runs that were complete when they were last checked
        self.artifact_uris: dict[str, str] = {}  # by run id, as the client would read the run to learn it

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the first {name: value} of params, tags or metrics that MLflow never takes: its name, and why."""
        return accepted.find_refused(values, self.uri.startswith(IGNORE_CASE))

    @writing()
    def begin(self, record: Record) -> None:
        """Make the run, with what is known before it trains. Raises StoreFailed."""
        began = time.perf_counter()
        end_if_orphaned()
        run = self.client.create_run(
            self.experiment_id,
            start_time=int(record.started * 1000),
            tags={**record.tags, Tag.SWEEP: self.sweep, Tag.KIND: Kind.RUN},
            run_name=record.name,
        )
        record.run_id = run.info.run_id
        self._written[record.run_id] = 0
        self.artifact_uris[record.run_id] = run.info.artifact_uri
        params = [Param(key, value) for key, value in record.params.items()]
        for chunk in mlflow_sql.chunks(params, 100):
            self.client.log_batch(record.run_id, params=chunk)
        record.tracking += time.perf_counter() - began

    def flush(self, record: Record) -> None:
        """Write the metrics that are not in the store yet."""
        end_if_orphaned()
        run_id = record.run_id
        stamp = self._stamps.setdefault(run_id, int(time.time() * 1000))
        new = record.metrics[self._written[run_id] :]
        for chunk in mlflow_sql.chunks([Metric(name, value, stamp, step) for name, value, step in new], 1000):
            self.client.log_batch(run_id, metrics=chunk)
            self._written[run_id] += len(chunk)
        del self._stamps[run_id]

    @writing()
    def end(self, record: Record) -> None:
        """Write the run's files, then its metrics and tags, then its status. Raises StoreFailed."""
        if not record.run_id:  # it could not even begin
            return
        began = time.perf_counter()
        self._write_files(record.run_id, record.files)
        self.flush(record)
        record.tags[Tag.ARTIFACTS] = json.dumps(sorted(record.files))
        record.tags[Tag.TRACKING_SECONDS] = f"{record.tracking + time.perf_counter() - began:.3f}"
        self._log_tags(record.run_id, record.tags)
        end_if_orphaned()
        self.client.set_terminated(record.run_id, record.status)
        self._complete.add(record.run_id)

    def mark_failed(self, record: Record) -> None:
        """Write status FAILED, error and traceback of a run that could not be written, each if the store takes it."""
        if not record.run_id:
            return
        end_if_orphaned()
        with suppress(Exception):
            self.client.set_terminated(record.run_id, Status.FAILED)
        with suppress(Exception):
            self._log_tags(record.run_id, {Tag.ERROR: record.tags[Tag.ERROR]})
        with suppress(Exception):
            self._write_files(
                record.run_id, {name: content for name, content in record.files.items() if name == TRACEBACK}
            )

    def _log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(key, value[:MAX_TAG]) for key, value in tags.items()])

    def find_running(self) -> list[Record]:
        """Return the runs of every sweep of the store that are marked RUNNING, summaries included, with some tags."""
        with self.answering("the runs cannot be read back"):
            return (
                running.find_running_in_database(self.uri)
                if self.is_database
                else running.find_running_via_client(self.client)
            )

    def mark_killed(self, records: Sequence[Record]) -> int:
        """Mark the runs that are still RUNNING as KILLED. Returns how many."""
        run_ids = [record.run_id for record in records]
        with self.answering("the runs whose process is gone cannot be marked"):
            if self.is_database:
                return running.mark_killed_in_database(self.uri, run_ids)
            return running.mark_killed_via_client(self.client, run_ids)

    def adopt(self, record: Record) -> None:
        """Take a record that another process has written to its end."""
        self._complete.add(record.run_id)

    def _write_files(self, run_id: str, files: dict[str, bytes]) -> None:
        artifacts.write_files(self.artifact_uris[run_id], self.uri, files)

    def records(self) -> list[Record]:
        """Return every run of the sweep, newest first, with the last value of each metric."""
        with self.answering("the runs cannot be read back"):
            return self.find_kind(Kind.RUN)

    def find_finished(self, identities: Collection[str]) -> list[Record]:
        """Return the finished runs of the sweep that have one of the identities, newest first."""
        with self.answering("the runs cannot be read back"):
            return self.find_kind(Kind.RUN, identities)

    def all_records(self) -> list[Record]:
        """Return every run of every sweep of the store."""
        with self.answering("the runs cannot be read back"):
            experiments = self.client.search_experiments()
            return [record for each in experiments for record, _ in self._read(each.experiment_id, Kind.RUN, None)]

    def find_kind(self, kind: str, identities: Collection[str] | None = None) -> list[Record]:
        """Return the runs of the sweep that have this kind, newest first, with the last value of each metric."""
        pairs = self._read(self.experiment_id, kind, identities)
        self.artifact_uris |= {record.run_id: uri for record, uri in pairs}
        records = [record for record, _ in pairs]
        for record in records:
            if kind == Kind.RUN and record.status == Status.FINISHED and record.run_id not in self._complete:
                self._check_complete(record)
        return records

    def _read(self, experiment_id: str, kind: str, identities: Collection[str] | None) -> list[tuple[Record, str]]:
        if self.is_database:
            return mlflow_sql.records(self.uri, experiment_id, kind, identities)
        return mlflow_client.records(self.client, experiment_id, kind, identities)

    def _check_complete(self, record: Record) -> None:
        """Give the status INCOMPLETE to a record that is FINISHED in the store but lacks something there."""
        lacking = record.lacks(partial(artifacts.list_files, self.artifact_uris[record.run_id], self.uri))
        if lacking:
            record.status, record.tags[Tag.ERROR] = Status.INCOMPLETE, lacking
        else:
            self._complete.add(record.run_id)

    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        """Put all values of these metrics into the records that have them."""
        with self.answering("the runs cannot be read back"):
            if self.is_database:
                histories = mlflow_sql.histories(self.uri, self.experiment_id, metrics)
            else:
                histories = mlflow_client.histories(self.client, records, metrics)
            for record in records:
                record.replace_histories(histories.get(record.run_id, {}), metrics)

    def read_file(self, record: Record, name: str) -> bytes | None:
        """Return the content of an artifact; None if the run has no such file."""
        return artifacts.read_file(self.artifact_uris[record.run_id], self.uri, name)

    def begin_summary(self, files: dict[str, bytes]) -> None:
        """Begin the summary of a sweep with these files; it is RUNNING until `write_summary` adds the rest.

        The summary of an earlier sweep stays until `write_summary` replaces it.
        """
        with self.answering("the summary cannot be kept"):
            tags = {Tag.KIND: Kind.SUMMARY, Tag.SWEEP: self.sweep} | current_process().tags()
            run = self.client.create_run(self.experiment_id, tags=tags, run_name="summary")
            self._summary_id, self.artifact_uris[run.info.run_id] = run.info.run_id, run.info.artifact_uri
            self._fill_summary(self._summary_id, files, Status.RUNNING)

    def _fill_summary(self, run_id: str, files: dict[str, bytes], status: str = Status.FINISHED) -> None:
        """Write the files into a summary, then its status."""
        try:
            self._log_tags(run_id, current_process().tags())  # an older summary has those of another process
            self.client.update_run(run_id, Status.RUNNING)
            self._write_files(run_id, files)
            if status != Status.RUNNING:
                self.client.set_terminated(run_id, status)
        except BaseException as error:
            with suppress(Exception):
                self.client.set_terminated(run_id, Status.FAILED if isinstance(error, Exception) else Status.KILLED)
            raise

    def write_summary(self, files: dict[str, bytes], anew: bool, description: str = "") -> str:
        """Write files into the run named `summary`, and return where that is.

        MLflow's own garbage collection removes the artifacts of a summary that is replaced.

        Args:
            files: {name: content}.
            anew: Whether they replace the last summary; otherwise they are added to it.
            description: What the UI shows above them, in Markdown; links and the main figures are added.
        """
        with self.answering("the summary cannot be kept"):
            summaries = self.find_kind(Kind.SUMMARY)  # newest first
            run_ids = [record.run_id for record in summaries]
            if anew and self._summary_id in run_ids:
                run_id = self._summary_id
                self._fill_summary(run_id, files)
            elif run_ids and not anew:
                run_id = run_ids[0]
                if summaries[0].status == Status.RUNNING and run_id != self._summary_id:
                    self._write_files(run_id, files)  # its sweep still trains, and writes the status when it ends
                else:
                    self._fill_summary(run_id, files)
            else:
                self.begin_summary({})
                run_id, run_ids = self._summary_id, [self._summary_id, *run_ids]
                self._fill_summary(run_id, files)
            if description:
                self.client.set_tag(run_id, NOTE, _add_links(description, run_id, self.experiment_id, files)[:MAX_TAG])
            if anew:
                for older in run_ids[run_ids.index(run_id) + 1 :]:
                    self.client.delete_run(older)
            where = self.artifact_uris[run_id]
        return os.path.relpath(where.removeprefix("file://")) if where.startswith("file://") else "the run `summary`"

    def read_summary(self, name: str) -> bytes | None:
        """Return the content of a file of the summary; None if there is none."""
        with self.answering("the summary cannot be read"):
            summaries = self.find_kind(Kind.SUMMARY)
            return self.read_file(summaries[0], name) if summaries else None

    def describe(self, text: str) -> None:
        """Show a description of the sweep in MLflow's UI, unless a person has written another."""
        shown, ours = NOTE, "zeroinit.note"
        with self.answering("the sweep cannot be described"):
            tags = self.client.get_experiment(self.experiment_id).tags
            if tags.get(shown) == tags.get(ours):
                for tag in (shown, ours):
                    self.client.set_experiment_tag(self.experiment_id, tag, text[:MAX_NOTE])

    def prepare_charts(self, keys: Sequence[str], score: Score) -> None:
        """Make the charts in MLflow's UI open with this score, a line for each combination of the keys' values."""
        with self.answering("the charts cannot be prepared"):
            self.client.set_experiment_tag(self.experiment_id, charts.VIEW_TAG, charts.encode_view(keys, score))

    def report_folder(self) -> Path:
        """Return the folder of the sweep's report, whose path stays the same: beside an SQLite store, else here."""
        path = file_of(self.uri)
        return (path.parent if path else Path("mlruns").absolute()) / "reports" / accepted.folder_of(self.sweep)

    def runs_address(self) -> tuple[str, str]:
        """Return the address of the server without a password, empty for a database, and the ID of the experiment."""
        return charts.base_of(self.shown) if is_server(self.uri) else "", self.experiment_id

    def uri_to_give(self) -> str:
        """Return the uri that another command needs to find the store, without a password; empty if it needs none."""
        usual = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{file_of(DEFAULT_URI)}"
        return "" if self.uri == usual else self.shown


def _add_links(description: str, run_id: str, experiment_id: str, files: Mapping[str, bytes]) -> str:
    """Return the description with links and the main figures, by addresses relative to the UI's."""

    def address_of(name: str) -> str:
        return f"get-artifact?path={name}&run_uuid={run_id}"

    reports = [f"[{name}]({address_of(name)})" for name in files if name.endswith(".html")]
    links = " \N{MIDDLE DOT} ".join([*reports, f"[charts of all runs]({charts.link_of(experiment_id)})"])
    figures = [f"![{name}]({address_of(name)})" for name in MAIN_FIGURES if name in files]
    return "\n\n".join([description, links, *figures])
