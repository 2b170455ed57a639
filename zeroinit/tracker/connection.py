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
from zeroinit.tracker import accepted, artifacts, without_password
from zeroinit.tracker.reachable import few_retries, file_of, why_not, why_read_only

# MLflow's notes of tables created would stand between the lines of a sweep; its warnings stay
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints a traceback of what it raises, too


@event.listens_for(Engine, "connect")
def wait_for_each_other(connection: Any, record: object) -> None:
    """Processes that write to one SQLite file wait a minute for each other, and not SQLite's own five seconds."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma busy_timeout = 60000")


def first_error(error: BaseException) -> BaseException:
    """Return the error that MLflow and SQLAlchemy have wrapped, in messages of many lines, into others."""
    inner = error.__cause__ or error.__context__
    return first_error(inner) if inner and isinstance(error, MlflowException | SQLAlchemyError) else error


@contextmanager
def writing() -> Iterator[None]:
    """Raise StoreFailed for whatever a write of a run raises, with the message of the error that began it."""
    try:
        yield
    except Exception as error:
        first = first_error(error)
        raise StoreFailed(f"the store does not take the run: {type(first).__name__}: {first}") from error


class Connection:
    """The store that `uri` names: SQLite under mlruns/, another database, or a server.

    `client`, `sweep` and `experiment_id` are there once it is open.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlruns/mlflow.db"
        self.shown = without_password(self.uri)
        self.key = "tracker.uri" if uri or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep, if runs and their files can be written there."""
        if reason := accepted.reason_against_sweep(sweep):
            raise BadInput(f"sweep={sweep if len(sweep) < 80 else f'{sweep[:60]}...'}: {reason}")
        self.reach(sweep, make=True)

    def find(self, sweep: str) -> None:
        """Connect to a sweep that is there. Raises BadInput, with the names of those that are."""
        self.reach(sweep, make=False)

    def reach(self, sweep: str, make: bool) -> None:
        self.sweep = sweep
        path = file_of(self.uri)
        if path and not make and not path.is_file():
            raise self.bad("there is no such file; give the one in which the sweep was kept")
        try:
            if path and make:
                path.parent.mkdir(parents=True, exist_ok=True)
            if reason := why_not(self.uri) or (path and make and why_read_only(path)):
                raise self.bad(reason)
            if path:
                self.uri = f"sqlite:///{path}"  # whatever becomes the current folder
                folder = path.parent / "artifacts" / accepted.folder_of(sweep)
                # two sweeps that start at once would both make the tables
                with FileLock(f"{path}.lock") if make or os.access(path.parent, os.W_OK) else nullcontext():
                    self.connect(folder.as_uri(), make)
            else:
                self.connect(None, make)
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            raise self.bad(f"{reason}; give a file in a folder that can be written") from error

    def bad(self, what: object) -> BadInput:
        return BadInput(f"{self.key}={self.shown}: {without_password(str(what))}")

    def connect(self, usual_folder: str | None, make: bool) -> None:
        """Find or make the experiment; a new one has its files in `usual_folder`, or where the server puts them."""
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
                folder = experiment.artifact_location if experiment else usual_folder
                if make and folder:
                    self.check_artifacts(folder)
                if experiment:
                    self.experiment_id = experiment.experiment_id
                else:
                    self.experiment_id = self.client.create_experiment(self.sweep, usual_folder)
                if make and not folder:  # a server chooses it
                    self.check_artifacts(self.client.get_experiment(self.experiment_id).artifact_location)
        except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
            raise self.bad(str(first_error(error)).splitlines()[0]) from error

    def check_artifacts(self, folder: str) -> None:
        """Raise BadInput if the files of runs cannot be kept in the folder of this uri."""
        try:
            artifacts.check_folder(folder, self.uri)
        except (OSError, MlflowException) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
            raise self.bad(
                f"files cannot be kept in {folder} ({str(reason).splitlines()[0]}); give a store whose folder can be "
                "written, and install the client library that it needs"
            ) from error

    @contextmanager
    def answering(self, what: str) -> Iterator[None]:
        """Raise BadInput where the store does not answer any more."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self.bad(f"{what} ({str(first_error(error)).splitlines()[0]})") from error
