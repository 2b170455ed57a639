"""Starts a PostgreSQL or MariaDB server for the tests, in a temporary folder, if the machine has one."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0
FOLDERS = (*map(str, Path("/usr/lib/postgresql").glob("*/bin")), "/usr/sbin", "/usr/bin", "/usr/local/bin")


def find_program(name: str) -> str | None:
    """Return the path of a program of a database; None if the machine lacks it."""
    return shutil.which(name, path=os.pathsep.join((*FOLDERS, os.environ.get("PATH", ""))))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serve_postgresql() -> Iterator[str]:
    """Yield the uri of a new database of PostgreSQL."""
    initdb, postgres = find_program("initdb"), find_program("postgres")
    assert initdb
    assert postgres
    port = free_port()
    with _make_folder() as (folder, owner):
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "ada", "-A", "trust", "-N"], user=owner, check=True, capture_output=True
        )
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        with _serve([postgres, "-D", data, *options], port, owner):
            yield f"postgresql+psycopg2://ada@127.0.0.1:{port}/postgres"


@contextmanager
def serve_mariadb() -> Iterator[str]:
    """Yield the uri of a new database of MariaDB."""
    install, mariadbd, client = (find_program(name) for name in ("mariadb-install-db", "mariadbd", "mariadb"))
    assert install
    assert mariadbd
    assert client
    port = free_port()
    with _make_folder() as (folder, owner):
        data, where = f"--datadir={folder}/data", f"--socket={folder}/socket"
        command = [install, "--no-defaults", data, "--auth-root-authentication-method=normal"]
        subprocess.run(command, user=owner, check=True, capture_output=True, cwd=folder)
        options = [data, where, f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid"]
        with _serve([mariadbd, "--no-defaults", *options], port, owner):
            user = "ada@'127.0.0.1'"
            sql = f"create database runs character set utf8mb4; create user {user}; grant all on runs.* to {user}"
            subprocess.run([client, "--no-defaults", where, "-u", "root", "-e", sql], check=True)
            yield f"mysql+pymysql://ada@127.0.0.1:{port}/runs"


@contextmanager
def _make_folder() -> Iterator[tuple[Path, str | None]]:
    """Yield an empty folder, and the user that owns it if that is not this one: servers refuse to work as root."""
    owner = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="zeroinit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner)
        yield folder, owner


@contextmanager
def _serve(command: Sequence[str | Path], port: int, owner: str | None) -> Iterator[None]:
    with subprocess.Popen(command, user=owner, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(lambda: _answers(port))
            yield
        finally:
            server.kill()


def _wait_for(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_true():
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
