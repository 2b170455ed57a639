"""The printed link, in a real browser: the runs, grouped by init, and the table, page and waves of the summary."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from helpers.browser import CHROMIUM, FLAGS, PATIENCE

pytestmark = pytest.mark.browser


@contextmanager
def ui(store: str) -> Iterator[str]:
    """MLflow's UI on a free port of this machine; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
    with open("ui.log", "w") as log, subprocess.Popen(words, stdout=log, stderr=log) as server:
        try:
            deadline = time.monotonic() + PATIENCE / 1000
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, "MLflow's UI did not start"
                    assert server.poll() is None, "MLflow's UI ended"
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.mark.usefixtures("database", "_figures")
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_runs_and_the_summary_are_seen_in_the_ui(zeroinit: Callable[..., object]) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    words = ("dataset=digits", "arch.hidden=[16]", "steps=20", "init=default,zero_normal", "seed=0,1", "sweep=small")
    ended = zeroinit("-m", *words)
    assert ended.code == 0, ended.err
    [link] = [line.split()[-1] for line in ended.out.splitlines() if line.startswith("then open")]
    [store] = [line.split()[-1] for line in ended.out.splitlines() if line.startswith("See the runs:")]

    with ui(store) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        here = link.replace("http://127.0.0.1:5000", address)

        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.goto(here)
        for init in ("default", "zero_normal"):
            for seed in (0, 1):
                page.get_by_role("link", name=f"fnn {init} x1 seed {seed}").wait_for()
        for name in (
            "first_gradient/hidden1",
            "grad/hidden1/norm",
        ):  # charts further down are drawn when they are scrolled to
            page.get_by_text(name, exact=True).first.wait_for()
        page.get_by_role("button", name="Group by").click()
        page.get_by_role("menuitemcheckbox", name="init", exact=True).click()
        for init in ("default", "zero_normal"):
            page.get_by_text(f"Group: {init}", exact=True).wait_for()

        page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()  # not grouped any more
        page.set_default_timeout(PATIENCE)
        page.goto(here)
        page.get_by_role("link", name="summary").click()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_text("summary.csv").first.click()
        for cell in ("init", "accuracy", "default", "zero_normal"):
            page.get_by_text(cell, exact=True).first.wait_for()
        page.get_by_text("report.html").first.click()
        report = page.frame_locator("iframe#html")
        report.get_by_role("button", name="init=zero_normal:").click()
        report.get_by_role("heading", name="init=zero_normal").wait_for()
        report.get_by_label("first gradients of the layers over steps").wait_for()
        page.get_by_text("wave.png").first.click()
        figure = page.locator("img[src^='blob:']").first
        figure.wait_for()
        page.wait_for_function(
            "() => [...document.images].some(one => one.naturalWidth > 500 && one.clientWidth > 400)"
        )
        browser.close()
