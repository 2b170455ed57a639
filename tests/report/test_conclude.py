"""What a sweep ends with: the answer, the report at a path that stays the same, and where to look."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import Ended
from helpers.stored_runs import runs
from mlflow import MlflowClient

from zeroinit import load
from zeroinit.tracker.charts import VIEW_TAG

WORDS = ("dataset=digits", "arch.hidden=[4]", "steps=5", "probe=none", "seed=0,1,2", "init=default,zero")


def lines_after(text: str, begin: str) -> list[str]:
    lines = text.splitlines()
    return lines[next(index for index, line in enumerate(lines) if line.startswith(begin)) :]


@pytest.mark.usefixtures("database")
def test_the_command_ends_with_the_answer_and_three_lines(zeroinit: Callable[..., Ended]) -> None:
    out = zeroinit("-m", *WORDS, "sweep=mine").out
    head, default, zero = lines_after(out, "arch ")[:3]
    assert head.split()[:4] == ["arch", "bias_scale.value", "init", "n"]
    assert "minus default" in head
    assert default.split()[2] == "default"
    assert zero.split()[2] == "zero"
    [caption] = [line for line in out.splitlines() if "minus default: percentage points, paired by seed" in line]
    assert caption.endswith("Student's 95% interval")
    assert len([line for line in out.splitlines() if line.startswith("zero: ")]) == 1
    report, charts, python = out.splitlines()[-3:]
    assert charts == "Charts:  zeroinit ui mine"
    assert python == "Python:  zeroinit.load('mine')"
    path = Path(unquote(urlsplit(report.split()[1]).path))
    assert path == Path("mlruns/reports/mine/report.html").absolute()
    assert path.read_bytes().startswith(b"<!doctype html>")
    assert {"summary.csv", "sweep.json", "map.png"} <= {file.name for file in path.parent.iterdir()}


@pytest.mark.usefixtures("database")
def test_the_path_stays_when_the_sweep_runs_again(zeroinit: Callable[..., Ended]) -> None:
    first = zeroinit("-m", *WORDS, "sweep=my sweep").out.splitlines()[-3]
    again = zeroinit("-m", *WORDS, "sweep=my sweep", "seed=0,1,2,3").out.splitlines()
    assert again[-3] == first
    assert again[-2] == "Charts:  zeroinit ui 'my sweep'"


def test_another_store_is_named_in_the_lines(zeroinit: Callable[..., Ended], empty_database: Path) -> None:
    Path("kept").mkdir()
    Path("kept/runs.db").write_bytes(empty_database.read_bytes())
    out = zeroinit("-m", *WORDS, "tracker.uri=sqlite:///kept/runs.db").out.splitlines()
    assert out[-3].endswith("/kept/reports/sweep/report.html")
    assert out[-2] == "Charts:  zeroinit ui sweep --uri sqlite:///kept/runs.db"
    assert out[-1] == "Python:  zeroinit.load('sweep', 'sqlite:///kept/runs.db')"


@pytest.mark.usefixtures("database")
def test_a_report_folder_that_cannot_be_written_costs_nothing_else(zeroinit: Callable[..., Ended]) -> None:
    Path("mlruns/reports").write_text("a file in its place")
    ended = zeroinit("-m", *WORDS)
    assert ended.code == 0
    assert "zeroinit: the report is in mlruns/artifacts/" in ended.err
    assert ended.out.splitlines()[-3].startswith("Report:  mlruns/artifacts/")


@pytest.mark.usefixtures("database")
def test_the_summary_has_the_answer_and_the_charts_have_a_view(zeroinit: Callable[..., Ended]) -> None:
    out = zeroinit("-m", *WORDS, "sweep=mine").out
    [answer] = [line for line in out.splitlines() if line.startswith("zero: ")]
    [summary] = runs("mine", "summary")
    note = summary.data.tags["mlflow.note.content"]
    assert answer in note
    assert f"![map.png](get-artifact?path=map.png&run_uuid={summary.info.run_id})" in note
    assert f"[report.html](get-artifact?path=report.html&run_uuid={summary.info.run_id})" in note
    assert f"[charts of all runs](#/experiments/{summary.info.experiment_id}/runs?" in note
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    assert client.get_experiment_by_name("mine").tags[VIEW_TAG].startswith("deflate;")


def test_without_a_store_there_is_the_answer_alone(zeroinit: Callable[..., Ended]) -> None:
    out = zeroinit("-m", *WORDS, "tracker=off", "bias_scale.value=1,2").out
    assert "Warning: these cells are identical" in out  # there is no report that has the text
    assert not [line for line in out.splitlines() if line.startswith(("Report:", "Charts:", "Python:"))]
    assert not Path("mlruns/reports").exists()


@pytest.mark.usefixtures("database")
def test_another_reference_changes_the_comparison_and_no_run(zeroinit: Callable[..., Ended]) -> None:
    zeroinit("-m", *WORDS, "sweep=mine")
    ended = zeroinit("-m", *WORDS, "sweep=mine", "reference=zero")
    assert ended.out.startswith("6 of 6 runs were trained before")
    assert "minus zero" in ended.out
    assert load("mine").baseline == "zero"
    assert load("mine").difference()["init"].tolist() == ["default"]
    assert load("mine").cells.set_index("init")["comparisons"].to_dict() == {"default": 1, "zero": 0}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reference=zro"], "zeroinit: reference=zro: no run of the sweep has this init; give default or zero\n"),
        (["reference=3"], "zeroinit: reference=3: give a name\n"),
        (["reference=null"], "zeroinit: reference=None: give a name\n"),
    ],
)
def test_a_reference_that_is_no_init_of_the_sweep_is_refused(
    zeroinit: Callable[..., Ended], words: list[str], message: str
) -> None:
    ended = zeroinit("-m", *WORDS, *words)
    assert (ended.code, ended.err) == (2, message)
    assert not list(Path("mlruns").glob("artifacts/*"))


@pytest.mark.usefixtures("database")
def test_a_sweep_without_the_default_init_has_no_comparison(zeroinit: Callable[..., Ended]) -> None:
    ended = zeroinit("-m", *WORDS[:-1], "init=zero,zero_normal")
    assert ended.code == 0, ended.err
    assert "minus" not in ended.out
    assert "Test accuracy is" in ended.out
