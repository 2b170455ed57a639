"""The command `zeroinit ui`: MLflow's UI on this machine, opened at the charts of a sweep."""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import requests

from zeroinit.errors import BadInput
from zeroinit.tracker.charts import link_of
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.reachable import is_server

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
    if is_server(tracker.uri):
        print(link_of(tracker.experiment_id, tracker.shown))
        return 0
    port = _choose_port(typed.port)
    with _start_server(tracker.uri, port) as server:
        try:
            _wait_for_answer(server, port)
            print(f"{link_of(tracker.experiment_id, f'http://{HOST}:{port}')}\nCtrl-C ends MLflow's UI.", flush=True)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


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


def _start_server(uri: str, port: int) -> "subprocess.Popen[bytes]":
    """Start MLflow's UI with one worker, and without the processes that run jobs of language models."""
    words = ["-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=quiet, stderr=quiet)


def _wait_for_answer(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until the UI answers. Raises BadInput if it ends, or does not answer in time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            requests.get(f"http://{HOST}:{port}/health", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise BadInput(f"--port={port}: MLflow's UI did not start; `mlflow ui` says why")
