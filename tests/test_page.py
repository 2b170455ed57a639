"""The page of a sweep: what it holds, how large it is, and how it is used, in a real browser."""

import base64
import gzip
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import not_drawn
from test_browser import CHROMIUM, FLAGS, PATIENCE
from test_report import fake_histograms, plan_of, record

from zeroinit.__main__ import main as zeroinit
from zeroinit.report import announce
from zeroinit.report.cells import OUTCOMES, commonest, group_cells
from zeroinit.report.cli import main
from zeroinit.report.histories import (
    GradientHistograms,
    average_history,
    first_gradients,
    sum_histograms,
    theoretical_first_gradients,
    thin_steps,
)
from zeroinit.report.manifest import Manifest, manifest_of, read_manifest
from zeroinit.report.page import curve_metrics, render_page
from zeroinit.tracker import Record
from zeroinit.tracker.mlflow import Mlflow

Command = Callable[..., Any]


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def unpack(page: bytes) -> dict[str, Any]:
    """The data of a page, as the browser unpacks them."""
    [packed] = re.findall(r'<script id="data"[^>]*>([^<]*)</script>', page.decode())
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return data


def grid(inits: int, scales: int, seeds: int) -> list[Record]:
    made = []
    for init in range(inits):
        for scale in range(scales):
            for seed in range(seeds):
                run = record(f"init{init}", seed, 0.5 + 0.01 * seed)
                run.params |= {"bias_scale.value": str(10.0**-scale), "dataset": "digits"}
                run.tags |= {"config_hash": f"{init} {scale} {seed}", "cell_hash": f"{init} {scale}", "reason": "so"}
                run.metrics += [("arrival/hidden1", 2 + seed, 2), ("predicted_arrival/hidden1", 2, 0)]
                run.metrics += [("symmetry/hidden1/distinct", 4.0, step) for step in range(30)]
                made.append(run)
    return made


def render(runs: list[Record], histograms: GradientHistograms | None, question: str = "Why?") -> bytes:
    cells = group_cells(plan_of(*runs), runs)
    return render_page(
        "sweep", Manifest(question, "zeroinit -cn sweep", plan_of(*runs)), cells, [histograms] * len(cells), ["a note"]
    )


def test_it_has_the_data_of_the_table_and_of_the_probes() -> None:
    runs = grid(2, 3, 2)
    content = unpack(render(runs, sum_histograms([pack(fake_histograms(2))])))
    assert (content["question"], content["commands"], content["notes"]) == ("Why?", ["zeroinit -cn sweep"], ["a note"])
    assert content["axes"] == {"init": ["init0", "init1"], "bias_scale.value": ["0.01", "0.1", "1.0"]}
    assert len(content["cells"]) == 6
    cell = content["cells"][0]
    assert cell["last"]["test/accuracy"] == [0.505, 2, "50.0, 51.0"]
    assert (cell["n"], cell["marked_n"], cell["accuracy"]) == (2, "2", "50.0%, 51.0%")
    assert cell["runs"] == [["0", 0.5, "learns", "so"], ["1", 0.51, "learns", "so"]]
    assert cell["arrivals"] == {"hidden1": [2, 3, 2]}
    assert cell["predicted"] == {"hidden1": 2}
    assert cell["curves"]["symmetry/hidden1/distinct"][0] == list(range(30))
    drawn = cell["gradients"]
    assert drawn["steps"] == [1, 2, 3, 4]
    assert drawn["low"] == 120 - 127
    assert drawn["layers"]["hidden1"] == {
        "median": [None, None, -6.5, -6.5],
        "zeros": [1, 1, 0, 0],
        "shares": [[0, 0], [0, 0], [500, 500], [500, 500]],
    }


def test_a_grid_from_the_command_line_gets_a_question() -> None:
    content = unpack(render(grid(2, 1, 1), None, question=""))
    assert content["question"] == "How does init affect training on digits?"


@pytest.mark.parametrize(
    ("largest", "most", "said"),
    [
        (560_000, 10**9, ["histograms at 20 steps a cell", "curves of 25 points"]),
        (10**9, 100_000, ["histograms at 20 steps a cell", "curves of 25 points"]),
        (527_000, 10**9, ["no histograms", "curves of 25 points"]),
    ],
)
def test_it_is_thinned_until_it_is_small_enough(
    largest: int, most: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histograms of noise, which do not pack."""
    monkeypatch.setattr("zeroinit.report.page.MAX_PAGE_BYTES", largest)
    monkeypatch.setattr("zeroinit.report.page.MAX_HISTOGRAM_NUMBERS", most)
    counts = {"output": np.random.default_rng(0).geometric(0.1, (40, 2, 255))}
    histograms = GradientHistograms(np.arange(1, 41), counts, {"output": np.zeros(40, dtype=int)}, 1)
    runs = grid(1, 8, 1)
    made = render(runs, histograms)
    assert len(made) <= largest
    content = unpack(made)
    assert len(content["cells"]) == 8
    assert content["left_out"] == said


def test_an_undefined_number_is_null_and_no_run_no_trouble() -> None:
    diverged = record("zero", 0, float("nan"), "FAILED", error="diverged: </script>")
    cells = group_cells(plan_of(diverged), [diverged])
    made = render_page("sweep", Manifest("", "", plan_of(diverged)), cells, [None], [])
    [cell] = unpack(made)["cells"]
    assert cell["runs"] == [["0", None, "failed", "diverged: </script>"]]
    assert (cell["verdict"], cell["last"]) == ("failed", {})


def test_a_stopped_run_has_its_outcome_and_a_run_that_does_not_exist_has_none() -> None:
    stopped = [record("zero", seed, 0.1, verdict="symmetric", stopped_at="25") for seed in (0, 1)]
    rest = [record("zero", seed, 0.1) for seed in (2, 3, 4)]
    [cell] = group_cells(plan_of(*stopped, *rest), stopped)
    assert commonest(cell) == ("symmetric", 2)
    [cell] = unpack(render_page("sweep", Manifest("", "", plan_of(*stopped, *rest)), [cell], [None], []))["cells"]
    assert cell["verdict"] == "symmetric"
    assert commonest(group_cells(plan_of(*rest), [])[0]) == ("not run", 0)


def test_each_outcome_has_its_colour_an_old_tag_too() -> None:
    """`learns` is the tag of runs stored before it was split into learned and partly-learned."""
    words = ("learned", "partly-learned", "learns")
    ended = [record(word, 0, 0.5, verdict=word) for word in words]
    content = unpack(
        render_page("sweep", Manifest("", "", plan_of(*ended)), group_cells(plan_of(*ended), ended), [None] * 3, [])
    )
    assert [cell["verdict"] for cell in content["cells"]] == list(words)
    assert [cell["became"] for cell in content["cells"]] == list(words)
    colours = [content["fates"][word] for word in words]
    assert len(set(colours)) == 3
    assert len({letter for letter, _ in OUTCOMES.values()}) == len(OUTCOMES)
    without_result = ("failed", "killed", "incomplete")  # share one colour
    assert len({colour for _, colour in OUTCOMES.values()}) == len(OUTCOMES) - len(without_result) + 1


def test_thinning_keeps_the_wave() -> None:
    """The steps up to the latest first gradient are all there, if they leave room for as many others."""
    steps = np.arange(1, 201)
    thinned = thin_steps(steps, 40, 9)
    assert thinned[:9].tolist() == list(range(1, 10))
    assert (len(thinned), thinned[-1]) == (40, 200)
    assert len(thin_steps(steps, 40, 150)) == 40
    assert thin_steps(steps[:30], 40, 150).tolist() == list(range(1, 31))


def test_a_metric_that_only_some_runs_have_says_of_how_many() -> None:
    runs = grid(1, 1, 3)
    runs[0].metrics.append(("arrival/hidden2", 7, 7))
    [cell] = unpack(render(runs, None))["cells"]
    assert cell["last"]["arrival/hidden2"] == [7, 1, ""]
    assert cell["last"]["arrival/hidden1"] == [3, 3, "± 2.48"]


def test_a_history_is_over_all_steps_and_a_run_that_ended_early_keeps_its_last() -> None:
    long, short = record("zero", 0, 0.5), record("zero", 1, 0.9)
    long.metrics = [("test/accuracy", 0.1, 0), ("test/accuracy", 0.2, 10), ("test/accuracy", 0.3, 20)]
    short.metrics = [("test/accuracy", 0.3, 0), ("test/accuracy", 0.4, 10)]
    history = average_history([long, short], "test/accuracy")
    assert history
    assert history.steps.tolist() == [0, 10, 20]
    assert history.mean.tolist() == pytest.approx([0.2, 0.3, 0.35])
    assert average_history([long], "nothing") is None


def test_a_history_begins_with_a_runs_first_value() -> None:
    """Weights that are zero have no angle: a run that wakes later counts from then on."""
    early, late = record("zero", 0, 0.5), record("zero", 1, 0.9)
    early.metrics = [("angle", 10, 1), ("angle", 20, 5), ("angle", 30, 9)]
    late.metrics = [("angle", 40, 5), ("angle", 50, 9)]
    history = average_history([early, late], "angle")
    assert history
    assert history.mean.tolist() == [10, 30, 40]
    assert history.n.tolist() == [1, 2, 2]
    assert np.isnan(history.half).tolist() == [True, False, False]
    assert history.lower[1:].tolist() == [20, 30]
    assert history.upper[1:].tolist() == [40, 50]


def test_first_gradients_are_of_each_run_and_the_quantiles_those_of_the_entries() -> None:
    runs = grid(1, 1, 3)
    assert first_gradients(runs) == {"hidden1": [2, 3, 4]}
    assert theoretical_first_gradients(runs) == {"hidden1": 2}
    assert theoretical_first_gradients([]) == {}
    values = np.exp2(np.random.default_rng(0).uniform(-20, -5, 10_000)).astype(np.float32)
    counts = np.zeros((1, 2, 255), dtype=np.int64)
    counts[0, 1] = np.bincount((values.view(np.int32) >> 23) & 0xFF, minlength=255)[:255]
    histograms = GradientHistograms(np.array([1]), {"output": counts}, {"output": np.array([10])}, 1)
    shares = [0.05, 0.25, 0.5, 0.95]
    assert histograms.quantiles("output", shares)[0] == pytest.approx(np.log2(np.quantile(values, shares)), abs=0.05)
    assert histograms.zero_share("output").tolist() == [10 / 10_010]


def test_only_metrics_that_have_a_curve_are_loaded() -> None:
    assert curve_metrics(grid(1, 1, 1)) == ["test/accuracy", "test/loss", "symmetry/hidden1/distinct"]


def test_a_manifest_is_read_back() -> None:
    runs = grid(2, 1, 2)
    manifest = Manifest("Why?", "zeroinit", plan_of(*runs))
    again = read_manifest(manifest.to_json())
    assert (again.question, again.command) == ("Why?", "zeroinit")
    assert [run[:2] for run in again.planned] == [run[:2] for run in manifest.planned]
    assert [run[2]["init"] for run in again.planned] == ["init0", "init0", "init1", "init1"]
    assert manifest_of(runs[::-1]).planned == manifest.planned


# ---- the command


def report(*words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["zeroinit-report", *words])
    main()


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
    assert [cell["became"] for cell in content["cells"]] == ["learns", "1 running, 1 not run"]


@pytest.mark.usefixtures("database")
def test_a_sweep_that_does_not_exist_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    Mlflow(None).open("there")
    for words, said in (
        (("asked",), "asked: there is no such sweep in sqlite:///mlruns/mlflow.db; there are there"),
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
