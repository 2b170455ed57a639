"""Where runs are kept and read back from; the only file that knows MLflow."""

import logging
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from zeroinit.errors import BadInput

if TYPE_CHECKING:
    from mlflow.entities import Run

ANSWER = 10  # seconds that a server has to answer
FLUSH = 5  # seconds between two writes of a run that trains
COURSE = "test/accuracy"  # the metric whose whole course is read back


@dataclass
class Record:
    """A run as it is kept: what it was, what it measured (name, value, step) and its files (name, content)."""

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    status: str = "RUNNING"  # then FINISHED, FAILED or KILLED
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    run_id: str = ""
    tracking: float = 0.0  # seconds spent on watching and keeping it, up to its last write

    def last(self, metric: str) -> float:
        """The metric's last value; NaN where it was never taken."""
        return next((value for name, value, _ in reversed(self.metrics) if name == metric), float("nan"))


class Tracker(Protocol):
    """What is asked of a tracker. `open` comes first, and raises BadInput where runs cannot be kept."""

    keeps: bool  # whether anything outlives the process

    def open(self, sweep: str) -> None: ...
    def begin(self, record: Record) -> None: ...
    def flush(self, record: Record) -> None: ...
    def end(self, record: Record) -> None: ...
    def records(self) -> list[Record]: ...
    def file(self, record: Record, name: str) -> bytes | None: ...
    def summary(self, files: dict[str, bytes]) -> None: ...
    def how_to_see(self) -> str: ...


class Off:
    """Keeps the records of this process in memory, for the table at the end of a sweep."""

    keeps = False

    def __init__(self) -> None:
        self.kept: list[Record] = []

    def open(self, sweep: str) -> None:
        pass

    def begin(self, record: Record) -> None:
        self.kept.append(record)

    def flush(self, record: Record) -> None:
        pass

    def end(self, record: Record) -> None:
        pass

    def records(self) -> list[Record]:
        return self.kept[::-1]

    def file(self, record: Record, name: str) -> bytes | None:
        return record.files.get(name)

    def summary(self, files: dict[str, bytes]) -> None:
        pass

    def how_to_see(self) -> str:
        return ""


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
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        # its notes of tables created would stand between the lines of a sweep; its warnings stay
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
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
        import requests

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
        from mlflow.entities import Param

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
        from mlflow.entities import Metric

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
        from mlflow.entities import RunTag

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

    def runs(self, kind: str) -> "Iterator[Run]":
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], f"tags.kind = '{kind}'", order_by=["attributes.start_time DESC"], page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def read(self, run: "Run") -> Record:
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
        if not any(file.path == name for file in self.client.list_artifacts(record.run_id)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            return Path(self.client.download_artifacts(record.run_id, name, folder)).read_bytes()

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


def without_password(uri: str) -> str:
    """The uri with `***` for the user and password that it may hold."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
