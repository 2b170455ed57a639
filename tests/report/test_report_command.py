"""The command `zeroinit-report`, and its page in a real browser."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import not_drawn
from helpers.browser import CHROMIUM, FLAGS, PATIENCE
from helpers.reports import grid, plan_of, report, unpack

from zeroinit.__main__ import main as zeroinit
from zeroinit.report import announce
from zeroinit.report.manifest import Manifest
from zeroinit.tracker.mlflow import Mlflow


@pytest.fixture(scope="session")
def sweep(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a small sweep ended: two inits, two scales, two seeds. Its page is in report.html, too."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    (folder / "asked.yaml").write_text(
        "# asked.yaml\n# Does it wake?\n# 8 runs.\ndefaults: [config, _self_]\n"
        "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      init: default,zero_normal\n      bias_scale.value: 1,10\n      seed: range(2)\n"
    )
    words = "zeroinit -cd . -cn asked dataset=digits arch.hidden=[8,8] steps=30 probe=all hydra.launcher.workers=1"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("sys.argv", words.split())
        patch.setattr("sys.path", list(sys.path))
        patch.setattr("zeroinit.report.select_figures.draw_figure", not_drawn)
        zeroinit()
    [page] = folder.glob("mlruns/artifacts/asked/*/artifacts/report.html")
    shutil.copy(page, folder)
    return folder


def test_it_is_stored_and_made_again(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(sweep)
    tracker = Mlflow(None)
    tracker.find("asked")
    stored = tracker.read_summary("report.html")
    assert stored
    assert unpack(stored)["question"] == "Does it wake?"
    [command] = unpack(stored)["commands"]
    assert command.startswith("zeroinit -cd . -cn asked dataset=digits")
    note = tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"]
    assert note.startswith("Does it wake?\n\n`zeroinit ")

    report("asked", "--to", "there", monkeypatch=monkeypatch)
    assert capfd.readouterr().out == "there\n"
    assert Path("there/report.html").read_bytes() == stored
    assert {path.name for path in Path("there").iterdir()} == {"report.html", "summary.csv", "sweep.json"}
    report("asked", "--figures", "--to", "drawn", monkeypatch=monkeypatch)
    assert Path("drawn/comparison.png").is_file()

    with pytest.raises(SystemExit):
        report("asked", "--map", "seed", "inti", monkeypatch=monkeypatch)
    assert capfd.readouterr().err == (
        "zeroinit-report: --map=inti: the sweep's runs have no such key; give two of arch, init, bias_scale.value\n"
    )
    with pytest.raises(SystemExit):
        report("asked", "--map", "init", "init", monkeypatch=monkeypatch)
    assert capfd.readouterr().err.startswith("zeroinit-report: --map=init: the key is given for both axes; give two of")
    report("asked", "--map", "init", "bias_scale.value", "--to", "turned", monkeypatch=monkeypatch)
    assert Path("turned/map.png").read_bytes() != Path("drawn/map.png").read_bytes()

    tracker.begin_summary({})  # as a sweep of its name does that is cut short
    report("asked", monkeypatch=monkeypatch)
    again = tracker.read_summary("report.html")
    assert again
    cells_again, cells_stored = (sorted(unpack(page)["cells"], key=str) for page in (again, stored))
    assert cells_again == cells_stored  # but the question, and the order, are gone with the summary


def test_while_it_trains_the_report_counts_the_runs_to_come(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned_runs = grid(1, 2, 2)
    tracker = Mlflow(None)
    tracker.open("half")
    announce(Manifest("How far?", "zeroinit", plan_of(*planned_runs)), tracker)
    for run in planned_runs[:3]:
        tracker.begin(run)
    for run in planned_runs[:2]:
        tracker.end(run)
    report("half", "--to", "there", monkeypatch=monkeypatch)
    content = unpack(Path("there/report.html").read_bytes())
    assert content["question"] == "How far?"
    assert [cell["outcomes"] for cell in content["cells"]] == ["learns", "1 running, 1 not run"]


@pytest.mark.usefixtures("database")
def test_a_sweep_that_does_not_exist_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    Mlflow(None).open("there")
    for words, said in (
        (("asked",), "asked: there is no such sweep in sqlite:///mlruns/mlflow.db; its sweeps are there"),
        (("asked", "--tracker", "sqlite:///no.db"), "--tracker=sqlite:///no.db: there is no such file; give"),
    ):
        with pytest.raises(SystemExit) as ended:
            report(*words, monkeypatch=monkeypatch)
        assert ended.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"zeroinit-report: {said}")
    Mlflow(None).open("empty")
    with pytest.raises(SystemExit):
        report("empty", monkeypatch=monkeypatch)
    assert capsys.readouterr().err == "zeroinit-report: empty: the sweep has no runs; there is nothing to report\n"


# ---- in a browser


def mean_of_both(text: str) -> float:
    """The mean of the two values of a cell of the table, `61.0%, 76.8%`."""
    low, high = (float(value.rstrip("%")) for value in text.split(", "))
    return (low + high) / 2


MIDDLE_OF_THE_FIRST_STEP = """async () => {
  const figure = [...document.querySelectorAll("#cell figure")].at(-1);
  const image = new Image();
  image.src = figure.querySelectorAll("svg image")[2].href.baseVal;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return [...canvas.getContext("2d").getImageData(0, Math.floor(image.height / 2), 1, 1).data];
}"""


def choose_cell(opened: Any) -> None:
    """Click a tile of the map, and choose its neighbour by keyboard."""
    shown = opened.locator("#cell")
    tile = opened.get_by_role("button", name="init=zero_normal, bias_scale.value=10:")
    tile.click()
    assert tile.get_attribute("aria-pressed") == "true"
    assert shown.locator("h2").inner_text() == "init=zero_normal, bias_scale.value=10"
    assert shown.locator("figure h3").all_inner_texts() == [
        "Curves",
        "Neurons that differ",
        "The wave",
        "Weight gradients over time",
    ]
    assert shown.locator("table.runs tbody td").first.inner_text() == "0"
    assert shown.get_by_label("gradients over time, compared with: init=default, bias_scale.value=10").count() == 1
    assert (
        shown.locator("figure:has(h3:text('Weight gradients')) svg image").count() == 3
    )  # this, the other, the difference
    # the hidden layers' first gradients are zeros here and not there: more of them, which is violet
    assert (lambda red, green, blue, alpha: blue > red)(*opened.evaluate(MIDDLE_OF_THE_FIRST_STEP))
    arrived = shown.get_by_label("first gradients of the layers over steps").locator("text").all_text_contents()
    assert {"1", "2", "3"} <= set(arrived)

    tile.focus()
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("Enter")
    assert shown.locator("h2").inner_text() == "init=zero_normal, bias_scale.value=1"


def sort_table(opened: Any) -> None:
    """Sort the table by accuracy in both directions, and choose its first row."""
    opened.get_by_role("button", name="test accuracy").click()
    column = opened.locator("#table tbody td:nth-child(4)").all_inner_texts()
    accuracies = [mean_of_both(text) for text in column]
    assert len(accuracies) == 4
    assert accuracies == sorted(accuracies, reverse=True)
    opened.get_by_role("button", name="test accuracy").click()
    column = opened.locator("#table tbody td:nth-child(4)").all_inner_texts()
    assert [mean_of_both(text) for text in column] == sorted(accuracies)
    opened.locator("#table tbody tr").first.get_by_role("button").press("Enter")
    assert opened.locator("#table tbody tr").first.get_attribute("aria-current") == "true"


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_it_is_used_with_mouse_keyboard_and_a_narrow_screen(sweep: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    address = (sweep / "report.html").as_uri()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(PATIENCE)
        wrong: list[str] = []
        requested: list[str] = []
        opened.on("console", lambda message: wrong.append(message.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda request: requested.append(request.url))
        opened.goto(address)

        tiles = opened.locator(".map button[data-cell]")
        tiles.first.wait_for()
        assert tiles.count() == 4
        assert opened.locator("h1").inner_text() == "Does it wake?"

        choose_cell(opened)
        sort_table(opened)
        for quantity in opened.locator("#quantity option").all():
            opened.locator("#quantity").select_option(quantity.get_attribute("value"))
            assert tiles.count() == 4
        opened.locator("#x").select_option("init")
        assert opened.locator(".map thead th").all_inner_texts()[1:] == ["default", "zero_normal"]

        opened.set_viewport_size({"width": 360, "height": 700})
        opened.wait_for_timeout(500)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        assert opened.evaluate("document.querySelector('#cell svg').getBoundingClientRect().right") <= 360

        opened.goto(address + "#cell=2")
        opened.reload()
        assert opened.locator("#cell h2").inner_text() != "init=default, bias_scale.value=1"
        assert wrong == []
        assert {url.partition("#")[0] for url in requested if not url.startswith(("data:", "blob:"))} == {address}
        browser.close()
