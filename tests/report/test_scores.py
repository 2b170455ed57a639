"""Runs with R² in place of accuracy: what is read, compared, judged, and shown of them."""

import base64
import csv
import io
import json
import zlib
from collections.abc import Sequence

import pytest
from helpers.claims import BETTER, NOTHING, PRIOR, judge_claim, of
from helpers.claims import run as claim_run
from helpers.reports import plan_of, record, table_of, unpack

from zeroinit.progress import Bar
from zeroinit.report import views
from zeroinit.report.answer import summarize
from zeroinit.report.archive import record_of, row_of
from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.comparisons import compare_with_baseline, subtract_cells, warn_of_scores
from zeroinit.report.histories import average_history
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import render_page
from zeroinit.report.page.content import _texts_of
from zeroinit.report.statistics import estimate, explain_intervals
from zeroinit.report.tables import as_csv, cell_table, summarize_cells
from zeroinit.report.views.limits import choose_limits
from zeroinit.sweep.messages import best_val_score, result_line
from zeroinit.tracker import Record
from zeroinit.tracker.charts import encode_view
from zeroinit.tracker.scores import ACCURACY, R2, ScoreValue


def as_r2(run: Record) -> Record:
    """Return the run with R² in place of accuracy, and the loss that makes it so."""
    run.metrics = [(name.replace("accuracy", "r2"), value, step) for name, value, step in run.metrics]
    run.params["loss"] = "mse"
    run.tags.pop("test_class_counts", None)
    return run


def r2_runs(init: str, *values: float) -> list[Record]:
    return [as_r2(record(init, seed, value)) for seed, value in enumerate(values)]


def cells_of(runs: Sequence[Record]) -> list[Cell]:
    return group_cells(plan_of(*runs), runs)


THREE = [*r2_runs("default", 0.45, 0.46, 0.47), *r2_runs("zero", -0.02, 0.01, -0.01)]


def mixed_cells() -> list[Cell]:
    """Cells of two inits, with accuracy and with R²."""
    classes = [record(init, seed, 0.9 + 0.01 * seed) for init in ("default", "zero") for seed in range(3)]
    for run in classes:
        run.params["loss"] = "cross_entropy"
        run.tags |= {"cell_hash": f"{run.tags['cell_hash']} classes", "config_hash": f"{run.name} classes"}
    return cells_of([*classes, *THREE])


def test_the_metrics_of_a_run_decide_its_score_and_before_them_its_loss() -> None:
    run, [other] = record("zero", 0, 0.5), r2_runs("zero", 0.5)
    assert (run.score, other.score) == (ACCURACY, R2)
    run.metrics = [("val/r2", 0.3, 1), ("val/r2", 0.2, 2)]
    assert (run.score, best_val_score(run)) == (R2, 0.3)
    run.metrics, other.metrics = [], []
    assert (run.score, other.score) == (ACCURACY, R2)
    assert other.lacks(list) == "it has no test/r2"
    other.metrics, other.tags["last_step"] = [("test/r2", 0.1, 5)], "6"
    assert other.lacks(list) == "it has no test/r2 after its last step, 6"


def test_a_screen_line_names_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    [run] = r2_runs("zero", 0.4531)
    run.tags["outcome_reason"] = "so"
    assert result_line(run) == "zero 0: test R² 45.3%, loss 0.547, learns (so)"
    with Bar(1) as bar:
        bar.advance(1.0, ScoreValue(R2, 0.25))
        bar.finish()
    assert "100%, 1/1 runs, R² 25.0%, 0 s left" in capsys.readouterr().err


def test_intervals_of_r2_are_cut_at_100_percent_but_not_at_0() -> None:
    assert estimate(r2_runs("zero", -0.0001), "test/r2").percent(digits=1) == "0.0%"
    low, high = (estimate(r2_runs("zero", *values), "test/r2") for values in ((-0.2, 0.0, 0.2), (0.9, 0.99, 1.0)))
    assert low.percent(digits=1) == "0.0% ± 49.7"
    assert high.percent(digits=1) == "96.3% (82.7 to 100)"
    assert explain_intervals([high], 1) == "Student's 95% interval, cut where it would exceed 100%, as (low to high)"
    accuracy = estimate([record("zero", seed, value) for seed, value in enumerate((0.0, 0.1, 0.2))], "test/accuracy")
    assert "leave 0 to 100%" in explain_intervals([high, accuracy], 1)


def test_the_mean_is_in_a_column_of_its_score() -> None:
    rows = summarize_cells(cells_of(THREE))
    assert rows[0].columns()["r2"] == pytest.approx(0.46)
    assert "accuracy" not in rows[0].columns()
    assert "test R²" in [column.header for column in cell_table(rows).columns]
    mixed = summarize_cells(mixed_cells())
    table = list(csv.DictReader(io.StringIO(as_csv([row.columns() for row in mixed]).decode())))
    means = [[float(row[name]) if row[name] else None for name in ("accuracy", "r2")] for row in table]
    assert means == [[pytest.approx(0.91), None]] * 2 + [[None, pytest.approx(0.46)], [None, pytest.approx(-0.02 / 3)]]
    assert "test accuracy or R²" in [column.header for column in cell_table(mixed).columns]


def test_the_archive_keeps_r2() -> None:
    [run] = r2_runs("zero", 0.25)
    run.metrics.append(("val/r2", 0.2, 20))
    row = row_of("sweep", run, ())
    assert {name: row[name] for name in ("test/r2", "val/r2", "steps_taken")} == {
        "test/r2": "0.25",
        "val/r2": "0.2",
        "steps_taken": "20",
    }
    archived = record_of(row | {"identity": "a-b-2"})
    assert (archived.score, archived.last("test/r2")) == (R2, 0.25)


def test_only_cells_with_the_same_score_are_compared() -> None:
    cells = mixed_cells()
    answer = summarize(compare_with_baseline(cells))
    assert answer[0] == "With accuracy: The baseline is default (91.0% ± 2.5, n = 3)."
    assert answer[1] == "With R²: The baseline is default (R² 46.0% ± 2.5, n = 3)."
    assert warn_of_scores(cells) == [
        "Some cells have accuracy and others R²: only cells with the same score are compared."
    ]
    assert warn_of_scores(cells[:2]) == warn_of_scores(cells[2:]) == []
    assert subtract_cells(cells[3], cells[0]).n == 0
    assert subtract_cells(cells[3], cells[2]).mean == pytest.approx(-46.67, abs=0.01)
    caption = views.make_map(cells).caption
    assert "Test accuracy in percent" in caption
    assert "grey: the score is R²" in caption


def r2_claim_runs(init: str, *values: float) -> list[Record]:
    return [as_r2(claim_run(init, seed, value)) for seed, value in enumerate(values)]


def test_claims_about_r2() -> None:
    runs = [*r2_claim_runs("default", 0.40, 0.41, 0.42), *r2_claim_runs("zero_normal", 0.43, 0.441, 0.452)]
    better = judge_claim(BETTER | {"margin": 1}, runs)
    assert (better["verdict"], better["difference"]) == ("supported", pytest.approx(3.1))
    number = judge_claim(BETTER | {"margin": 1, "reference": 40}, runs)
    assert (number["verdict"], number["difference"]) == ("supported", pytest.approx(4.1))
    still = r2_claim_runs("zero", 0.0, 0.0)
    judgement = judge_claim(PRIOR, still)
    assert (judgement["verdict"], judgement["needed"]) == (
        "undetermined",
        "runs that predict classes; these have R²",
    )
    for run in still:
        run.tags["outcome"] = "stuck-at-prior"
    assert judge_claim(NOTHING, still)["verdict"] == "supported"
    mixed = judge_claim(BETTER | {"margin": 1}, [claim_run("default", 0, 0.9), *runs[3:]])
    assert (mixed["verdict"], mixed["needed"]) == (
        "undetermined",
        "cells with the same score; these have accuracy or R²",
    )
    assert of(runs)[0].score == R2


def test_the_page_of_runs_with_r2_never_speaks_of_accuracy() -> None:
    runs = [*THREE]
    for run in runs:
        run.tags["outcome"] = "learned" if run.params["init"] == "default" else "stuck-at-prior"
    cells = cells_of(runs)
    page = render_page("sweep", Manifest("", "", plan_of(*runs)), cells, [None] * 2, [])
    content = unpack(page)
    texts = [text for text in _texts_of(content) if "accuracy" in text.lower() or "majority" in text or "nats" in text]
    assert texts == []
    shell = page.decode()
    assert '["test R²", cell.accuracy]' in shell
    assert "test accuracy" not in shell
    assert "{{score}}" not in shell
    assert [row["test R²"] for row in table_of(content, "cells")] == ["46.0% ± 2.5", "-0.7% ± 3.8"]
    assert [row["test R²"] for row in table_of(content, "runs")][:2] == ["45.0%", "46.0%"]
    assert content["glossary"]["learned"] == (
        "Validation R² is at least 90% of the way from the mean predictor to linear regression."
    )
    assert content["map"]["title"] == "Of 2 cells, 1 learns and 1 stays at the prior"
    assert content["glossary"]["prior"].startswith("The mean of the training set's targets")
    assert content["glossary"]["R²"].startswith("1 minus the squared error")
    assert list(content["map"]["paints"])[:2] == ["outcome", "test/r2"]
    assert content["map"]["paints"]["test/r2"]["caption"].startswith("Test R² in percent after the last step")
    assert content["curves"]["default"]["metric"] == "test/r2"
    assert content["differences"]["title"] == "zero does not learn"
    assert content["differences"]["x"]["label"] == "test R² minus default, percentage points"


def test_the_page_of_both_scores_names_the_score_of_each_cell() -> None:
    cells = mixed_cells()
    manifest = Manifest("", "", [plan for cell in cells for plan in plan_of(*cell.finished)])
    content = unpack(render_page("sweep", manifest, cells, [None] * 4, []))
    texts = [row["test accuracy or R²"] for row in table_of(content, "cells")]
    assert [text.partition(" ")[0] for text in texts] == ["accuracy", "accuracy", "R²", "R²"]
    assert {"test/accuracy", "test/r2"} <= content["map"]["paints"].keys()
    metrics = [option["value"] for option in content["curves"]["controls"][0]["options"]]
    assert metrics[:2] == ["test/accuracy", "test/r2"]


def test_the_axis_of_r2_holds_what_is_little_below_0() -> None:
    def limits(*values: float) -> tuple[float, float]:
        run = as_r2(record("zero", 0, 0.5))
        run.metrics = [("test/r2", value, 10 * step) for step, value in enumerate(values)]
        history = average_history([run], "test/r2")
        assert history
        return choose_limits([(history.steps / 10, history)], "test/r2", is_whole=True)

    assert limits(0, -0.12, 0.4) == pytest.approx((-0.15, 1.02))
    assert limits(0, -30, 0.4) == (-1, 1.02)
    assert limits(-30, 0.4) == (0, 1.02)  # an untrained net does not count
    assert limits(0.1, 0.4) == (0, 1.02)
    spread = r2_runs("zero", 0.4, 0.41, 0.42)
    for run, start in zip(spread, (-1.0, 0.0, 1.0), strict=True):
        run.metrics.insert(0, ("test/r2", 0.1, 10))
        run.metrics[1] = ("test/r2", start, 0)
        run.metrics.sort(key=lambda point: point[2])
    assert views.make_curves(cells_of(spread)).y.domain == pytest.approx((0, 0.45))  # the first band does not count
    run = as_r2(record("zero", 0, 0.5))
    run.metrics = [("test/r2", value, step) for value, step in ((-0.1, 0), (0.0, 5), (-0.02, 10), (0.45, 20))]
    view = views.make_curves(cells_of([run]))
    assert view.title == "Test R² ends at 45.0% (zero)"
    assert "the axis begins at -5%" in view.caption
    assert view.y.domain == pytest.approx((-0.05, 0.5))


def test_mlflow_opens_at_the_score() -> None:
    state = json.loads(zlib.decompress(base64.b64decode(encode_view(["init"], R2).removeprefix("deflate;"))))
    assert [chart["metricKey"] for chart in state["compareRunCharts"]] == [
        "test/r2",
        "test/loss",
        "train/loss",
        "train/r2",
    ]
