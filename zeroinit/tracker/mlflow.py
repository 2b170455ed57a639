"""Runs in MLflow: written in few calls, and read back; the only file that knows MLflow."""

import logging
import os
import re
import shlex
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# MLflow: no reports to its makers, no bar for each artifact, no line (with the uri's password) after each run
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from zeroinit.errors import BadInput
from zeroinit.tracker import Record, database, without_password
from zeroinit.tracker.reach import few_retries, file_of, is_server, why_not

# MLflow's notes of tables created would stand between the lines of a sweep; its warnings stay
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)


@event.listens_for(Engine, "connect")
def wait_for_each_other(connection: Any, record: object) -> None:
    """Processes that write to one SQLite file wait a minute for each other, and not SQLite's own five seconds."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma busy_timeout = 60000")


class Mlflow:
    """Flat MLflow runs in one experiment a sweep, in SQLite under mlruns/ or on the server that `uri` names."""

    keeps = True

    def __init__(self, uri: str | None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
        self.shown = without_password(self.uri)
        self.tables = not is_server(self.uri)  # of a database, which can be read without the client
        self.key = "tracker.uri" if uri or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"
        self.own = ""  # the summary that this process began
        self.written: dict[str, int] = {}  # metrics of each run that are in the store
        self.places: dict[str, str] = {}  # uri of each run's artifacts, which the client would read the run for

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep."""
        self.reach(sweep, make=True)

    def find(self, sweep: str) -> None:
        """Connect to a sweep that is there. Raises BadInput, with the names of those that are."""
        self.reach(sweep, make=False)

    def reach(self, sweep: str, make: bool) -> None:
        self.sweep = sweep
        path = file_of(self.uri)
        if path and not make and not path.is_file():
            raise self.bad("there is no such file; give the one in which the sweep was kept")
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
        if reason := why_not(self.uri):
            raise self.bad(reason)
        if path:
            self.uri = f"sqlite:///{path}"  # whatever becomes the current folder
            folder = path.parent / "artifacts" / re.sub(r"[^\w.-]", "_", sweep)
            with FileLock(f"{path}.lock"):  # two sweeps that start at once would both make the tables
                self.connect(folder.as_uri(), make)
        else:
            self.connect(None, make)

    def bad(self, what: object) -> BadInput:
        return BadInput(f"{self.key}={self.shown}: {without_password(str(what))}")

    def connect(self, artifacts: str | None, make: bool) -> None:
        try:
            with few_retries():
                self.client = MlflowClient(self.uri)
                experiment = self.client.get_experiment_by_name(self.sweep)
                if not make and (not experiment or experiment.lifecycle_stage == "deleted"):
                    others = [one.name for one in self.client.search_experiments() if one.experiment_id != "0"]
                    there = f"there are {', '.join(others)}" if others else "there is none"
                    raise BadInput(f"{self.sweep}: there is no such sweep in {self.shown}; {there}")
                if experiment and experiment.lifecycle_stage == "deleted":
                    self.client.restore_experiment(experiment.experiment_id)
                self.experiment_id = (
                    experiment.experiment_id if experiment else self.client.create_experiment(self.sweep, artifacts)
                )
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            raise self.bad(str(error).splitlines()[0]) from error

    def begin(self, record: Record) -> None:
        """Make the run, with what is known of it before it trains."""
        began = time.perf_counter()
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
        for some in chunks(params, 100):
            self.client.log_batch(record.run_id, params=some)
        record.tracking += time.perf_counter() - began

    def flush(self, record: Record) -> None:
        """Write the metrics that are not in the store yet."""
        stamp = int(time.time() * 1000)
        new = record.metrics[self.written[record.run_id] :]
        for some in chunks([Metric(name, value, stamp, step) for name, value, step in new], 1000):
            self.client.log_batch(record.run_id, metrics=some)
        self.written[record.run_id] = len(record.metrics)

    def end(self, record: Record) -> None:
        """Write all that is left of the run, and its status."""
        if not record.run_id:  # it could not even begin
            return
        began = time.perf_counter()
        try:
            self.flush(record)
            self.keep(record.run_id, record.files)
            record.tags["tracking_seconds"] = f"{record.tracking + time.perf_counter() - began:.3f}"
            self.client.log_batch(record.run_id, tags=[RunTag(key, value) for key, value in record.tags.items()])
        finally:
            self.client.set_terminated(record.run_id, record.status)

    def kill(self, record: Record) -> None:
        """Mark a run whose process is gone."""
        self.client.set_terminated(record.run_id, "KILLED")

    def hear(self, record: Record) -> None:
        pass  # the store has it

    def keep(self, run_id: str, files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            get_artifact_repository(self.places[run_id], self.uri).log_artifacts(folder)  # type: ignore[no-untyped-call]

    @contextmanager
    def answering(self, what: str) -> Iterator[None]:
        """Raise BadInput where the store does not answer any more."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self.bad(f"{what} ({str(error).splitlines()[0]})") from error

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
            read = database.records if self.tables else self.told_by_client
            ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
            return [record for one in ids for record, _ in read(self.uri, one, "run", None)]

    def kind(self, kind: str, identities: Collection[str] | None = None) -> list[Record]:
        """The runs of the experiment that are of this kind, newest first, with each metric's last value."""
        read = database.records if self.tables else self.told_by_client
        found = read(self.uri, self.experiment_id, kind, identities)
        self.places |= {record.run_id: place for record, place in found}
        return [record for record, _ in found]

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
            courses = database.courses(self.uri, self.experiment_id, metrics) if self.tables else {}
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
        repository = get_artifact_repository(self.places[record.run_id], self.uri)
        try:
            if isinstance(repository, LocalArtifactRepository):  # of what lies here no copy is needed
                return Path(repository.artifact_dir, name).read_bytes()
            with tempfile.TemporaryDirectory() as folder:
                return Path(repository.download_artifacts(name, folder)).read_bytes()  # type: ignore[no-untyped-call]
        except (MlflowException, OSError):
            return None

    def prepare(self, files: dict[str, bytes]) -> None:
        """Begin a summary of a sweep's own with these files; that of an earlier one stays until `summary` anew."""
        with self.answering("the summary cannot be kept"):
            tags = {"kind": "summary", "sweep": self.sweep}
            run = self.client.create_run(self.experiment_id, tags=tags, run_name="summary")
            self.own, self.places[run.info.run_id] = run.info.run_id, run.info.artifact_uri
            self.keep(self.own, files)
            self.client.set_terminated(self.own, "FINISHED")

    def summary(self, files: dict[str, bytes], anew: bool) -> str:
        """Keep files in the run named `summary`, in the place of the last one or beside what it holds; says where.

        The artifacts of one that is replaced go with MLflow's own garbage collection.
        """
        with self.answering("the summary cannot be kept"):
            there = [record.run_id for record in self.kind("summary")]  # newest first
            if anew and self.own in there:
                run_id = self.own
                self.keep(run_id, files)
            elif there and not anew:
                run_id = there[0]
                self.keep(run_id, files)
            else:
                self.prepare(files)
                run_id, there = self.own, [self.own, *there]
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
                    self.client.set_experiment_tag(self.experiment_id, tag, text)

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


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
