"""A page of a sweep with 6 cells, opened in a browser."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.browser import CHROMIUM, FLAGS, PATIENCE
from helpers.reports import fake_histograms, grid, pack, plan_of
from zeroinit.config.claims import Claim
from zeroinit.report.cells import group_cells
from zeroinit.report.histories import sum_histograms
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import Extras, RunLinks, render_page
from zeroinit.tracker import Record

Open = Callable[..., Any]


def runs_with_losses() -> list[Record]:
    runs = grid(3, 2, 2)
    for run in runs:
        run.run_id = run.tags["config_hash"].replace(" ", "")
        run.params["arch.activation"] = "relu"
        run.metrics += [("train/loss", 2 - 0.1 * step, step) for step in range(0, 20, 5)]
    return runs


def two_input_net() -> dict[str, Any]:
    """A net whose boundary is x + y = 1 at step 0 and x + y = 3 at step 10, where two neurons have lines."""
    hidden = np.array([[[1.0, 1.0], [1.0, -1.0]]] * 2)
    output = np.array([[[1.0, 0.0], [0.0, 0.0]]] * 2)
    biases = np.array([[0.0, 0.5]] * 2), np.array([[-1.0, 0.0], [-3.0, 0.0]])
    points = {"points": np.array([[0.0, 0], [4, 4]]), "labels": np.array([0, 1]), "seed": np.array("0")}
    weights = {"hidden1/weight": hidden, "hidden1/bias": biases[0], "output/weight": output, "output/bias": biases[1]}
    return {"steps": np.array([0, 10]), **weights, **points}


def render_six_cells(claims: Sequence[Claim] = (), watch_seconds: float | None = None) -> bytes:
    """The page of a sweep with 6 cells."""
    runs = runs_with_losses()
    cells = group_cells(plan_of(*runs), runs)
    histograms = sum_histograms([pack(fake_histograms(2))])
    manifest = Manifest("Why do they learn?", "zeroinit -cn sweep", plan_of(*runs), claims=claims, baseline="init0")
    links = RunLinks("http://127.0.0.1:5000", "7", "zeroinit ui sweep")
    extras = Extras(links, [{"hidden1": 500}] * len(cells), [two_input_net()] * len(cells), watch_seconds)
    return render_page("sweep", manifest, cells, [histograms] * len(cells), ["A note."], extras)


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a sweep with 6 cells; nothing on it may raise, or ask the network."""
    path = tmp_path / "report.html"
    path.write_bytes(render_six_cells())
    with browser_of(path) as open_at:
        yield open_at


@contextmanager
def browser_of(path: Path) -> Iterator[Open]:
    """A function that opens a page at a hash; nothing on it may raise, or ask the network."""
    sync_api = pytest.importorskip("playwright.sync_api")
    errors: list[str] = []
    requests: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def open_at(address: str = "", width: int = 1280, theme: str = "light") -> Any:
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(f"{path.as_uri()}{address}")
            page.locator("#map-chart .tile").first.wait_for()
            return page

        yield open_at
        browser.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
