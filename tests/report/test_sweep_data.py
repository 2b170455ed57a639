"""`zeroinit.load`: frames of runs, cells, histories and comparisons that agree with the report."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Ended
from matplotlib.text import Text
from mlflow import MlflowClient

from zeroinit import load
from zeroinit.errors import BadInput
from zeroinit.report.sweep_data import Sweep, _run_row
from zeroinit.tracker import Record

WORDS = ("dataset=digits", "arch.hidden=[8]", "steps=30", "seed=0,1,2", "init=default,zero,zero_normal", "sweep=small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A folder with a store that has one sweep, which all tests of this module read."""
    folder = tmp_path_factory.mktemp("loaded")
    (folder / "mlruns").mkdir()
    (folder / "mlruns/mlflow.db").write_bytes(empty_database.read_bytes())
    return folder


@pytest.fixture
def sweep(folder: Path, zeroinit: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.chdir(folder)
    if not Path("trained").exists():  # by an earlier test
        ended = zeroinit("-m", *WORDS)
        assert ended.code == 0, ended.err
        Path("trained").touch()
    return load("small")


def test_runs_have_typed_params_and_final_metrics(sweep: Sweep) -> None:
    runs = sweep.runs
    assert len(runs) == 9
    assert runs["counts"].all()
    assert set(runs["outcome"]) <= {"learned", "partly-learned", "stuck-at-prior", "symmetric", "still-waking"}
    first = runs.iloc[0]
    assert (first["init"], first["seeds.init"], first["arch.hidden"], first["dataset.shuffle"]) == (
        "default",
        0,
        [8],
        True,
    )
    assert first["optimizer.lr"] == 0.001
    run = MlflowClient(sweep._tracker.uri).get_run(first["run_id"])  # type: ignore[attr-defined]
    for name, value in run.data.metrics.items():
        assert first[name] == value, name
    assert first["train_seconds"] > 0
    assert first["started"].tz is not None
    assert runs["run_id"].is_unique


def test_cells_agree_with_the_runs(sweep: Sweep) -> None:
    cells = sweep.cells.set_index("init")
    by_init = sweep.runs.groupby("init")["test/accuracy"]
    for init, values in by_init:
        row = cells.loc[init]
        assert row["n"] == 3
        assert row["accuracy"] == pytest.approx(values.mean())
        assert row["std"] == pytest.approx(values.std(), abs=1e-12)
    assert cells.loc["zero", "counted"] == "batch orders"


def test_curves_are_the_histories_of_the_store(sweep: Sweep) -> None:
    curves = sweep.curves("train/loss")
    client = MlflowClient(sweep._tracker.uri)  # type: ignore[attr-defined]
    for run_id, part in curves.groupby("run_id"):
        history = client.get_metric_history(str(run_id), "train/loss")
        assert dict(zip(part["step"], part["value"], strict=True)) == {point.step: point.value for point in history}
    steps_per_epoch = 1257 / 128
    assert curves["epoch"].max() == pytest.approx(30 / np.ceil(steps_per_epoch))
    assert set(curves.columns) >= {"run_id", "init", "seeds.init", "step", "epoch", "value"}


def test_gradients_have_the_documented_axes(sweep: Sweep) -> None:
    run_id = sweep.runs["run_id"].iloc[0]
    gradients = sweep.gradients(run_id)
    assert list(gradients.counts) == ["hidden1", "output"]
    steps = len(gradients.steps)
    assert gradients.counts["hidden1"].shape == (steps, 2, 255)
    entries = gradients.counts["hidden1"].sum(axis=(1, 2)) + gradients.zeros["hidden1"]
    assert set(entries) == {64 * 8}


def test_differences_are_paired(sweep: Sweep) -> None:
    table = sweep.runs.pivot(index="seeds.init", columns="init", values="test/accuracy")
    differences = sweep.difference().set_index("init")
    assert sorted(differences.index) == ["zero", "zero_normal"]
    for init, row in differences.iterrows():
        assert row["difference"] == pytest.approx(100 * (table[init] - table["default"]).mean(), abs=1e-8)
        assert row["comparisons"] == 2
    other = sweep.difference("zero").set_index("init")
    assert other.loc["default", "difference"] == pytest.approx(-differences.loc["zero", "difference"])


def test_the_latex_table_has_a_row_for_each_cell(sweep: Sweep) -> None:
    latex = sweep.to_latex()
    assert latex.count(r"\\") == 4
    assert "zero\\_normal" in latex
    assert "minus default (points)" in latex
    assert r"\toprule" in latex
    assert "& 3† &" in latex  # of zero, which draws nothing
    assert "† The init draws nothing: n counts batch orders.}" in latex


def test_the_text_begins_with_the_answer(sweep: Sweep) -> None:
    assert repr(sweep).splitlines()[0] == "Sweep 'small', 9 runs in 3 cells"
    assert repr(sweep).splitlines()[1] == sweep.answer[0]
    assert sweep.answer[0].startswith("Of 2 comparisons with default (")


def test_errors_name_what_is_accepted(sweep: Sweep) -> None:
    with pytest.raises(BadInput, match=r"metric=nope: no finished run has it; the metrics are .*test/accuracy"):
        sweep.curves("nope")
    with pytest.raises(BadInput, match=r"run_id=nope: the sweep has no such run"):
        sweep.gradients("nope")
    with pytest.raises(BadInput, match=r"baseline=nope: no cell has this init; give default or zero or zero_normal"):
        sweep.difference("nope")
    with pytest.raises(BadInput, match=r"there is no such sweep in .*; its sweeps are small"):
        load("nope")
    with pytest.raises(BadInput, match=r"uri=sqlite:///nope.db: there is no such file"):
        load("small", "sqlite:///nope.db")


@pytest.mark.usefixtures("database")
def test_a_sweep_of_failed_runs_has_frames_too(zeroinit: Callable[..., Ended]) -> None:
    zeroinit("-m", "dataset=digits", "steps=3", "optimizer=sgd", "optimizer.lr=1e30", "sweep=lost")
    lost = load("lost")
    assert lost.runs["status"].tolist() == ["FAILED"]
    assert lost.runs["outcome"].tolist() == ["diverged"]
    assert lost.answer == ["No run has finished yet."]
    assert pd.isna(lost.cells["accuracy"]).all()
    assert lost.difference().empty


def test_a_run_that_raised_has_its_error_as_the_reason() -> None:
    failed = Record("a run", {"init": "zero"}, {"error": "ValueError: no data"}, "FAILED")
    assert _run_row(failed, False)["outcome_reason"] == "ValueError: no data"


# ---- charts


@pytest.mark.parametrize(
    ("name", "arguments", "title"),
    [
        ("curves", {}, "test accuracy"),
        ("curves", {"metric": "train/loss", "along": "step", "with_runs": True}, "train"),
        ("differences", {}, ""),
        ("map", {"x": "init", "y": "arch"}, ""),
        ("neurons", {}, "neurons"),
        ("wavefront", {"where": {"init": ["default", "zero_normal"]}}, ""),
        ("gradients", {"where": {"init": "zero"}}, ""),
        ("boxes", {}, ""),
    ],
)
def test_each_chart_is_a_figure_that_saves_as_pdf(
    sweep: Sweep, tmp_path: Path, name: str, arguments: dict[str, object], title: str
) -> None:
    figure = getattr(sweep.plot, name)(**arguments)
    path = tmp_path / "chart.pdf"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"%PDF")
    assert figure.axes
    texts = " ".join(text.get_text() for text in figure.findobj(Text))
    assert title.lower() in texts.lower()


def test_intervals_stay_as_wide_where_fewer_cells_are_shown(sweep: Sweep) -> None:
    figure = sweep.plot.differences(where={"init": "zero"})
    texts = " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())
    assert "widened for 2 comparisons" in texts
    assert "zero_normal" not in texts


def test_charts_show_the_selected_cells_alone(sweep: Sweep) -> None:
    figure = sweep.plot.curves(where={"init": "zero"})
    texts = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "zero" in texts
    assert "default" not in texts
    with pytest.raises(BadInput, match=r"where=\{'init': 'nope'\}: no cell with a finished run has these values"):
        sweep.plot.map(where={"init": "nope"})
    with pytest.raises(BadInput, match=r"baseline=zero: no cell can be compared with this init"):
        sweep.plot.differences("zero", where={"init": "zero"})


@pytest.mark.parametrize("name", ["curves", "differences", "map", "neurons", "wavefront"])
def test_a_chart_for_a_paper_has_its_width_and_no_headline(sweep: Sweep, name: str) -> None:
    full, narrow = (getattr(plots, name)() for plots in (sweep.plot, sweep.plot.for_paper(3.5)))
    assert full.get_figwidth() == 8
    assert narrow.get_figwidth() == 3.5
    assert all(text.get_text() for text in full.texts[:2])  # the headline and the caption
    assert not any(text.get_text() for text in narrow.texts[:2])
    narrow.draw_without_rendering()
    for legend in narrow.legends:  # it wraps, and is not cut
        assert legend.get_window_extent().x1 <= narrow.bbox.x1
