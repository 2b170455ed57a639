"""The command `zeroinit ui`: MLflow's UI on this machine, opened at the charts of a sweep."""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

import requests

from zeroinit.errors import BadInput
from zeroinit.tracker import without_password
from zeroinit.tracker.charts import VIEW_TAG, link_of
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.reachable import is_server
from zeroinit.tracker.scores import ACCURACY

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 5000, 20  # ports that are tried if none is given
START_SECONDS = 90  # that the UI has to answer


def main(arguments: Sequence[str]) -> int:
    """Start MLflow's UI, print the link to a sweep, and wait until the UI ends or the user interrupts it.

    Args:
        arguments: The words after `zeroinit ui`.

    Returns:
        The exit code.

    Raises:
        BadInput: There is no such sweep, or the port is taken.
    """
    parser = argparse.ArgumentParser("zeroinit ui", description="Show the runs of a sweep in MLflow's UI.")
    parser.add_argument("sweep", help="the name of the sweep, which is its MLflow experiment")
    parser.add_argument("--uri", help="database or server; else MLFLOW_TRACKING_URI or mlruns/")
    parser.add_argument("--port", type=int, help=f"of the UI; else {FIRST_PORT}, or the next port that is free")
    typed = parser.parse_args(arguments)
    tracker = Mlflow(typed.uri)
    tracker.key = "--uri" if typed.uri else tracker.key
    tracker.find(typed.sweep)
    _prepare_view(tracker)
    if is_server(tracker.uri):
        print(link_of(tracker.experiment_id, tracker.shown))
        return 0
    port = _choose_port(typed.port)
    with TemporaryFile() as log, _start_server(tracker.uri, port, log) as server:
        try:
            _wait_for_answer(server, port, log)
            print(f"{link_of(tracker.experiment_id, f'http://{HOST}:{port}')}\nCtrl-C ends MLflow's UI.", flush=True)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def _prepare_view(tracker: Mlflow) -> None:
    """Give an experiment that no sweep has concluded the view that the link names, unless the store is read-only."""
    if VIEW_TAG not in tracker.client.get_experiment(tracker.experiment_id).tags:
        with suppress(BadInput):
            scores = [record.score for record in tracker.records()[:1]]
            tracker.prepare_charts(["init"], *(scores or [ACCURACY]))


def _choose_port(port: int | None) -> int:
    """Return the port, or the first that is free if it is None. Raises BadInput if there is none."""
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    for candidate in candidates:
        if 0 < candidate < 2**16 and _is_free(candidate):
            return candidate
    typed = f"--port={port}: another program listens there, or it is no port" if port is not None else "--port"
    raise BadInput(f"{typed}; give a free port, such as {FIRST_PORT + PORTS}")


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _start_server(uri: str, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start MLflow's UI with one worker, and without the processes that run jobs of language models."""
    words = ["-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    # the store is no word of the command, which other users of this machine can read
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": uri}
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=log, stderr=log)


def _wait_for_answer(server: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    """Wait until the UI answers. Raises BadInput with the last line of its log if it ends or does not answer."""
    deadline = time.monotonic() + START_SECONDS
    session = requests.Session()
    session.trust_env = False  # no proxy stands between this machine and itself
    while time.monotonic() < deadline and server.poll() is None:
        try:
            session.get(f"http://{HOST}:{port}/health", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    last = without_password(next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing"))
    raise BadInput(f"--port={port}: MLflow's UI did not start within {START_SECONDS} s ({last})")
