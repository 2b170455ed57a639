"""The command `zeroinit-report`."""

import shutil
import sys
from pathlib import Path

import pytest
from conftest import not_drawn
from helpers.reports import grid, plan_of, report, unpack
from helpers.stored_runs import end

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
    # but the question, and the order of the cells, are gone with the summary; columns are named by their positions
    names = "label", "n", "accuracy", "difference", "outcomes"
    rows_again, rows_stored = (
        {tuple(cell[name] for name in names) for cell in unpack(page)["cells"]} for page in (again, stored)
    )
    assert rows_again == rows_stored


def test_while_it_trains_the_report_counts_the_runs_to_come(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned_runs = grid(1, 2, 2)
    tracker = Mlflow(None)
    tracker.open("half")
    announce(Manifest("How far?", "zeroinit", plan_of(*planned_runs)), tracker)
    for run in planned_runs[:3]:
        tracker.claim([run])
    for run in planned_runs[:2]:
        end(tracker, run)
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
