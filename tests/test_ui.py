"""The command `zeroinit ui`: what it refuses, and the port that it takes."""

import io
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from zeroinit import ui
from zeroinit.errors import BadInput
from zeroinit.tracker.charts import link_of
from zeroinit.tracker.mlflow import Mlflow


@pytest.mark.usefixtures("database")
def test_an_unknown_sweep_is_refused_in_one_sentence() -> None:
    Mlflow(None).open("mine")
    with pytest.raises(BadInput, match=r"mien: there is no such sweep in .*; its sweeps are mine"):
        ui.main(["mien"])


def test_a_store_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadInput, match=r"--uri=sqlite:///none\.db: there is no such file"):
        ui.main(["mine", "--uri", "sqlite:///none.db"])
    assert not Path("none.db").exists()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("port", [0, 70_000])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    Mlflow(None).open("mine")
    with pytest.raises(BadInput, match=f"--port={port}: another program listens there, or it is no port"):
        ui.main(["mine", "--port", str(port)])


@pytest.mark.usefixtures("database")
def test_a_port_that_is_taken_is_refused_if_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    Mlflow(None).open("mine")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"--port={port}: another program listens there"):
            ui.main(["mine", "--port", str(port)])
        monkeypatch.setattr(ui, "FIRST_PORT", port)
        assert port < ui._choose_port(None) < port + ui.PORTS


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # where nothing answers
    monkeypatch.setattr(ui, "START_SECONDS", 5)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server, subprocess.Popen(["sleep", "60"]) as other:
        threading.Thread(target=server.handle_request, daemon=True).start()
        try:
            ui._wait_for_answer(other, server.server_port, io.BytesIO())
        finally:
            other.kill()


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


def test_the_link_has_no_password() -> None:
    link = link_of("7", "https://me:secret@host:8080/mlflow/")
    assert link.startswith("https://host:8080/mlflow/#/experiments/7/runs?workflowType=machine_learning&")
