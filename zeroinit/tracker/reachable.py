"""Whether a store answers, found out within seconds: MLflow's own client tries for minutes."""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
ANSWER = 10  # seconds that a server has to answer
LOCKED = 20  # seconds to wait for others that write to an SQLite database


def is_server(uri: str) -> bool:
    """Whether MLflow's server is asked, and not a database."""
    return urlsplit(uri).scheme in ("http", "https")


def file_of(uri: str) -> Path | None:
    """The file of an SQLite database; None of any other store."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def why_not(uri: str) -> str | None:
    """Why the store cannot be reached; None if it answers."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if is_server(uri):
        return why_no_server(uri)
    if scheme in PORTS:
        return why_no_port(uri, PORTS[scheme])
    if path := file_of(uri):
        return why_no_file(path)
    return "give sqlite:///FILE.db, another database or http(s)://SERVER; MLflow no longer keeps runs in folders"


def why_no_server(uri: str) -> str | None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER / 2)  # to connect, then to read
    except requests.RequestException as error:
        return (
            f"no server answers there within {ANSWER} s ({type(error).__name__}); "
            "start one with mlflow server, or leave tracker.uri=null for a local database"
        )
    return f"the server answers with the error {answer.status_code}" if answer.status_code >= 500 else None


def why_no_port(uri: str, usual: int) -> str | None:
    parts = urlsplit(uri)
    try:
        socket.create_connection((parts.hostname or "localhost", parts.port or usual), ANSWER).close()
    except OSError as error:
        return f"no database answers there within {ANSWER} s ({error})"
    return None


def why_no_file(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma schema_version")
    except sqlite3.Error as error:
        return str(error)
    return None


def why_read_only(path: Path) -> str | None:
    """Why nothing can be written to an SQLite database that can be read; None if it can."""
    if not os.access(path.parent, os.W_OK):
        return f"the folder {path.parent} cannot be written to; give a file in another"
    try:
        with closing(sqlite3.connect(path, timeout=LOCKED)) as connection:
            connection.execute("begin immediate")
            connection.rollback()
    except sqlite3.Error as error:
        return f"{error}; give a file that can be written to"
    return None


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
