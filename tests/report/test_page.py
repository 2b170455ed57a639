"""The page of a sweep: what it contains, and how large it is."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from helpers.reports import column_of, fake_histograms, grid, pack, plan_of, record, table_of, unpack

from zeroinit.report.cells import OUTCOMES, commonest, group_cells
from zeroinit.report.histories import (
    CellHistograms,
    GradientHistograms,
    average_history,
    first_gradients,
    sum_histograms,
    theoretical_first_gradients,
    thin_steps,
)
from zeroinit.report.manifest import Manifest, manifest_of, read_manifest
from zeroinit.report.page import Extras, curve_metrics, render_page
from zeroinit.report.page.content import Content
from zeroinit.report.page.metrics import DetailLevel
from zeroinit.report.page.render import DETAIL_LEVELS, TEMPLATE, _fill_template, _list_levels
from zeroinit.tracker import Record, RunReader

Command = Callable[..., Any]


def render(runs: list[Record], histograms: GradientHistograms | None, question: str = "Why?") -> bytes:
    cells = group_cells(plan_of(*runs), runs)
    return render_page(
        "sweep", Manifest(question, "zeroinit -cn sweep", plan_of(*runs)), cells, [histograms] * len(cells), ["a note"]
    )


def test_it_has_the_data_of_the_table_and_of_the_probes() -> None:
    runs = grid(2, 3, 2)
    content = unpack(render(runs, sum_histograms([pack(fake_histograms(2))] * 3)))
    assert "added up over 3 runs a cell" in content["gradients"]["view"]["caption"]
    assert (content["question"], content["commands"], content["notes"]) == ("Why?", ["zeroinit -cn sweep"], ["a note"])
    axes = {key: axis["x"]["domain"] for key, axis in content["map"]["axes"].items()}
    assert axes == {"init": ["init0", "init1"], "bias_scale.value": ["0.01", "0.1", "1.0"]}
    assert len(content["cells"]) == 6
    cell = content["cells"][0]
    paint = content["map"]["paints"]["test/accuracy"]
    assert column_of(content, paint["means"]) == [0.505] * 6
    assert column_of(content, paint["estimates"]) == ["50.0%, 51.0%"] * 6
    assert column_of(content, paint["frame"]["tip"])[0] == "50.0%, 51.0% (n = 2); 2 learns"
    assert column_of(content, paint["frame"]["text"])[0] == "50.5\nO"
    assert (cell["n"], cell["marked_n"], cell["accuracy"]) == (2, "2", "50.0%, 51.0%")
    runs_shown = [
        row for row in table_of(content, "runs") if (row["init"], row["bias_scale.value"]) == ("init0", "1.0")
    ]
    assert [tuple(row.values())[2:] for row in runs_shown] == [
        ("0", "50.0%", "0.5", "learns", "so"),
        ("1", "51.0%", "0.49", "learns", "so"),
    ]
    layers = cell["layers"]["symmetry/{layer}/distinct"]
    assert column_of(content, layers["frame"]["x"]) == list(range(30))
    assert cell["distinct"] == [["hidden1", "4"]]
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
    ("more", "said"),
    [
        (12_000, ["histograms at 20 steps a cell", "curves of 25 points"]),
        (2_000, ["no histograms", "curves of 25 points", "no curves of single seeds"]),
    ],
)
def test_it_is_thinned_until_it_is_small_enough(more: int, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Histograms of noise, which do not pack, on a page that may have some bytes more than without them."""
    runs = grid(1, 8, 1)
    largest = len(render(runs, None)) + more
    monkeypatch.setattr("zeroinit.report.page.render.MAX_PAGE_BYTES", largest)
    counts = {"output": np.random.default_rng(0).geometric(0.1, (40, 2, 255))}
    histograms = GradientHistograms(np.arange(1, 41), counts, {"output": np.zeros(40, dtype=int)}, 1)
    made = render(runs, histograms)
    assert len(made) <= largest
    content = unpack(made)
    assert len(content["cells"]) == 8
    assert content["omissions"] == said


def test_the_detail_of_a_large_sweep_is_predicted_from_some_of_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level of detail of all cells would take as long as the page."""
    counts: list[int] = []
    at = Content.at

    def count(content: Content, *levels: DetailLevel) -> dict[str, Any]:
        counts.append(len(content.cells))
        return at(content, *levels)

    monkeypatch.setattr(Content, "at", count)
    monkeypatch.setattr("zeroinit.report.page.render.SAMPLE_CELLS", 4)
    runs = grid(4, 16, 1)
    monkeypatch.setattr("zeroinit.report.page.render.MAX_PAGE_BYTES", len(render(runs, None)) + 2000)
    assert (counts.count(64), counts[-1], set(counts)) == (1, 64, {1, 2, 4, 64})
    histograms = {"output": np.random.default_rng(0).geometric(0.1, (40, 2, 255))}
    page = render(runs, GradientHistograms(np.arange(1, 41), histograms, {"output": np.zeros(40, dtype=int)}, 1))
    assert (counts.count(64), counts[-1]) == (2, 64)
    assert unpack(page)["omissions"]


def test_the_size_of_data_that_pack_badly_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves of noise: a page of all cells that is too large would cost as much time as the page that fits."""
    generator = np.random.default_rng(0)
    runs = grid(8, 20, 1)
    for run in runs:
        run.metrics += [("train/loss", value, step) for step, value in enumerate(generator.uniform(size=50))]
    cells = group_cells(plan_of(*runs), runs)
    content = Content("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 160, [], Extras())
    levels = DETAIL_LEVELS[:2]
    full, less = (len(_fill_template(content, level)) for level in levels)
    monkeypatch.setattr("zeroinit.report.page.render.MAX_PAGE_BYTES", round(0.75 * full + 0.25 * less))
    assert _list_levels(content)[0] == levels[1]
    monkeypatch.setattr("zeroinit.report.page.render.MAX_PAGE_BYTES", round(1.05 * full))
    assert _list_levels(content)[0] == levels[0]


def test_no_line_of_a_script_is_too_long_to_read() -> None:
    """160 characters; D3 and Plot are as they were published."""
    scripts = [path for path in TEMPLATE.glob("*.js") if not path.name.endswith(".min.js")]
    assert len(scripts) > 10
    lines = [
        (path.name, number)
        for path in scripts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 160
    ]
    assert lines == []


def test_an_undefined_number_is_null_and_no_run_no_trouble() -> None:
    diverged = record("zero", 0, float("nan"), "FAILED", error="diverged: </script>")
    cells = group_cells(plan_of(diverged), [diverged])
    made = render_page("sweep", Manifest("", "", plan_of(diverged)), cells, [None], [])
    content = unpack(made)
    [cell], [run] = content["cells"], table_of(content, "runs")
    assert (run["seed"], run["outcome"], run["reason"]) == ("0", "failed", "diverged: </script>")
    [accuracy] = [column for column in content["table"]["runs"]["columns"] if column["name"] == "test accuracy"]
    assert (run["test accuracy"], column_of(content, accuracy["order"])) == ("\N{EN DASH}", [None])
    assert (cell["outcome"], list(content["map"]["paints"])) == ("failed", ["outcome"])


def test_a_stopped_run_has_its_outcome_and_a_run_that_does_not_exist_has_none() -> None:
    stopped = [record("zero", seed, 0.1, outcome="symmetric", stopped_at="25") for seed in (0, 1)]
    rest = [record("zero", seed, 0.1) for seed in (2, 3, 4)]
    [cell] = group_cells(plan_of(*stopped, *rest), stopped)
    assert commonest(cell) == ("symmetric", 2)
    [cell] = unpack(render_page("sweep", Manifest("", "", plan_of(*stopped, *rest)), [cell], [None], []))["cells"]
    assert cell["outcome"] == "symmetric"
    assert commonest(group_cells(plan_of(*rest), [])[0]) == ("not run", 0)


def test_each_outcome_has_its_colour_an_old_tag_too() -> None:
    """`learns` is the tag of runs stored before it was split into learned and partly-learned."""
    words = ("learned", "partly-learned", "learns")
    ended = [record(word, 0, 0.5, outcome=word) for word in words]
    content = unpack(
        render_page("sweep", Manifest("", "", plan_of(*ended)), group_cells(plan_of(*ended), ended), [None] * 3, [])
    )
    assert [cell["outcome"] for cell in content["cells"]] == list(words)
    assert [cell["outcomes"] for cell in content["cells"]] == list(words)
    scale = content["map"]["paints"]["outcome"]["colour"]
    assert scale["domain"] == list(words)
    colours = scale["colours"]
    assert [cell["colour"] for cell in content["cells"]] == colours
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
    runs[0].metrics.append(("first_gradient/hidden2", 7, 7))
    content = unpack(render(runs, None))
    paints = [content["map"]["paints"][f"first_gradient/{layer}"] for layer in ("hidden2", "hidden1")]
    assert [column_of(content, paint["means"]) for paint in paints] == [[7], [3]]
    assert [column_of(content, paint["frame"]["tip"]) for paint in paints] == [
        ["7 (n = 1); 3 learns"],
        ["3 ± 2.48 (n = 3); 3 learns"],
    ]


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


def test_the_histograms_of_the_latest_cells_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = grid(3, 1, 2)
    names: list[str] = []

    class Reader:
        def read_file(self, run: Record, name: str) -> bytes | None:
            names.append(run.params["init"])
            return pack(fake_histograms(2)) if run.params["init"] != "init1" else None

    monkeypatch.setattr("zeroinit.report.histories.MAX_CELLS", 2)
    histograms = CellHistograms(group_cells(plan_of(*runs), runs), cast(RunReader, Reader()))
    runs_read = []
    for index in (0, 1, 1, 0, 2, 0, 2, 1):
        names.clear()
        of_cell = histograms[index]
        assert (of_cell and of_cell.runs) == (None if index == 1 else 2)
        runs_read.append(len(names))
    assert runs_read == [2, 2, 0, 0, 2, 2, 0, 2]


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


def test_a_metric_whose_values_are_nearly_equal_has_a_colour() -> None:
    """As the loss of nets that do not learn: bounds that are rounded would be equal."""
    runs = grid(3, 1, 1)
    for index, run in enumerate(runs):
        run.metrics = [(name, value, step) for name, value, step in run.metrics if name != "test/loss"]
        run.metrics.append(("test/loss", 2.302585 + 1e-7 * index, 20))
    painted = unpack(render(runs, None))["map"]["paints"]["test/loss"]
    domain = painted["colour"]["domain"]
    assert sorted(set(domain)) == domain
    assert (domain[0], domain[-1]) == pytest.approx((2.302585, 2.3025852), abs=1e-9)
