"""Runs in MLflow: written in few calls, and read back; the only file that knows MLflow."""

import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# what MLflow reads when it is imported: no reports to its makers, no bar for each artifact
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from zeroinit.errors import BadInput
from zeroinit.tracker import COURSE, Record, without_password

ANSWER = 10  # seconds that a server has to answer
FLUSH = 5  # seconds between two writes of a run that trains

# MLflow's notes of tables created would stand between the lines of a sweep; its warnings stay
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)


class Mlflow:
    """Flat MLflow runs in one experiment a sweep, in SQLite under mlruns/ or on the server that `uri` names."""

    keeps = True

    def __init__(self, uri: str | None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
        self.shown = without_password(self.uri)
        self.written: dict[str, tuple[int, float]] = {}  # metrics of each run in the store, and when they got there

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep."""
        parts = urlsplit(self.uri)
        if parts.scheme in ("http", "https"):
            self.check_server()
        elif not re.fullmatch(r"(sqlite|mysql|mssql|postgresql)(\+\w+)?|databricks(-uc)?", parts.scheme):
            raise BadInput(
                f"tracker.uri={self.shown}: give sqlite:///FILE.db, another database or http(s)://SERVER; "
                "MLflow no longer keeps runs in plain folders"
            )

        artifacts = None
        if parts.scheme == "sqlite":
            database = Path(self.uri.removeprefix("sqlite:///")).absolute()
            database.parent.mkdir(parents=True, exist_ok=True)
            artifacts = (database.parent / "artifacts" / re.sub(r"[^\w.-]", "_", sweep)).as_uri()
            self.uri = f"sqlite:///{database}"  # whatever becomes the current folder
        try:
            self.client = MlflowClient(self.uri)
            experiment = self.client.get_experiment_by_name(sweep)
            if experiment and experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            self.experiment_id = (
                experiment.experiment_id if experiment else self.client.create_experiment(sweep, artifacts)
            )
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise BadInput(f"tracker.uri={self.shown}: {str(error).splitlines()[0]}") from error
        self.sweep = sweep

    def check_server(self) -> None:
        try:
            answer = requests.get(f"{self.uri.rstrip('/')}/health", timeout=ANSWER / 2)  # to connect, then to read
        except requests.RequestException as error:
            raise BadInput(
                f"tracker.uri={self.shown}: no server answers there within {ANSWER} s ({type(error).__name__}); "
                "start one with mlflow server, or leave tracker.uri=null for a local database"
            ) from error
        if answer.status_code >= 500:
            raise BadInput(f"tracker.uri={self.shown}: the server answers with the error {answer.status_code}")

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
        params = [Param(key, value) for key, value in record.params.items()]
        for some in chunks(params, 100):
            self.client.log_batch(record.run_id, params=some)
        self.written[record.run_id] = (0, time.monotonic())
        record.tracking += time.perf_counter() - began

    def flush(self, record: Record, at_once: bool = False) -> None:
        """Write the metrics that are not in the store yet, unless the last write was a moment ago."""
        count, when = self.written[record.run_id]
        now = time.monotonic()
        if at_once or now - when > FLUSH:
            stamp = int(time.time() * 1000)
            metrics = [Metric(name, value, stamp, step) for name, value, step in record.metrics[count:]]
            for some in chunks(metrics, 1000):
                self.client.log_batch(record.run_id, metrics=some)
            self.written[record.run_id] = (len(record.metrics), now)

    def end(self, record: Record) -> None:
        """Write all that is left of the run, and its status."""
        began = time.perf_counter()
        self.flush(record, at_once=True)
        self.keep(record.run_id, record.files)
        record.tags["tracking_seconds"] = f"{record.tracking + time.perf_counter() - began:.3f}"
        self.client.log_batch(record.run_id, tags=[RunTag(key, value) for key, value in record.tags.items()])
        self.client.set_terminated(record.run_id, record.status)

    def keep(self, run_id: str, files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self.client.log_artifacts(run_id, folder)

    def records(self) -> list[Record]:
        """Every run of the sweep, newest first: the course of its test accuracy, each other metric's last value."""
        return [self.read(run) for run in self.runs("run")]

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
        course = self.client.get_metric_history(run.info.run_id, COURSE) if COURSE in run.data.metrics else []
        points = sorted((point.step, point.value) for point in course)
        end = points[-1][0] if points else 0
        return Record(
            name=run.info.run_name,
            params=run.data.params,
            tags=run.data.tags,
            status=run.info.status,
            metrics=[
                *((COURSE, value, step) for step, value in points),
                *((name, value, end) for name, value in run.data.metrics.items() if name != COURSE),
            ],
            started=run.info.start_time / 1000,
            run_id=run.info.run_id,
        )

    def file(self, record: Record, name: str) -> bytes | None:
        """The content of an artifact; None where the run has none of that name."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return Path(self.client.download_artifacts(record.run_id, name, folder)).read_bytes()
            except (MlflowException, OSError):
                return None

    def summary(self, files: dict[str, bytes]) -> None:
        """Keep the sweep's table and figures in the one run named `summary`, in the place of the last."""
        replaced = [run.info.run_id for run in self.runs("summary")]
        run = self.client.create_run(
            self.experiment_id, tags={"kind": "summary", "sweep": self.sweep}, run_name="summary"
        )
        self.keep(run.info.run_id, files)
        self.client.set_terminated(run.info.run_id, "FINISHED")
        for run_id in replaced:
            self.client.delete_run(run_id)

    def how_to_see(self) -> str:
        """The command to type, where one is needed, and the link that opens the charts of the sweep."""
        page = f"#/experiments/{self.experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        if urlsplit(self.shown).scheme in ("http", "https"):
            return f"Charts: {self.shown.rstrip('/')}/{page}"
        beside = Path(sys.executable).with_name("mlflow")  # in a virtual environment that is not activated
        command = "mlflow" if shutil.which("mlflow") or not beside.is_file() else os.path.relpath(beside)
        uri = shlex.quote(self.shown)
        return f"See the runs:  {command} ui --backend-store-uri {uri}\nthen open      http://127.0.0.1:5000/{page}"


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
