"""Keeps runs in MLflow's store, and reads them back."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from mlflow.entities import RunTag
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

from zeroinit.process import current_process, end_if_orphaned
from zeroinit.tracker import ENDED, Record, Status, accepted, artifacts, charts, mlflow_client, mlflow_sql
from zeroinit.tracker.bulk_support import unsupported_reason
from zeroinit.tracker.connection import DEFAULT_URI, Connection, raise_store_failed, wait_while_busy
from zeroinit.tracker.database_writer import DatabaseWriter
from zeroinit.tracker.reachable import file_of, is_server
from zeroinit.tracker.record import folder_of
from zeroinit.tracker.scores import Score
from zeroinit.tracker.server_writer import ServerWriter
from zeroinit.tracker.tags import MAX_TAG, Kind, Tag
from zeroinit.tracker.waiting import write_line

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
        self.is_bulk = self.is_database  # and written, if its tables are those that we know
        self._summary_id = ""  # of the summary that this process began
        self._complete: set[str] = set()  # ids of the runs that were complete when they were last checked
        self.artifact_uris: dict[str, str] = {}  # by run id, as the client would read the run to learn it

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep. Says so if runs are written by the slower client."""
        super().open(sweep)
        if self.is_database and (reason := unsupported_reason(self.uri)):
            self.is_bulk = False
            write_line(f"runs are written by MLflow's client, which is slower: {reason}")

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the first {name: value} of params, tags or metrics that MLflow never takes: its name, and why."""
        return accepted.find_refused(values, self.uri.startswith(IGNORE_CASE))

    @cached_property
    def _writer(self) -> DatabaseWriter | ServerWriter:
        if self.is_bulk:
            return DatabaseWriter(self.uri, self.experiment_id, self.artifact_root, self.opened)
        return ServerWriter(self.client, self.uri, self.experiment_id, self.sweep, self.opened)

    @raise_store_failed()
    def claim(self, records: Sequence[Record]) -> list[Record]:
        """Write the runs as RUNNING, and return those that another process trains, or has trained."""
        end_if_orphaned()
        for record in records:
            record.tags |= {Tag.SWEEP: self.sweep, Tag.KIND: Kind.RUN}
        return self._writer.claim(records)

    @raise_store_failed()
    def write_progress(self, records: Sequence[Record]) -> None:
        """Write the new metrics of runs that train, and renew their lease."""
        end_if_orphaned()
        self._writer.write_progress(records)

    @raise_store_failed()
    def write(self, records: Sequence[Record]) -> None:
        """Write runs that ended: their files, then all else in one transaction where that is possible."""
        for record in records:
            record.tags |= {Tag.SWEEP: self.sweep, Tag.KIND: Kind.RUN}
        self._writer.write(records)
        self._complete |= {record.run_id for record in records}

    def _log_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.client.log_batch(run_id, tags=[RunTag(key, value[:MAX_TAG]) for key, value in tags.items()])

    def _write_files(self, run_id: str, files: dict[str, bytes]) -> None:
        artifacts.write_files(self.artifact_uris[run_id], self.uri, files)

    @wait_while_busy("the runs whose process is gone cannot be marked")
    def mark_killed(self, records: Sequence[Record]) -> int:
        """Mark the runs that are still RUNNING as KILLED. Returns how many."""
        return self._writer.mark_killed([record.run_id for record in records])

    @wait_while_busy("the runs cannot be read back")
    def find_running(self) -> list[Record]:
        """Return the runs of every sweep of the store that are marked RUNNING, summaries included, with some tags."""
        if self.is_database:
            return mlflow_sql.find_running(self.uri)
        return mlflow_client.find_running(self.client)

    @wait_while_busy("the runs cannot be read back")
    def find_ended(self, identities: Collection[str]) -> list[Record]:
        """Return the runs of these identities that FINISHED or FAILED since the store was opened, newest first."""
        ended = self.find_kind(Kind.RUN, identities, ENDED)
        return [record for record in ended if record.ended_at >= self.opened]

    @wait_while_busy("the runs cannot be read back")
    def records(self) -> list[Record]:
        """Return every run of the sweep, newest first, with the last value of each metric."""
        return self.find_kind(Kind.RUN)

    @wait_while_busy("the runs cannot be read back")
    def find_finished(self, identities: Collection[str]) -> list[Record]:
        """Return the finished runs of the sweep that have one of the identities, newest first."""
        return self.find_kind(Kind.RUN, identities, (Status.FINISHED,))

    @wait_while_busy("the runs cannot be read back")
    def all_records(self) -> list[Record]:
        """Return every run of every sweep of the store."""
        experiments = self.client.search_experiments(max_results=SEARCH_MAX_RESULTS_THRESHOLD)
        return [record for each in experiments for record, _ in self._read(each.experiment_id, Kind.RUN)]

    def find_kind(
        self, kind: str, identities: Collection[str] | None = None, statuses: Collection[str] = ()
    ) -> list[Record]:
        """Return the runs of the sweep that have this kind, newest first, with the last value of each metric.

        Args:
            kind: The value of the tag `kind`.
            identities: Those of the runs; None for all.
            statuses: Those of the runs; none for all.
        """
        pairs = self._read(self.experiment_id, kind, identities, statuses)
        self.artifact_uris |= {record.run_id: uri for record, uri in pairs}
        records = [record for record, _ in pairs]
        for record in records:
            if kind == Kind.RUN and record.status == Status.FINISHED and record.run_id not in self._complete:
                self._check_complete(record)
        return records

    def _read(
        self, experiment_id: str, kind: str, identities: Collection[str] | None = None, statuses: Collection[str] = ()
    ) -> list[tuple[Record, str]]:
        if self.is_database:
            return mlflow_sql.records(self.uri, experiment_id, kind, identities, statuses)
        return mlflow_client.records(self.client, experiment_id, kind, identities, statuses)

    def _check_complete(self, record: Record) -> None:
        """Give the status INCOMPLETE to a record that is FINISHED in the store but lacks something there."""
        lacking = record.lacks(partial(artifacts.list_files, self.artifact_uris[record.run_id], self.uri))
        if lacking:
            record.status, record.tags[Tag.ERROR] = Status.INCOMPLETE, lacking
        else:
            self._complete.add(record.run_id)

    @wait_while_busy("the runs cannot be read back")
    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        """Put all values of these metrics into the records that have them."""
        if self.is_database:
            histories = mlflow_sql.histories(self.uri, self.experiment_id, metrics)
        else:
            histories = mlflow_client.histories(self.client, records, metrics)
        for record in records:
            record.replace_histories(histories.get(record.run_id, {}), metrics)

    def read_file(self, record: Record, name: str) -> bytes | None:
        """Return the content of an artifact; None if the run has no such file."""
        return artifacts.read_file(self.artifact_uris[record.run_id], self.uri, name)

    @wait_while_busy("the summary cannot be kept")
    def begin_summary(self, files: dict[str, bytes]) -> None:
        """Begin the summary of a sweep with these files; it is RUNNING until `write_summary` adds the rest.

        The summary of an earlier sweep stays until `write_summary` replaces it.
        """
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

    @wait_while_busy("the summary cannot be kept")
    def write_summary(self, files: dict[str, bytes], anew: bool, description: str = "") -> str:
        """Write files into the run named `summary`, and return where that is.

        MLflow's own garbage collection removes the artifacts of a summary that is replaced.

        Args:
            files: {name: content}.
            anew: Whether they replace the last summary; otherwise they are added to it.
            description: What the UI shows above them, in Markdown; links and the main figures are added.
        """
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

    @wait_while_busy("the summary cannot be read")
    def read_summary(self, name: str) -> bytes | None:
        """Return the content of a file of the summary; None if there is none."""
        summaries = self.find_kind(Kind.SUMMARY)
        return self.read_file(summaries[0], name) if summaries else None

    @wait_while_busy("the sweep cannot be described")
    def describe(self, text: str) -> None:
        """Show a description of the sweep in MLflow's UI, unless a person has written another."""
        shown, ours = NOTE, "zeroinit.note"
        tags = self.client.get_experiment(self.experiment_id).tags
        if tags.get(shown) == tags.get(ours):
            for tag in (shown, ours):
                self.client.set_experiment_tag(self.experiment_id, tag, text[:MAX_NOTE])

    @wait_while_busy("the charts cannot be prepared")
    def prepare_charts(self, keys: Sequence[str], score: Score) -> None:
        """Make the charts in MLflow's UI open with this score, a line for each combination of the keys' values."""
        self.client.set_experiment_tag(self.experiment_id, charts.VIEW_TAG, charts.encode_view(keys, score))

    def report_folder(self) -> Path:
        """Return the folder of the sweep's report, whose path stays the same: beside an SQLite store, else here."""
        path = file_of(self.uri)
        return (path.parent if path else Path("mlruns").absolute()) / "reports" / folder_of(self.sweep)

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
