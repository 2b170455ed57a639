"""Finds out within seconds whether a store answers: MLflow's own client tries for minutes."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import requests
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from zeroinit.regular_files import irregular_kind
from zeroinit.tracker.waiting import is_transient

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
SIDE_FILES = ("-journal", "-wal", "-shm", ".lock")  # of an SQLite database; the last is ours
DATABASE = "a database that MLflow made and that is whole, or a file that does not exist yet"
ANSWER_SECONDS = 10  # that a server has to answer


def is_server(uri: str) -> bool:
    """Whether the uri names MLflow's server, and not a database."""
    return urlsplit(uri).scheme in ("http", "https")


def file_of(uri: str) -> Path | None:
    """Return the file of an SQLite database; None for any other store."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def unreachable_reason(uri: str) -> str | None:
    """Return why the store cannot be reached; None if it answers."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if is_server(uri):
        return _server_reason(uri)
    if scheme in PORTS:
        return _port_reason(uri, PORTS[scheme])
    if path := file_of(uri):
        return "SQLite takes no options here; give sqlite:///FILE.db without ?" if "?" in uri else _file_reason(path)
    return "give sqlite:///FILE.db, another database or http(s)://SERVER; MLflow no longer keeps runs in folders"


def _server_reason(uri: str) -> str | None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_SECONDS / 2)  # to connect, then to read
    except (requests.exceptions.InvalidURL, UnicodeError):
        return "it is no address of a server; give it as http(s)://HOST:PORT, with percent codes for special characters"
    except requests.RequestException as error:
        return (
            f"no server answers there within {ANSWER_SECONDS} s ({type(error).__name__}); "
            "start one with mlflow server, or leave tracker.uri=null for a local database"
        )
    return f"the server answers with the error {answer.status_code}" if answer.status_code >= 500 else None


def _port_reason(uri: str, usual: int) -> str | None:
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):  # such as a port that is no number
        return (
            "it is no address of a database; give it as DIALECT://HOST:PORT/NAME, with user and password before HOST, "
            "and with percent codes for special characters"
        )
    try:
        socket.create_connection((url.host or "localhost", url.port or usual), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:  # a port beyond 65535 overflows
        return f"no database answers there within {ANSWER_SECONDS} s ({error})"
    return None


def _file_reason(path: Path) -> str | None:
    for file in (path, *(Path(f"{path}{suffix}") for suffix in SIDE_FILES)):
        if (
            kind := irregular_kind(file)
        ) and not file.is_dir():  # SQLite would wait for ever for the other end of a FIFO
            return f"{file} is {kind}, not a file; remove it, or give another file"
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("pragma schema_version")
    except sqlite3.Error as error:
        return None if is_transient(error) else f"{error}; give {DATABASE}"  # another process writes
    return None


def read_only_reason(path: Path) -> str | None:
    """Return why an SQLite database that can be read cannot be written to; None if it can.

    Raises:
        sqlite3.OperationalError: Another process writes to it.
    """
    if not os.access(path.parent, os.W_OK):
        return f"the folder {path.parent} cannot be written to; give a file in another"
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("begin immediate")
            connection.rollback()
    except sqlite3.Error as error:
        if is_transient(error):  # another process writes
            raise
        return f"{error}; give a file that can be written to"
    return None
