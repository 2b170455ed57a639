"""MLflow's UI in a real browser: the charts at the printed link, and the table, page and waves of the summary."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from helpers.browser import CHROMIUM, FLAGS, PATIENCE

pytestmark = pytest.mark.browser


@contextmanager
def ui(sweep: str) -> Iterator[str]:
    """The command `zeroinit ui`; the link that it prints."""
    words = [sys.executable, "-m", "zeroinit", "ui", sweep]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as command:
        assert command.stdout
        try:
            link = command.stdout.readline().strip()
            assert len(processes_of(command.pid)) == 3, "the command, and two processes of MLflow"
            yield link
        finally:
            command.send_signal(signal.SIGINT)
            assert command.wait(30) == 0
    assert not processes_of(command.pid)


def processes_of(session: int) -> list[int]:
    """The processes of a session that still run."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            pids.append(int(path.parent.name))
    return pids


@pytest.mark.usefixtures("database", "_figures")
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_runs_and_the_summary_are_seen_in_the_ui(zeroinit: Callable[..., object]) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    words = ("dataset=digits", "arch.hidden=[16]", "steps=20", "init=default,zero_normal", "seed=0,1", "sweep=small")
    ended = zeroinit("-m", *words)
    assert ended.code == 0, ended.err
    assert "Charts:  zeroinit ui small" in ended.out

    with ui("small") as link, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        page = browser.new_page(viewport={"width": 1600, "height": 5000})  # charts are drawn where they are seen
        page.set_default_timeout(PATIENCE)
        page.goto(link)
        for init in ("default", "zero_normal"):
            page.get_by_text(f"Group: {init}", exact=True).wait_for()
            for seed in (0, 1):
                page.get_by_role("link", name=f"fnn {init} x1 seed {seed}").wait_for()
        assert not page.get_by_role("link", name="summary").count()
        charts = [page.get_by_text(name, exact=True).first for name in ("test/accuracy", "test/loss", "train/loss")]
        for chart in charts:
            chart.wait_for()
        assert [chart.bounding_box()["y"] for chart in charts] == sorted(chart.bounding_box()["y"] for chart in charts)
        page.get_by_text("first_gradient/hidden1", exact=True).first.wait_for()

        page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()  # without the view of the link
        page.set_default_timeout(PATIENCE)
        page.goto(link.partition("&")[0])  # all runs, and no charts
        page.get_by_role("link", name="summary").click()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_text("summary.csv").first.click()
        for cell in ("init", "accuracy", "default", "zero_normal"):
            page.get_by_text(cell, exact=True).first.wait_for()
        page.get_by_text("report.html").first.click()
        report = page.frame_locator("iframe#html")
        tile, heading = (report.get_by_role(role, name="init=zero_normal") for role in ("button", "heading"))
        for _ in range(10):  # MLflow may load the frame once more, which forgets a click
            tile.first.click()
            with suppress(sync_api.TimeoutError):
                heading.first.wait_for(timeout=PATIENCE / 10)
                break
        heading.first.wait_for()
        report.get_by_role("img", name="zero_normal wakes").wait_for()
        page.get_by_text("wave.png").first.click()
        figure = page.locator("img[src^='blob:']").first
        figure.wait_for()
        page.wait_for_function(
            "() => [...document.images].some((image) => image.naturalWidth > 500 && image.clientWidth > 400)"
        )
        browser.close()
