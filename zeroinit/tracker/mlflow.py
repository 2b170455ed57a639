"""Runs in MLflow: written in few calls, and read back; the only file that knows MLflow."""

import logging
import os
import re
import shlex
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# MLflow: no reports to its makers, no bar for each artifact, no line (with the uri's password) after each run
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import requests
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
from zeroinit.tracker import COURSE, Record, without_password

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
ANSWER = 10  # seconds that a server has to answer

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
        self.key = "tracker.uri" if uri or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"
        self.written: dict[str, int] = {}  # metrics of each run that are in the store
        self.courses: dict[str, dict[int, float]] = {}  # of COURSE, of runs of other processes
        self.places: dict[str, str] = {}  # uri of each run's artifacts, which the client would read the run for

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep."""
        self.sweep = sweep
        scheme = urlsplit(self.uri).scheme.partition("+")[0]
        if scheme in ("http", "https"):
            self.check_server()
            self.connect(None)
        elif scheme in PORTS:
            self.check_port(PORTS[scheme])
            self.connect(None)
        elif self.uri.startswith("sqlite:///"):
            database = Path(self.uri.removeprefix("sqlite:///")).absolute()
            database.parent.mkdir(parents=True, exist_ok=True)
            self.check_file(database)
            self.uri = f"sqlite:///{database}"  # whatever becomes the current folder
            folder = database.parent / "artifacts" / re.sub(r"[^\w.-]", "_", sweep)
            with FileLock(f"{database}.lock"):  # two sweeps that start at once would both make the tables
                self.connect(folder.as_uri())
        else:
            raise self.bad(
                "give sqlite:///FILE.db, another database or http(s)://SERVER; MLflow no longer keeps runs in folders"
            )

    def bad(self, what: object) -> BadInput:
        return BadInput(f"{self.key}={self.shown}: {without_password(str(what))}")

    def connect(self, artifacts: str | None) -> None:
        try:
            with few_retries():
                self.client = MlflowClient(self.uri)
                experiment = self.client.get_experiment_by_name(self.sweep)
                if experiment and experiment.lifecycle_stage == "deleted":
                    self.client.restore_experiment(experiment.experiment_id)
                self.experiment_id = (
                    experiment.experiment_id if experiment else self.client.create_experiment(self.sweep, artifacts)
                )
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            raise self.bad(str(error).splitlines()[0]) from error

    def check_server(self) -> None:
        try:
            answer = requests.get(f"{self.uri.rstrip('/')}/health", timeout=ANSWER / 2)  # to connect, then to read
        except requests.RequestException as error:
            raise self.bad(
                f"no server answers there within {ANSWER} s ({type(error).__name__}); "
                "start one with mlflow server, or leave tracker.uri=null for a local database"
            ) from error
        if answer.status_code >= 500:
            raise self.bad(f"the server answers with the error {answer.status_code}")

    def check_port(self, usual: int) -> None:
        parts = urlsplit(self.uri)
        try:
            socket.create_connection((parts.hostname or "localhost", parts.port or usual), ANSWER).close()
        except OSError as error:
            raise self.bad(f"no database answers there within {ANSWER} s ({error})") from error

    def check_file(self, database: Path) -> None:
        """Before MLflow, which tries for two minutes to open what is no database."""
        try:
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("pragma schema_version")
        except sqlite3.Error as error:
            raise self.bad(error) from error

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
        self.courses[record.run_id] = record.course(COURSE)

    def keep(self, run_id: str, files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            get_artifact_repository(self.places[run_id], self.uri).log_artifacts(folder)  # type: ignore[no-untyped-call]

    def records(self) -> list[Record]:
        """Every run of the sweep, newest first: the course of its test accuracy, each other metric's last value.

        Raises BadInput where the store does not answer any more.
        """
        try:
            return [self.read(run) for run in self.runs("run")]
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self.bad(f"the runs cannot be read back ({str(error).splitlines()[0]})") from error

    def runs(self, kind: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], f"tags.kind = '{kind}'", order_by=["attributes.start_time DESC"], page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def read(self, run: Run) -> Record:
        self.places[run.info.run_id] = run.info.artifact_uri
        course = self.courses.get(run.info.run_id)
        if course is None:
            history = self.client.get_metric_history(run.info.run_id, COURSE) if COURSE in run.data.metrics else []
            course = {point.step: point.value for point in history}
        end = max(course, default=0)
        return Record(
            name=run.info.run_name,
            params=run.data.params,
            tags=run.data.tags,
            status=run.info.status,
            metrics=[
                *((COURSE, value, step) for step, value in sorted(course.items())),
                *((name, value, end) for name, value in run.data.metrics.items() if name != COURSE),
            ],
            started=run.info.start_time / 1000,
            run_id=run.info.run_id,
        )

    def file(self, record: Record, name: str) -> bytes | None:
        """The content of an artifact; None where the run has none of that name."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                repository = get_artifact_repository(self.places[record.run_id], self.uri)
                here = isinstance(repository, LocalArtifactRepository)  # which needs no copy of what lies here
                found = repository.download_artifacts(name, None if here else folder)  # type: ignore[no-untyped-call]
                return Path(found).read_bytes()
            except (MlflowException, OSError):
                return None

    def summary(self, files: dict[str, bytes]) -> str:
        """Keep the sweep's table and figures in the one run named `summary`, in the place of the last; says where."""
        replaced = [run.info.run_id for run in self.runs("summary")]
        run = self.client.create_run(
            self.experiment_id, tags={"kind": "summary", "sweep": self.sweep}, run_name="summary"
        )
        self.places[run.info.run_id] = run.info.artifact_uri
        self.keep(run.info.run_id, files)
        self.client.set_terminated(run.info.run_id, "FINISHED")
        for run_id in replaced:
            self.client.delete_run(run_id)
        where = run.info.artifact_uri
        return os.path.relpath(where.removeprefix("file://")) if where.startswith("file://") else "the run `summary`"

    def how_to_see(self) -> str:
        """The command to type, where one is needed, and the link that opens the charts of the sweep."""
        page = f"#/experiments/{self.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        if urlsplit(self.uri).scheme in ("http", "https"):
            parts = urlsplit(self.uri)
            return f"See the runs at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/{page}"
        beside = Path(sys.executable).with_name("mlflow")  # in a virtual environment that is not activated
        command = "mlflow" if shutil.which("mlflow") or not beside.is_file() else os.path.relpath(beside)
        uri = shlex.quote(self.shown)
        return f"See the runs:  {command} ui --backend-store-uri {uri}\nthen open      http://127.0.0.1:5000/{page}"


@contextmanager
def few_retries() -> Iterator[None]:
    """Let MLflow's client give up within seconds; once connected, it may try again for minutes, as is its way."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(ANSWER // 2)}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
