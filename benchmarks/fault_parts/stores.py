"""Reads the runs of a sweep from MLflow's tables by SQL alone, and compares them with those of an unbroken sweep."""

import hashlib
import json
import shutil
import sqlite3
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

SWEEP = "faults"  # the name of every sweep here
DATABASE = Path("mlruns", "mlflow.db")  # below the folder of a trial
Point = tuple[str, int, str]  # metric, step, value; a text, as NaN equals itself so


@dataclass(frozen=True)
class StoredRun:
    """A run with all that must be the same when it is trained once more. `run_id` is its id in the spool."""

    run_id: str
    status: str
    params: dict[str, str]
    points: list[Point]
    latest: list[Point]
    files: dict[str, str]  # {name: digest of the content}

    def differs_from(self, other: "StoredRun") -> list[str]:
        """Return the names of the parts that differ."""
        parts = ("params", "points", "latest", "files")
        return [part for part in parts if getattr(self, part) != getattr(other, part)]


@dataclass
class Sweep:
    """The runs of a sweep in a store: {identity: its runs}, and how many runs of any kind are RUNNING."""

    runs: dict[str, list[StoredRun]] = field(default_factory=dict)
    running: int = 0

    def finished(self) -> dict[str, list[StoredRun]]:
        return {key: [run for run in runs if run.status == "FINISHED"] for key, runs in self.runs.items()}


def read_sweep(folder: Path, database: Path | None = None) -> Sweep:
    """Return the sweep in the database of a trial's folder."""
    with closing(sqlite3.connect(database or folder / DATABASE, timeout=60)) as connection:
        return _read(connection, folder)


def _read(connection: sqlite3.Connection, folder: Path) -> Sweep:
    query = "select r.run_uuid, r.status, r.artifact_uri from runs r join experiments e using (experiment_id)"
    rows = connection.execute(f"{query} where e.name = ? and r.lifecycle_stage = 'active'", (SWEEP,)).fetchall()
    tags = _by_run(connection, "select run_uuid, key, value from tags")
    params = _by_run(connection, "select run_uuid, key, value from params")
    points = _by_run(connection, "select run_uuid, key, step, value, is_nan from metrics")
    latest = _by_run(connection, "select run_uuid, key, step, value, is_nan from latest_metrics")
    sweep = Sweep()
    for run_id, status, uri in rows:
        sweep.running += status == "RUNNING"
        run_tags = dict(tags[run_id])
        if run_tags.get("kind") != "run":
            continue
        run = StoredRun(
            run_tags.get("spool_id", run_id),  # a server chooses the id itself
            status,
            dict(params[run_id]),
            _as_points(points[run_id]),
            _as_points(latest[run_id]),
            _digests(_local_folder(uri, folder)) if status == "FINISHED" else {},
        )
        sweep.runs.setdefault(run_tags["identity"], []).append(run)
    return sweep


def _by_run(connection: sqlite3.Connection, query: str) -> dict[str, list[tuple[Any, ...]]]:
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for run_id, *values in connection.execute(query):
        rows[run_id].append(tuple(values))
    return rows


def _as_points(rows: list[tuple[Any, ...]]) -> list[Point]:
    return sorted((key, step, "nan" if is_nan else repr(value)) for key, step, value, is_nan in rows)


def _local_folder(uri: str, folder: Path) -> Path:
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    return folder / "server-files" / str(path).lstrip("/") if parts.scheme == "mlflow-artifacts" else path


def _digests(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def spooled_ids(folder: Path) -> set[str]:
    """Return the ids of the finished runs that wait in the spool of a folder."""
    waiting: set[str] = set()
    for path in Path(folder, "mlruns", "spool").glob("*/[!.]*.zip"):
        with suppress(OSError), zipfile.ZipFile(path) as archive:
            runs = json.loads(archive.read("runs.json"))["runs"]
            waiting |= {run["run_id"] for run in runs if run["status"] == "FINISHED"}
    return waiting


def count_finished(folder: Path, database: Path | None = None) -> int:
    """Return how many runs of the sweep are FINISHED in the store or in the spool; 0 if the store cannot be read."""
    query = "select count(*) from runs join tags using (run_uuid) where key = 'kind' and tags.value = 'run'"
    count = 0
    with suppress(sqlite3.Error):
        uri = f"{(database or folder / DATABASE).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            count = connection.execute(f"{query} and status = 'FINISHED'").fetchone()[0]
    return count + len(spooled_ids(folder))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep every other process from reading and writing the database."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):  # the file may be gone
                connection.rollback()


def copy_database(database: Path, target: Path) -> None:
    """Copy a database of which nobody writes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(database, target)
