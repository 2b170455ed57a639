"""The connection to MLflow's store, and to the experiment of a sweep in it."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import accepted, artifacts, mask_uri, without_password
from zeroinit.tracker.reachable import file_of, limit_retries, read_only_reason, unreachable_reason

# MLflow's notes on new tables would appear between the lines of a sweep; its warnings stay
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints a traceback of what it raises, too


DEFAULT_URI = "sqlite:///mlruns/mlflow.db"


@event.listens_for(Engine, "connect")
def _wait_for_other_writers(connection: Any, record: object) -> None:
    """Let processes that write to one SQLite file wait a minute for each other; SQLite's default is five seconds."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma busy_timeout = 60000")


def _first_error(error: BaseException) -> BaseException:
    """Return the error that MLflow and SQLAlchemy have wrapped into others, whose messages have many lines."""
    inner = error.__cause__ or error.__context__
    return _first_error(inner) if inner and isinstance(error, MlflowException | SQLAlchemyError) else error


@contextmanager
def writing() -> Iterator[None]:
    """Raise StoreFailed for whatever a write of a run raises, with the message of the first error."""
    try:
        yield
    except Exception as error:
        first = _first_error(error)
        raise StoreFailed(f"the store does not take the run: {type(first).__name__}: {first}") from error


class Connection:
    """The store that `uri` names: SQLite under mlruns/, another database, or a server.

    The attributes `client`, `sweep` and `experiment_id` exist after `open` or `find`.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        self.shown = mask_uri(self.uri)
        self.key = "tracker.uri" if uri or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep, if runs and their files can be written there."""
        if reason := accepted.reason_against_sweep(sweep):
            raise BadInput(f"sweep={sweep if len(sweep) < 80 else f'{sweep[:60]}...'}: {reason}")
        self._reach(sweep, make=True)

    def find(self, sweep: str) -> None:
        """Connect to a sweep that exists. Raises BadInput, which names those that exist."""
        self._reach(sweep, make=False)

    def _reach(self, sweep: str, make: bool) -> None:
        self.sweep = sweep
        path = file_of(self.uri)
        if path and not make and not path.is_file():
            raise self.error("there is no such file; give the one in which the sweep was kept")
        try:
            if path and make:
                path.parent.mkdir(parents=True, exist_ok=True)
            if reason := unreachable_reason(self.uri) or (path and make and read_only_reason(path)):
                raise self.error(reason)
            if path:
                self.uri = f"sqlite:///{path}"  # whatever becomes the current folder
                folder = path.parent / "artifacts" / accepted.folder_of(sweep)
                # two sweeps that start at once would both make the tables
                with FileLock(f"{path}.lock") if make or os.access(path.parent, os.W_OK) else nullcontext():
                    self._connect(folder.as_uri(), make)
            else:
                self._connect(None, make)
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            raise self.error(f"{reason}; give a file in a folder that can be written") from error

    def error(self, what: object) -> BadInput:
        """Return the error that names the store and says what is wrong with it."""
        reason = without_password(str(what).replace(self.uri, self.shown))
        return BadInput(f"{self.key}={self.shown}: {reason}")

    def _connect(self, usual_folder: str | None, make: bool) -> None:
        """Find or make the experiment; a new one keeps its files in `usual_folder`, or where the server puts them."""
        try:
            with limit_retries():
                self.client = MlflowClient(self.uri)
                experiment = self.client.get_experiment_by_name(self.sweep)
                if not make and (not experiment or experiment.lifecycle_stage == "deleted"):
                    others = [other.name for other in self.client.search_experiments() if other.experiment_id != "0"]
                    there = f"its sweeps are {', '.join(others)}" if others else "it has no sweep"
                    raise BadInput(f"{self.sweep}: there is no such sweep in {self.shown}; {there}")
                if experiment and experiment.lifecycle_stage == "deleted":
                    self.client.restore_experiment(experiment.experiment_id)
                folder = experiment.artifact_location if experiment else usual_folder
                if make and folder:
                    self._check_artifacts(folder)
                if experiment:
                    self.experiment_id = experiment.experiment_id
                else:
                    self.experiment_id = self.client.create_experiment(self.sweep, usual_folder)
                if make and not folder:  # a server chooses it
                    self._check_artifacts(self.client.get_experiment(self.experiment_id).artifact_location)
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            raise self.error(str(_first_error(error)).splitlines()[0]) from error

    def _check_artifacts(self, folder: str) -> None:
        """Raise BadInput if the files of runs cannot be kept in the folder of this uri."""
        try:
            artifacts.check_folder(folder, self.uri)
        except (OSError, MlflowException) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
            raise self.error(
                f"files cannot be kept in {folder} ({str(reason).splitlines()[0]}); give a store whose folder can be "
                "written, and install the client library that it needs"
            ) from error

    @contextmanager
    def answering(self, what: str) -> Iterator[None]:
        """Raise BadInput where the store does not answer any more."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self.error(f"{what} ({str(_first_error(error)).splitlines()[0]})") from error
