"""The connection to MLflow's store, and to the experiment of a sweep in it."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from alembic.util.exc import CommandError
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD
from sqlalchemy.exc import SQLAlchemyError

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import accepted, artifacts, mask_uri, without_password
from zeroinit.tracker.reachable import DATABASE, file_of, is_server, read_only_reason, unreachable_reason
from zeroinit.tracker.record import folder_of
from zeroinit.tracker.waiting import WAIT_SECONDS, call_until_it_works, describe, first_error

# MLflow's notes on new tables would appear between the lines of a sweep; its warnings stay
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints a traceback of what it raises, too

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
STORE_ERRORS = (MlflowException, SQLAlchemyError, OSError)

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def raise_store_failed() -> Iterator[None]:
    """Raise StoreFailed for whatever a write of a run raises, with the message of the first error."""
    try:
        yield
    except Exception as error:
        kind = type(first_error(error)).__name__
        raise StoreFailed(f"the store does not take the run: {kind}: {describe(error)}") from error


def wait_while_busy(
    what: str,
) -> Callable[[Callable[Concatenate[Any, P], T]], Callable[Concatenate[Any, P], T]]:
    """Decorate a method of a connection: wait for a store that is busy, and raise BadInput for one that fails.

    Args:
        what: What cannot be done then, as a sentence without its end.
    """

    def decorate(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
        @wraps(method)
        def call(connection: Any, *arguments: P.args, **named: P.kwargs) -> T:
            operation: Callable[[], T] = partial(method, connection, *arguments, **named)
            waited: T = connection.wait(operation, what)
            return waited

        return call  # type: ignore[return-value]

    return decorate


class Connection:
    """The store that `uri` names: SQLite under mlruns/, another database, or a server.

    The attributes `sweep` and `experiment_id` exist after `open` or `find`. A copy in another process has them, too.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
        self.shown = mask_uri(self.uri)
        self.key = "tracker.uri" if uri or "MLFLOW_TRACKING_URI" not in os.environ else "MLFLOW_TRACKING_URI"
        self.store = mask_uri(self.uri)
        if path := file_of(self.uri):
            self.uri = f"sqlite:///{path}"  # whatever becomes the current folder
            folder = Path.cwd()  # which may be moved
            self.store = f"sqlite:///{path.relative_to(folder) if path.is_relative_to(folder) else path}"

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client, which connects when it is first used."""
        return MlflowClient(self.uri)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("client", "_writer")}

    def open(self, sweep: str) -> None:
        """Connect, and find or make the experiment of the sweep, if runs and their files can be written there."""
        if reason := accepted.reason_against_sweep(sweep):
            raise BadInput(f"sweep={sweep if len(sweep) < 80 else f'{sweep[:60]}...'}: {reason}")
        self._reach(sweep, make=True)

    def find(self, sweep: str) -> None:
        """Connect to a sweep that exists. Raises BadInput, which names those that exist."""
        self._reach(sweep, make=False)

    def _reach(self, sweep: str, make: bool) -> None:
        self.sweep, self.opened = sweep, time.time()
        path = file_of(self.uri)
        if path and not make and not path.is_file():
            raise self.error("there is no such file; give the one in which the sweep was kept")
        try:
            if path and make:
                path.parent.mkdir(parents=True, exist_ok=True)
            if reason := unreachable_reason(self.uri) or (path and make and self._await_writable(path)):
                raise self.error(reason)
            if path:
                folder = path.parent / "artifacts" / folder_of(sweep)
                with self._lock(path) if make or os.access(path.parent, os.W_OK) else nullcontext():
                    self._connect(folder.as_uri(), make)
            else:
                self._connect(None, make)
        except OSError as error:
            reason = f"{error.filename or path}: {error.strerror or error}"
            raise self.error(f"{reason}; give a file in a folder that can be written") from error

    def _lock(self, path: Path) -> AbstractContextManager[object]:
        """Return a lock, held: two sweeps that start at once would both make the tables."""
        lock = FileLock(f"{path}.lock")
        what = f"{self.shown}: another process opens the store"
        return call_until_it_works(partial(lock.acquire, blocking=False), what, Timeout, WAIT_SECONDS)

    def _await_writable(self, path: Path) -> str | None:
        """Return why an SQLite database cannot be written to, once no other process writes to it; None if it can."""
        try:
            what = f"{self.shown}: the store is being opened"
            return call_until_it_works(partial(read_only_reason, path), what, sqlite3.OperationalError, WAIT_SECONDS)
        except sqlite3.OperationalError as error:
            return (
                f"{error}, and stays so for {WAIT_SECONDS:.0f} s; give another file, or end the process that locks it"
            )

    def error(self, what: object) -> BadInput:
        """Return the error that names the store and says what is wrong with it."""
        reason = without_password(str(what).replace(self.uri, self.shown))
        return BadInput(f"{self.key}={self.shown}: {reason}")

    def wait(self, operation: Callable[[], T], what: str) -> T:
        """Return what the operation returns, once the store is not busy. Raises BadInput for one that fails."""
        try:
            return call_until_it_works(operation, f"{self.shown}: {what}", STORE_ERRORS, WAIT_SECONDS)
        except STORE_ERRORS as error:
            raise self.error(f"{what} ({describe(error)})") from error

    def _connect(self, usual_folder: str | None, make: bool) -> None:
        """Find or make the experiment; a new one keeps its files in `usual_folder`, or where the server puts them."""
        seconds = 0 if is_server(self.uri) else WAIT_SECONDS  # a server has just answered
        try:
            what = f"{self.shown}: the store is being opened"
            call_until_it_works(partial(self._find_experiment, usual_folder, make), what, STORE_ERRORS, seconds)
        except CommandError as error:  # of alembic, which looks after MLflow's tables
            raise self.error(
                f"its tables are not those of this version of MLflow ({describe(error)}); give another file, or "
                "install the version that wrote it"
            ) from error
        except (*STORE_ERRORS, ImportError) as error:
            is_damaged = file_of(self.uri) and isinstance(first_error(error), sqlite3.DatabaseError)
            raise self.error(f"{describe(error)}; give {DATABASE}" if is_damaged else describe(error)) from error

    def _find_experiment(self, usual_folder: str | None, make: bool) -> None:
        experiment = self.client.get_experiment_by_name(self.sweep)
        if not make and (not experiment or experiment.lifecycle_stage == "deleted"):
            sweeps = self.client.search_experiments(max_results=SEARCH_MAX_RESULTS_THRESHOLD)
            others = [other.name for other in sweeps if other.experiment_id != "0"]
            there = f"its sweeps are {', '.join(others)}" if others else "it has no sweep"
            raise BadInput(f"{self.sweep}: there is no such sweep in {self.shown}; {there}")
        if experiment and experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        if make and (folder := experiment.artifact_location if experiment else usual_folder):
            self._check_artifacts(folder)
        if not experiment:
            experiment = self._make_experiment(usual_folder)
            if not usual_folder:  # the server has chosen it
                self._check_artifacts(experiment.artifact_location)
        self.experiment_id, self.artifact_root = experiment.experiment_id, experiment.artifact_location

    def _make_experiment(self, usual_folder: str | None) -> Experiment:
        """Make the experiment of the sweep, unless another command has just made it."""
        try:
            self.client.create_experiment(self.sweep, usual_folder)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = self.client.get_experiment_by_name(self.sweep)
        assert experiment
        return experiment

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
