"""MLflow's server stops, restarts or disappears during a sweep."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from fault_parts.commands import Command
from fault_parts.outages import SMOKE_SECONDS, start_to_first_run, wait_while
from fault_parts.stores import spooled_ids
from fault_parts.trials import WORDS, Part, Trial

DOWN_SECONDS = 60.0
START_SECONDS = 120.0
TERM_SECONDS = 20.0  # after the begin of an outage, at most, until SIGTERM is sent
KINDS = ("hangs", "restarts", "gone", "hangs for ever", "SIGTERM")


class Server:
    """MLflow's server on a port of this machine, with its database and files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "server.db"
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", f"sqlite:///{self.database}"]
        words += ["--artifacts-destination", str(self._folder / "server-files")]
        with (self._folder / "server.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words],
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.2)
        raise RuntimeError("the server does not start")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self._process.pid, number)

    def end(self) -> None:
        """Kill it."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        self._process.wait()


def break_server(trial: Trial) -> None:
    """Stop or kill the server when the first run is stored, and have it answer later."""
    unbroken = trial.bench.unbroken()
    server = Server(trial.folder)
    try:
        kind = KINDS[trial.index % len(KINDS)]
        trial.notes.append(kind)
        variables = {"MLFLOW_TRACKING_URI": server.uri}
        command = start_to_first_run(trial, variables, server.database)
        if kind in ("restarts", "gone"):
            server.end()
        else:
            server.send(signal.SIGSTOP)
        moment = time.monotonic()
        if kind in ("hangs", "restarts"):
            wait_while(command, SMOKE_SECONDS if trial.bench.is_smoke else DOWN_SECONDS)
            server.send(signal.SIGCONT) if kind == "hangs" else server.start()
            code = command.wait()
        elif kind == "SIGTERM":
            code = _terminate(trial, command)
        else:
            code = command.wait()
            if code == 0 or "zeroinit sync" not in command.output:
                trial.errors.append(f"no sentence on zeroinit sync, exit code {code}")
        if kind != "SIGTERM":
            trial.note_message(command, moment)
        trial.notes.append(f"exit {code} after {time.monotonic() - moment:.0f} s")
        if kind in ("gone", "hangs for ever", "SIGTERM"):
            server.end()
            server.start()
        spooled = spooled_ids(trial.folder)
        trial.notes.append(f"{len(spooled)} runs in the spool")
        if kind in ("gone", "hangs for ever"):
            trial.run_until_good(("sync",), variables)
        trial.run_until_good(WORDS, variables)
        trial.compare(unbroken, spooled, server.database)
    finally:
        server.end()


def _terminate(trial: Trial, command: Command) -> int | None:
    """Send SIGTERM at a random moment of the outage, and return the exit code."""
    wait_while(command, trial.random.uniform(0, TERM_SECONDS))
    return trial.end_by(command, signal.SIGTERM)


PARTS = (Part("server", 10, 5, break_server),)
